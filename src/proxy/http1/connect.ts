// How a connection to a server is opened for plain requests, by TCP or TLS.
import type { Socket } from 'node:net';
import { addressOf, type Connected, connectWithPreamble, KEEPALIVE_MS, refuseIfShort } from '../../net/dial.ts';
import type { Endpoint } from '../../net/endpoint.ts';
import { DirectReadAfterWriteErrorSocket } from '../../net/read-after-write-error.ts';
import { connectTls } from '../../net/server-tls.ts';

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
  return (connected) => {
    const refused = refuseIfShort(connected);
    if (refused !== null) return refused;
    const socket: Socket = secure
      ? connectTls(server, { ...addressOf(server), ...trusted })
      : new DirectReadAfterWriteErrorSocket(buffer).connect(addressOf(server));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
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
