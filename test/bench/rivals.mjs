// The gateways that are measured, each on one worker with logging off, carrying everything to one backend.
import { caddy, haproxy, MAIN, nginx, versionOf, writeConfig } from '../support/other-gateways.mjs';

function upgate(engine, tlsEngine = 'auto') {
  return ({ dir, port, backend, pair }) => {
    const tls = pair
      ? `, tls: { certificates: [{ cert: ${pair.cert}, key: ${pair.key} }], engine: ${tlsEngine} }, http2: { extended_connect: true }`
      : '';
    const config = `listeners: [{ host: 127.0.0.1, port: ${port}${tls} }]
admin: { port: 0 }
relay: { engine: ${engine} }
log: { level: error, access: false }
upstreams: { all: { servers: ["http://127.0.0.1:${backend}"] } }
routes: [{ name: all, websocket: { mode: splice, upstream: all, origins: any }, http: { upstream: all } }]
`;
    return [process.execPath, [MAIN, 'run', '-c', writeConfig(dir, `upgate-${engine}.yaml`, config)]];
  };
}

/** Its default ends a connection behind a thousand requests. */
const keptNginx = (where) => nginx({ ...where, http: 'keepalive_requests 10000000;' });

/**
 * Name, version, whether it can speak TLS here, or is measured with TLS alone, whether it has WebSockets over HTTP/2, and how it
 * is started; only those that are installed.
 */
export function installedRivals() {
  const own = versionOf(process.execPath, MAIN, '--version');
  return [
    { name: 'upgate', version: own, tls: true, http2: true, command: upgate('auto') },
    { name: 'upgate (node TLS)', version: own, tls: 'alone', command: upgate('auto', 'node') },
    { name: 'upgate (js)', version: own, tls: false, command: upgate('js') },
    { name: 'nginx', version: versionOf('nginx', '-v'), tls: true, command: keptNginx },
    { name: 'haproxy', version: versionOf('haproxy', '-v'), tls: true, http2: true, command: haproxy },
    { name: 'caddy', version: versionOf('caddy', 'version'), tls: false, command: caddy, env: { GOMAXPROCS: '1' } },
  ].filter((rival) => rival.version !== null);
}
