// Connecting to one server, by TCP or TLS, with a PROXY preamble before everything else where the server wants one. The
// socket comes back paused, with nothing read.

import net from 'node:net';
import { fdShortage } from '../base/fd-limit.ts';
import { ignore } from '../base/guard.ts';
import { GatewayError, systemCode } from '../errors.ts';
import { formatPreamble } from '../http/proxy-protocol.ts';
import type { ClientClosed } from './client-closed.ts';
import type { Endpoint } from './endpoint.ts';
import { connectReadingAfterWriteError } from './read-after-write-error.ts';
import { connectTls } from './server-tls.ts';

/** Milliseconds after which a silent peer is probed (TCP keepalive), on both sides of the gateway. */
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

/** Called once, when a connection stands, or when there is none. */
export type Connected = (error: Error | null, socket: net.Socket | null) => void;

/** Where a connection to a server goes, as net.connect takes it. */
export function addressOf({ host, port, unix, lookup }: Endpoint): net.TcpNetConnectOpts | net.IpcNetConnectOpts {
  if (unix !== undefined) return { path: unix };
  return { host, port, ...(lookup === undefined ? {} : { lookup }) };
}

/** In place of a connection where the last descriptors are kept free: one that has failed; null where there is room. */
export function refuseIfShort(connected: Connected): net.Socket | null {
  const shortage = fdShortage();
  if (shortage === null) return null;
  process.nextTick(connected, shortage, null);
  return new net.Socket().destroy();
}

function start(server: Endpoint, preamble: Buffer | null, connected: Connected): net.Socket {
  const { secure } = server;
  if (secure && preamble !== null) return connectWithPreamble(server, preamble, connected);
  const refused = refuseIfShort(connected);
  if (refused !== null) return refused;
  if (secure) {
    return report(setSocketOptions(connectTls(server, addressOf(server))), 'secureConnect', connected);
  }
  const socket = net.connect({
    ...addressOf(server),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_MS,
    allowHalfOpen: true,
  });
  if (preamble !== null) socket.write(preamble);
  return report(socket, 'connect', connected);
}

/**
 * Starts a connection that begins with a PROXY preamble; TLS is spoken behind it. What it gives ends the connection when
 * it is destroyed, at any time; what is to be written to and read from comes with `connected`.
 */
export function connectWithPreamble(server: Endpoint, preamble: Buffer, connected: Connected): net.Socket {
  const refused = refuseIfShort(connected);
  if (refused !== null) return refused;
  const { secure } = server;
  const below = setSocketOptions(connectReadingAfterWriteError(addressOf(server)));
  return report(below, 'connect', (error) => {
    if (error !== null) return connected(error, null);
    below.write(preamble);
    if (!secure) return connected(null, below);
    // Only now: while it connects, node may change the descriptor below (RFC 8305), and TLS would stay with the first.
    const socket = connectTls(server, { socket: below });
    below.on('error', ignore);
    report(socket, 'secureConnect', connected);
  });
}

/** The preamble of a connection of the gateway's own, such as a check: it is no client's. */
export function ownPreamble({ proxyProtocol }: Endpoint): Buffer | null {
  return proxyProtocol === undefined ? null : formatPreamble(proxyProtocol, null);
}

function setSocketOptions<S extends net.Socket>(socket: S): S {
  return socket.setNoDelay(true).setKeepAlive(true, KEEPALIVE_MS);
}

function report<S extends net.Socket>(socket: S, event: 'connect' | 'secureConnect', connected: Connected): S {
  const fail = (error: Error): void => connected(error, null);
  return socket.once('error', fail).once(event, () => {
    socket.off('error', fail);
    connected(null, socket);
  });
}

/**
 * Connects within `timeoutMs`, which covers TLS too. Ends early when `clientClosed` notifies. Rejects with a GatewayError:
 * `backend_refused`, `backend_timeout`, `limit`, `client_gone`. The socket has an `error` listener. `preamble` goes out
 * before anything else.
 */
export function dial(
  server: Endpoint,
  timeoutMs: number,
  clientClosed: ClientClosed,
  preamble: Buffer | null = null,
): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    if (clientClosed.closed) return reject(new GatewayError('client_gone', 'the client left'));
    let settled = false;
    const settle = (outcome: GatewayError | net.Socket): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      clientClosed.onClosed(null);
      if (outcome instanceof GatewayError) {
        started.destroy();
        reject(outcome);
      } else {
        // The reader of the socket sees an error by its `close` at the latest; one without a listener would end the process.
        resolve(outcome === started ? outcome : outcome.on('error', ignore));
      }
    };
    const started = start(server, preamble, (error, socket) =>
      settle(socket ?? upstreamError(error, `connecting to ${server.url}`)),
    );
    started.on('error', ignore);
    const timer = setTimeout(
      () => settle(new GatewayError('backend_timeout', `no connection to ${server.url} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    clientClosed.onClosed(() => settle(new GatewayError('client_gone', 'the client left')));
  });
}
