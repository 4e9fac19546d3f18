// The connections of a listener: their socket options, and how a server gets a connection that it has not accepted
// itself. What happens on a connection is listener.ts and requests.ts.
import type { Server, ServerOpts, Socket } from 'node:net';

/** The part of node's listening handle that this needs; none of it is documented, and of a unix socket there is less. */
interface ListeningHandle {
  readonly fd?: number;
  close?(): void;
  setNoDelay?(on: boolean): number;
  setKeepAlive?(on: boolean, seconds: number): number;
}

/** What node's server keeps of its connections, so that close() can wait for them. */
interface Keeping {
  readonly _handle: ListeningHandle | null;
  _connections: number;
}

/** On a connection that was injected with bytes. */
const RECEIVED = Symbol('received');

/** A connection that its server knows of. */
type Kept = Socket & { server: Server; _server: Server; [RECEIVED]?: true };

/**
 * Whether an accepted connection has the options of the socket it was accepted on, as Linux does it: set there, once, they
 * cost a connection none of the five system calls that node makes for them.
 */
const INHERITED = process.platform === 'linux';

/** The options for a server that setSocketOptions() is called on: what a connection does not inherit, node has to set. */
export function connectionOptions(keepAliveMs: number): ServerOpts {
  return { noDelay: !INHERITED, keepAlive: !INHERITED, keepAliveInitialDelay: keepAliveMs };
}

/** TCP_NODELAY and keepalive for a server's connections to come; called once it listens. */
export function setSocketOptions(server: Server, keepAliveMs: number): void {
  const handle = (server as unknown as Keeping)._handle;
  if (handle === null || handle.setNoDelay === undefined) return;
  if (INHERITED) {
    handle.setNoDelay(true);
    handle.setKeepAlive?.(true, keepAliveMs / 1000);
  }
}

/** Whether a client has sent bytes. */
export function hasReceived(socket: Socket): boolean {
  return socket.bytesRead > 0 || (socket as Kept)[RECEIVED] === true;
}

/** Gives a server a connection as if it had accepted it, and had these bytes still to read. */
export function injectConnection(server: Server, socket: Socket, bytes: Buffer): void {
  const kept = socket as Kept;
  if (bytes.length > 0) {
    socket.unshift(bytes);
    kept[RECEIVED] = true;
  }
  (server as unknown as Keeping)._connections++;
  kept.server = server;
  kept._server = server;
  server.emit('connection', socket);
}

/**
 * Releases a server's listening socket, which the native acceptor accepts from. Otherwise the server stays what it is: its
 * timeouts hold for the connections that are injected.
 */
export function stopAccepting(server: Server): void {
  (server as unknown as Keeping)._handle?.close?.();
}

/** The descriptor that a server listens on; -1 where it has none. */
export function listeningDescriptor(server: Server): number {
  return (server as unknown as Keeping)._handle?.fd ?? -1;
}
