// How the connections of a listener come to be, where node's own way costs each of them more than it has to. What happens
// on a connection is listener.ts and requests.ts.
import net, { type Server, type Socket } from 'node:net';

/** The part of node's listening handle that this needs; none of it is documented, and of a unix socket there is less. */
interface ListeningHandle {
  readonly fd?: number;
  close?(): void;
  onconnection?: (status: number, connection?: object) => void;
  setNoDelay?(on: boolean): number;
  setKeepAlive?(on: boolean, seconds: number): number;
}

/** What node's server keeps of its connections, so that close() can wait for them. */
interface Keeping {
  readonly _handle: ListeningHandle | null;
  readonly allowHalfOpen: boolean;
  readonly highWaterMark?: number | undefined;
  readonly maxConnections?: number;
  _connections: number;
}

/** On a connection that was entered with bytes. */
const RECEIVED = Symbol('spoken');

/** A connection that its server knows of. */
type Kept = Socket & { server: Server; _server: Server; [RECEIVED]?: true };

/**
 * Whether an accepted connection has the options of the socket it was accepted on, as Linux does it: set there, once, they
 * cost a connection none of the five system calls that node makes for them.
 */
const INHERITED = process.platform === 'linux';

/** The options for a server that tune() is called on: what a connection does not inherit, node has to set. */
export function connectionOptions(keepAliveMs: number): net.ServerOpts {
  return { noDelay: !INHERITED, keepAlive: !INHERITED, keepAliveInitialDelay: keepAliveMs };
}

/** TCP_NODELAY and keepalive for a server's connections to come, and a shorter way to them; called once it listens. */
export function setSocketOptions(server: Server, keepAliveMs: number): void {
  const handle = (server as unknown as Keeping)._handle;
  if (handle === null || handle.setNoDelay === undefined) return;
  if (INHERITED) {
    handle.setNoDelay(true);
    handle.setKeepAlive?.(true, keepAliveMs / 1000);
  }
  if (process.versions.node.startsWith('20.')) shorten(server, handle);
}

/**
 * Node 20 copies the options of each socket by a spread and adds to the copy, which its V8 gives a hidden class of its own:
 * no inline cache ever fits, and the thirty look-ups that follow cost 5 us a connection. With every option there from the
 * beginning nothing is added. Later versions don't need it, and this one does not change any more.
 */
function shorten(server: Server, handle: ListeningHandle): void {
  const keeping = server as unknown as Keeping;
  const { onconnection } = handle;
  if (onconnection === undefined) return;
  const { allowHalfOpen, highWaterMark } = keeping;
  handle.onconnection = (status, connection) => {
    if (status !== 0 || connection === undefined || keeping.maxConnections !== undefined) {
      onconnection.call(handle, status, connection);
      return;
    }
    const options = {
      handle: connection,
      allowHalfOpen,
      emitClose: false,
      autoDestroy: true,
      decodeStrings: false,
      readable: true,
      writable: true,
      readableHighWaterMark: highWaterMark,
      writableHighWaterMark: highWaterMark,
    };
    inject(server, new net.Socket(options));
  };
}

/** Whether a client has said a word. */
export function hasReceived(socket: Socket): boolean {
  return socket.bytesRead > 0 || (socket as Kept)[RECEIVED] === true;
}

/** Gives a server a connection as if it had accepted it, and had these bytes still to read. */
export function injectConnection(server: Server, socket: Socket, bytes: Buffer): void {
  if (bytes.length > 0) {
    socket.unshift(bytes);
    (socket as Kept)[RECEIVED] = true;
  }
  inject(server, socket);
}

function inject(server: Server, socket: Socket): void {
  const kept = socket as Kept;
  (server as unknown as Keeping)._connections++;
  kept.server = server;
  kept._server = server;
  server.emit('connection', socket);
}

/**
 * Lets go of a server's listening socket, which somebody else accepts from. The server stays what it is but for that: its
 * timeouts hold for the connections that are entered.
 */
export function stopAccepting(server: Server): void {
  (server as unknown as Keeping)._handle?.close?.();
}

/** The descriptor that a server listens on; -1 where it has none. */
export function listeningDescriptor(server: Server): number {
  return (server as unknown as Keeping)._handle?.fd ?? -1;
}
