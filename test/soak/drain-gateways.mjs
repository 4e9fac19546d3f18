// What drain.mjs measures: how each is started with a bound on its end, and by which signal it ends in order. Beside Upgate in
// four forms the peers that are installed, each with what it has for that.
import { caddy, haproxy, MAIN, nginx, versionOf, writeConfig } from '../support/other-gateways.mjs';

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
    return [process.execPath, [MAIN, 'run', '-c', writeConfig(dir, 'gateway.yaml', JSON.stringify(config))]];
  };
}

const endingNginx = ({ grace, ...where }) =>
  nginx({ ...where, top: `worker_shutdown_timeout ${grace}s;`, location: 'proxy_buffering off;' });
const endingHaproxy = ({ grace, spread, ...where }) =>
  haproxy({ ...where, global: [`hard-stop-after ${grace}s`, `close-spread-time ${spread}s`] });
const endingCaddy = ({ grace, ...where }) => caddy({ ...where, global: `grace_period ${grace}s` });

/** Name, version, how its clients come, how it is started and ended. */
export function installedGateways() {
  const own = { version: versionOf(process.execPath, MAIN, '--version'), signal: 'SIGTERM', own: true };
  return [
    { ...own, name: 'upgate', kind: 'ws', command: upgate('native', false) },
    { ...own, name: 'upgate-js', kind: 'ws', command: upgate('js', false) },
    { ...own, name: 'upgate-wss', kind: 'wss', command: upgate('native', true) },
    { ...own, name: 'upgate-h2', kind: 'h2', command: upgate('native', true) },
    { name: 'nginx', kind: 'ws', version: versionOf('nginx', '-v'), signal: 'SIGQUIT', command: endingNginx },
    { name: 'haproxy', kind: 'ws', version: versionOf('haproxy', '-v'), signal: 'SIGUSR1', command: endingHaproxy },
    { name: 'caddy', kind: 'ws', version: versionOf('caddy', 'version'), signal: 'SIGTERM', command: endingCaddy },
  ].filter((gateway) => gateway.version !== null);
}
