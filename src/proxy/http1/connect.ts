// How a connection to a server is opened for plain requests, by TCP or TLS; a TLS session is taken up again.
import type { Socket } from 'node:net';
import tls from 'node:tls';
import {
  addressOf,
  type Connected,
  connectWithPreamble,
  KEEPALIVE_MS,
  refuseIfShort,
  tlsOptions,
} from '../../net/dial.ts';
import type { Endpoint } from '../../net/endpoint.ts';
import { DirectReadAfterWriteErrorSocket } from '../../net/read-after-write-error.ts';

/** Starts a connection; what it gives ends it when destroyed, and what is connected may be another socket above it. */
export type Connect = (connected: Connected) => Socket;

/** What the connections to one server are opened with. */
export interface ConnectOptions {
  readonly server: Endpoint;
  /** PEM of the authorities to trust in place of the usual ones. */
  readonly ca: string | undefined;
  /** What plain connections read into; it is free again when a part was taken out. */
  readonly buffer: Buffer;
}

/** Connections that the requests of any client may use. */
export function connectTo({ server, ca, buffer }: ConnectOptions): Connect {
  const { secure } = server;
  const trusted = ca === undefined ? {} : { ca };
  let session: Buffer | undefined;
  return (connected) => {
    const refused = refuseIfShort(connected);
    if (refused !== null) return refused;
    const resumed = session === undefined ? {} : { session };
    const socket: Socket = secure
      ? tls.connect({
          ...addressOf(server),
          ALPNProtocols: ['http/1.1'],
          ...trusted,
          ...tlsOptions(server),
          ...resumed,
        })
      : new DirectReadAfterWriteErrorSocket(buffer).connect(addressOf(server));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
    if (secure)
      socket.on('session', (fresh: Buffer) => {
        session = fresh;
      });
    const fail = (error: Error): void => connected(error, null);
    socket.once('error', fail).once(secure ? 'secureConnect' : 'connect', () => {
      socket.off('error', fail);
      connected(null, socket);
    });
    return socket;
  };
}

/** A connection that begins with a PROXY preamble: it names one client, and serves one request. */
export function connectAfterPreamble(server: Endpoint, preamble: Buffer): Connect {
  return (connected) => connectWithPreamble(server, preamble, connected);
}
