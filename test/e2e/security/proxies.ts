// Upgate, nginx and HAProxy in front of a canary each, with the same rules written in each one's words: `/public/*` is
// forwarded, and `/methods/*`; handshakes of `/ws`, `/refused/*` and, with a listed Origin or none, `/origin` go to the
// backend as such; the guarded hosts and `/public/guarded/*` are 403, everything else is 404.
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
import { LISTED_METHODS, LISTED_ORIGINS } from './cases-names.ts';

export interface ProxyUnderTest extends Target {
  stop(): Promise<unknown>;
}

export type Engine = 'auto' | 'http-proxy';
export const ENGINES = ['auto', 'http-proxy'] as const satisfies readonly Engine[];

/** Answered with 403 by all. */
const GUARDED_HOSTS = ['guarded.test', '[2001:db8::1]'] as const;

type Scripts = Readonly<Record<string, Script>>;

/** Starts the built gateway. `more` stands beside what every proxy has. */
export async function startUpgate(
  scripts: Scripts,
  engine: Engine,
  more: Partial<GatewayFile> = {},
): Promise<ProxyUnderTest & { readonly ports: readonly number[] }> {
  const canary = await startCanary(scripts);
  const spliced = (name: string, path: string, origins: 'any' | string[] = 'any') => ({
    name,
    match: { path },
    websocket: { mode: 'splice' as const, upstream: 'canary', origins },
  });
  const forwarded = (name: string, path: string) => ({
    name,
    match: { path },
    http: { upstream: 'canary', timeouts: { head: '10s', idle: '10s' } },
  });
  const guarded = (name: string, match: { host?: string[]; path: string }) => ({
    name,
    match,
    respond: { status: 403 },
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
      guarded('guarded-host', { host: [...GUARDED_HOSTS], path: '/*' }),
      guarded('guarded-path', { path: '/public/guarded/*' }),
      spliced('ws', '/ws'),
      spliced('refused', '/refused/*'),
      spliced('origin', '/origin', [...LISTED_ORIGINS]),
      forwarded('public', '/public/*'),
      forwarded('methods', '/methods/*'),
    ],
  }).catch((error: unknown) => {
    canary.close();
    throw error;
  });
  return {
    port: gateway.port,
    ports: gateway.ports,
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
  return { port, canary, stop } satisfies ProxyUnderTest;
}

export function startNginx(scripts: Scripts): Promise<ProxyUnderTest> {
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
map $http_origin $origin_listed { default 0; '' 1; ${LISTED_ORIGINS.map((origin) => `${origin} 1;`).join(' ')} }
map $request_method $method_listed { default 0; ${LISTED_METHODS.map((method) => `${method} 1;`).join(' ')} }
upstream canary { server 127.0.0.1:${backend}; keepalive 8; }
proxy_http_version 1.1;
proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
server { listen 127.0.0.1:${port}; server_name ${GUARDED_HOSTS.join(' ')}; return 403; }
server { listen 127.0.0.1:${port} default_server;
location /public/guarded/ { return 403; }
location /methods/ { if ($method_listed = 0) { return 405; } proxy_pass http://canary; proxy_set_header Connection ""; ${inherit()} }
location = /origin { if ($origin_listed = 0) { return 403; } proxy_pass http://canary; ${upgrading()} }
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

export function startHaproxy(scripts: Scripts): Promise<ProxyUnderTest> {
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
  http-request deny deny_status 403 if { req.hdr(host),host_only -i ${GUARDED_HOSTS.join(' ')} }
  http-request deny deny_status 403 if { path_beg /public/guarded/ }
  acl origin_listed req.hdr(origin) ${LISTED_ORIGINS.join(' ')}
  http-request deny deny_status 403 if { path /origin } { req.hdr(origin) -m found } !origin_listed
  http-request deny deny_status 405 if { path_beg /methods/ } !{ method ${LISTED_METHODS.join(' ')} }
  acl served path /ws /origin
  acl served path_beg /public/ /methods/ /refused/
  http-request return status 404 unless served
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
