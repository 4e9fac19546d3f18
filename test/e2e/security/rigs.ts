// Upgate, nginx and HAProxy in front of a canary each, with the same rules written in each one's words: `/public/*` is
// forwarded, handshakes of `/ws` and `/refused/*` go to the backend as such, everything else is 404.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { untilAccepts } from '../../support/accepts.ts';
import { startChild } from '../../support/child.ts';
import { type GatewayFile, startGateway } from '../../support/gateway.ts';
import { closedPort } from '../../support/scripted.ts';
import type { Target } from './attack.ts';
import { type Script, startCanary } from './canary.ts';

export interface Rig extends Target {
  stop(): Promise<unknown>;
}

export type Engine = 'auto' | 'http-proxy';
export const ENGINES = ['auto', 'http-proxy'] as const satisfies readonly Engine[];

type Scripts = Readonly<Record<string, Script>>;

/** Starts the built gateway. `more` stands beside what every rig has. */
export async function startUpgate(scripts: Scripts, engine: Engine, more: Partial<GatewayFile> = {}): Promise<Rig> {
  const canary = await startCanary(scripts);
  const spliced = (name: string, path: string) => ({
    name,
    match: { path },
    websocket: { mode: 'splice' as const, upstream: 'canary', origins: 'any' as const },
  });
  const gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0, timeouts: { head: '10s', keep_alive: '10s' } }],
    upstreams: { canary: { servers: [`http://127.0.0.1:${canary.port}`] } },
    http: { engine },
    // Either relay is tried too.
    relay: { engine: engine === 'auto' ? 'auto' : 'js' },
    log: { access: false },
    ...more,
    routes: [
      ...(more.routes ?? []),
      spliced('ws', '/ws'),
      spliced('refused', '/refused/*'),
      {
        name: 'public',
        match: { path: '/public/*' },
        http: { upstream: 'canary', timeouts: { head: '10s', idle: '10s' } },
      },
    ],
  }).catch((error: unknown) => {
    canary.close();
    throw error;
  });
  return {
    port: gateway.port,
    canary,
    stop: async () => {
      canary.close();
      const code = await gateway.stop();
      if (code !== 0) throw new Error(`the gateway ended with ${code}: ${gateway.output()}`);
    },
  };
}

/** Another proxy, started from a config file; up once it takes connections. */
async function startRival(scripts: Scripts, configure: (dir: string, port: number, backend: number) => string[]) {
  const canary = await startCanary(scripts);
  const port = await closedPort();
  const dir = mkdtempSync(join(tmpdir(), 'upgate-rival-'));
  const [command = '', ...args] = configure(dir, port, canary.port);
  const child = await startChild(command, args);
  await untilAccepts(port, child.exited).catch((cause: unknown) => {
    throw new Error(`${command} does not listen: ${child.stderr()}`, { cause });
  });
  const stop = async () => {
    canary.close();
    await child.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  return { port, canary, stop } satisfies Rig;
}

export function startNginx(scripts: Scripts): Promise<Rig> {
  return startRival(scripts, (dir, port, backend) => {
    const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => {
      mkdirSync(join(dir, kind));
      return `${kind}_temp_path ${dir}/${kind};`;
    });
    const user = process.getuid?.() === 0 ? 'user root;' : '';
    const conf = `${user} worker_processes 1; daemon off; pid ${dir}/nginx.pid; error_log ${dir}/nginx.log crit;
events { worker_connections 256; }
http { access_log off; ${temps.join(' ')}
client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s; proxy_read_timeout 3s; lingering_timeout 1s;
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
upstream canary { server 127.0.0.1:${backend}; keepalive 8; }
proxy_http_version 1.1;
proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
server { listen 127.0.0.1:${port};
location /public/ { proxy_pass http://canary; proxy_set_header Connection ""; ${inherit()} }
location = /ws { proxy_pass http://canary; ${upgrading()} }
location /refused/ { proxy_pass http://canary; ${upgrading()} }
location / { return 404; } } }`;
    const file = join(dir, 'nginx.conf');
    writeFileSync(file, conf);
    return ['nginx', '-c', file, '-p', dir];
  });
}

// What a location sets replaces all that was set outside of it.
const inherit = () => 'proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;';
const upgrading = () =>
  `proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; ${inherit()}`;

export function startHaproxy(scripts: Scripts): Promise<Rig> {
  return startRival(scripts, (dir, port, backend) => {
    const conf = `global
  maxconn 256
defaults
  mode http
  option forwardfor
  timeout connect 2s
  timeout client 2s
  timeout server 3s
  timeout tunnel 3s
  timeout http-request 1s
  timeout http-keep-alive 1s
frontend front
  bind 127.0.0.1:${port}
  http-request return status 404 unless { path_beg /public/ } || { path /ws } || { path_beg /refused/ }
  default_backend canary
backend canary
  server one 127.0.0.1:${backend}
`;
    const file = join(dir, 'haproxy.cfg');
    writeFileSync(file, conf);
    return ['haproxy', '-db', '-f', file];
  });
}

/** What is compared with, and its version; null where it is not installed. */
export function versionOf(command: 'nginx' | 'haproxy'): string | null {
  try {
    // nginx writes its version to standard error.
    const text = execFileSync('sh', ['-c', `${command} -v 2>&1`], { encoding: 'utf8' });
    return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? null;
  } catch {
    return null;
  }
}
