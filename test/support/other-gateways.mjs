// nginx, HAProxy and Caddy as what Upgate is measured beside: on one worker, with logging off, carrying everything to one
// backend. Who measures adds lines of its own.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The built gateway. */
export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** The version that a command tells of itself; null where it is not installed. */
export function versionOf(...command) {
  try {
    // nginx writes its version to standard error.
    const text = execFileSync('sh', ['-c', `${command.join(' ')} 2>&1`], { encoding: 'utf8' });
    return /\d+\.\d+(?:\.\d+)?/.exec(text)?.[0] ?? null;
  } catch {
    return null;
  }
}

/** Writes a config into a folder, and gives its path. */
export function writeConfig(dir, name, text) {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

/** `pair`: files of a certificate, for TLS; `top`, `http`, `location`: further lines at these places. */
export function nginx({ dir, port, backend, pair, top = '', http = '', location = '' }) {
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => {
    mkdirSync(join(dir, kind), { recursive: true });
    return `${kind}_temp_path ${dir}/${kind};`;
  });
  const ssl = pair ? `ssl_certificate ${pair.cert}; ssl_certificate_key ${pair.key};` : '';
  const config = `worker_processes 1; daemon off; pid ${dir}/nginx.pid; error_log ${dir}/nginx.log crit;
worker_rlimit_nofile 20000; ${top} events { worker_connections 19000; }
http { access_log off; ${temps.join(' ')} ${http}
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
upstream all { server 127.0.0.1:${backend}; keepalive 64; }
server { listen 127.0.0.1:${port} ${pair ? 'ssl ' : ''}backlog=4096; ${ssl}
location / { proxy_pass http://all; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade; proxy_read_timeout 1h; ${location} } } }`;
  return ['nginx', ['-c', writeConfig(dir, 'nginx.conf', config), '-p', dir]];
}

/** `global`: further lines of that section. */
export function haproxy({ dir, port, backend, pair, global = [] }) {
  const config = `global
  maxconn 9000
  nbthread 1
${global.map((line) => `  ${line}\n`).join('')}defaults
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
  return ['haproxy', ['-db', '-f', writeConfig(dir, 'haproxy.cfg', config)]];
}

/** `global`: a further line of the global options. */
export function caddy({ dir, port, backend, global = '' }) {
  const config = `{\n admin off\n auto_https off\n ${global}\n}\nhttp://127.0.0.1:${port} {\n reverse_proxy 127.0.0.1:${backend}\n}\n`;
  return ['caddy', ['run', '--adapter', 'caddyfile', '--config', writeConfig(dir, 'Caddyfile', config)]];
}
