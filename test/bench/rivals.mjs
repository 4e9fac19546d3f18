// The gateways that are measured, each on one worker with logging off, carrying everything to one backend.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

function version(command, ...args) {
  try {
    // nginx writes its version to standard error.
    const text = execFileSync('sh', ['-c', `${[command, ...args].join(' ')} 2>&1`], { encoding: 'utf8' });
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

function upgate(engine) {
  return ({ dir, port, backend, pair }) => {
    const tls = pair
      ? `, tls: { certificates: [{ cert: ${pair.cert}, key: ${pair.key} }] }, http2: { extended_connect: true }`
      : '';
    const config = `listeners: [{ host: 127.0.0.1, port: ${port}${tls} }]
admin: { port: 0 }
relay: { engine: ${engine} }
log: { level: error, access: false }
upstreams: { all: { servers: ["http://127.0.0.1:${backend}"] } }
routes: [{ name: all, websocket: { mode: splice, upstream: all, origins: any }, http: { upstream: all } }]
`;
    return [process.execPath, [main, 'run', '-c', file(dir, `upgate-${engine}.yaml`, config)]];
  };
}

function nginx({ dir, port, backend, pair }) {
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => {
    mkdirSync(join(dir, kind), { recursive: true });
    return `${kind}_temp_path ${dir}/${kind};`;
  });
  const ssl = pair ? `ssl_certificate ${pair.cert}; ssl_certificate_key ${pair.key};` : '';
  const config = `worker_processes 1; daemon off; pid ${dir}/nginx.pid; error_log ${dir}/nginx.log crit;
worker_rlimit_nofile 20000; events { worker_connections 19000; }
http { access_log off; ${temps.join(' ')} keepalive_requests 10000000;
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
upstream all { server 127.0.0.1:${backend}; keepalive 64; }
server { listen 127.0.0.1:${port} ${pair ? 'ssl ' : ''}backlog=4096; ${ssl}
location / { proxy_pass http://all; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade; proxy_read_timeout 1h; } } }`;
  return ['nginx', ['-c', file(dir, 'nginx.conf', config), '-p', dir]];
}

function haproxy({ dir, port, backend, pair }) {
  const config = `global
  maxconn 9000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:${port}${pair ? ` ssl crt ${pair.both} alpn h2,http/1.1` : ''}
  default_backend back
backend back
  server one 127.0.0.1:${backend}
`;
  return ['haproxy', ['-db', '-f', file(dir, 'haproxy.cfg', config)]];
}

function caddy({ dir, port, backend }) {
  const config = `{\n admin off\n auto_https off\n}\nhttp://127.0.0.1:${port} {\n reverse_proxy 127.0.0.1:${backend}\n}\n`;
  return ['caddy', ['run', '--adapter', 'caddyfile', '--config', file(dir, 'Caddyfile', config)]];
}

/** Name, version, whether it can speak TLS here, and WebSockets over HTTP/2, and how it is started; only those that are installed. */
export function installedRivals() {
  const own = version(process.execPath, main, '--version');
  return [
    { name: 'upgate', version: own, tls: true, http2: true, command: upgate('auto') },
    { name: 'upgate (js)', version: own, tls: false, command: upgate('js') },
    { name: 'nginx', version: version('nginx', '-v'), tls: true, command: nginx },
    { name: 'haproxy', version: version('haproxy', '-v'), tls: true, http2: true, command: haproxy },
    { name: 'caddy', version: version('caddy', 'version'), tls: false, command: caddy, env: { GOMAXPROCS: '1' } },
  ].filter((rival) => rival.version !== null);
}
