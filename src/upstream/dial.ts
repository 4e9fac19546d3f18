// Connecting to one server, by TCP or TLS. The socket comes back paused, with nothing read.
import net from 'node:net';
import tls from 'node:tls';
import { GatewayError, systemCode } from '../errors.ts';
import type { Endpoint } from './server.ts';

/** Both sides of the gateway probe a silent peer after this long (DESIGN: TCP_NODELAY, keepalive 60 s). */
export const KEEPALIVE_MS = 60_000;

/** Running out of descriptors or of local ports is our own shortage and not the server's fault. */
const OWN_SHORTAGE = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);

/** Wraps a system error of reaching or reading a server. */
export function upstreamError(error: unknown, doing: string): GatewayError {
  const code = systemCode(error);
  const own = code !== undefined && OWN_SHORTAGE.has(code);
  const message = error instanceof Error ? error.message : String(error);
  return new GatewayError(own ? 'limit' : 'backend_refused', `${doing}: ${message}`, error);
}

function start(server: Endpoint): net.Socket {
  const { host, port, unix } = server;
  if (!server.secure)
    return net.connect({
      ...(unix === undefined ? { host, port } : { path: unix }),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
      allowHalfOpen: true,
    });
  const socket = tls.connect({ host, port, ALPNProtocols: ['http/1.1'], ...tlsOptions(server) });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEPALIVE_MS);
  return socket;
}

/** What TLS to a server is spoken with: its name is asked for (SNI) and verified, an address is verified only. */
export function tlsOptions({ host, serverName, tls: backend }: Endpoint): tls.ConnectionOptions {
  const name = backend?.serverName ?? serverName ?? host;
  if (net.isIP(name) === 0) return { ...backend?.options, servername: name };
  return { ...backend?.options, checkServerIdentity: (_, certificate) => tls.checkServerIdentity(name, certificate) };
}

/**
 * Connects within `timeoutMs`, which covers TLS too. Ends early when `gone` fires. Rejects with a GatewayError:
 * `backend_refused`, `backend_timeout`, `limit`, `client_gone`. The socket has an `error` listener.
 */
export function dial(server: Endpoint, timeoutMs: number, gone: AbortSignal): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    if (gone.aborted) return reject(new GatewayError('client_gone', 'the client left'));
    const socket = start(server);
    // Whoever reads the socket learns of an error by its `close` at the latest; none may go unheard.
    socket.on('error', () => undefined);
    const settle = (error: GatewayError | null): void => {
      clearTimeout(timer);
      gone.removeEventListener('abort', onGone);
      socket.removeListener('error', onError);
      if (error === null) {
        resolve(socket);
      } else {
        socket.destroy();
        reject(error);
      }
    };
    const onError = (error: Error): void => settle(upstreamError(error, `connecting to ${server.url}`));
    const onGone = (): void => settle(new GatewayError('client_gone', 'the client left'));
    const timer = setTimeout(
      () => settle(new GatewayError('backend_timeout', `no connection to ${server.url} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    gone.addEventListener('abort', onGone);
    socket.once('error', onError);
    socket.once(server.secure ? 'secureConnect' : 'connect', () => settle(null));
  });
}
