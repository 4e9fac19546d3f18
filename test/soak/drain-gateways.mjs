// What drain.mjs measures: how each is started with a bound on its end, and by which signal it ends in order. Beside Upgate in
// four forms the peers that are installed, each with what it has for that.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

function version(...command) {
  try {
    // nginx writes its version to standard error.
    const text = execFileSync('sh', ['-c', `${command.join(' ')} 2>&1`], { encoding: 'utf8' });
    return /\d+\.\d+(?:\.\d+)?/.exec(text)?.[0] ?? null;
  } catch {
    return null;
  }
}

const file = (dir, name, text) => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};

function upgate(engine, tls) {
  return ({ dir, port, backend, grace, spread }) => {
    const listener = {
      ...{ host: '127.0.0.1', port },
      ...(tls ? { tls: { self_signed: ['localhost'] }, http2: { extended_connect: true } } : {}),
    };
    const config = {
      ...{ listeners: [listener], admin: { port: 0 }, relay: { engine }, log: { level: 'error', access: false } },
      upstreams: { all: { servers: [`http://127.0.0.1:${backend}`] } },
      routes: [
        {
          name: 'all',
          websocket: { mode: 'splice', upstream: 'all', origins: 'any', timeouts: { handshake: '60s' } },
          http: { upstream: 'all' },
        },
      ],
      drain: { grace: `${grace}s`, spread: `${spread}s` },
    };
    return [process.execPath, [main, 'run', '-c', file(dir, 'gateway.yaml', JSON.stringify(config))]];
  };
}

function nginx({ dir, port, backend, grace }) {
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => {
    mkdirSync(join(dir, kind), { recursive: true });
    return `${kind}_temp_path ${dir}/${kind};`;
  });
  const config = `worker_processes 1; daemon off; pid ${dir}/nginx.pid; error_log ${dir}/nginx.log crit;
worker_shutdown_timeout ${grace}s; worker_rlimit_nofile 20000; events { worker_connections 19000; }
http { access_log off; ${temps.join(' ')}
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
server { listen 127.0.0.1:${port} backlog=4096;
location / { proxy_pass http://127.0.0.1:${backend}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade; proxy_read_timeout 1h; proxy_buffering off; } } }`;
  return ['nginx', ['-c', file(dir, 'nginx.conf', config), '-p', dir]];
}

function haproxy({ dir, port, backend, grace, spread }) {
  const config = `global
  maxconn 9000
  nbthread 1
  hard-stop-after ${grace}s
  close-spread-time ${spread}s
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:${port}
  default_backend back
backend back
  server one 127.0.0.1:${backend}
`;
  return ['haproxy', ['-db', '-f', file(dir, 'haproxy.cfg', config)]];
}

function caddy({ dir, port, backend, grace }) {
  const config = `{\n admin off\n auto_https off\n grace_period ${grace}s\n}\nhttp://127.0.0.1:${port} {\n reverse_proxy 127.0.0.1:${backend}\n}\n`;
  return ['caddy', ['run', '--adapter', 'caddyfile', '--config', file(dir, 'Caddyfile', config)]];
}

/** Name, version, how its clients come, how it is started and ended. */
export function installedGateways() {
  const own = { version: version(process.execPath, main, '--version'), signal: 'SIGTERM', own: true };
  return [
    { ...own, name: 'upgate', kind: 'ws', command: upgate('native', false) },
    { ...own, name: 'upgate-js', kind: 'ws', command: upgate('js', false) },
    { ...own, name: 'upgate-wss', kind: 'wss', command: upgate('native', true) },
    { ...own, name: 'upgate-h2', kind: 'h2', command: upgate('native', true) },
    { name: 'nginx', kind: 'ws', version: version('nginx', '-v'), signal: 'SIGQUIT', command: nginx },
    { name: 'haproxy', kind: 'ws', version: version('haproxy', '-v'), signal: 'SIGUSR1', command: haproxy },
    { name: 'caddy', kind: 'ws', version: version('caddy', 'version'), signal: 'SIGTERM', command: caddy },
  ].filter((gateway) => gateway.version !== null);
}
