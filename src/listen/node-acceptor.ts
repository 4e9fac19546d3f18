// Gives a server a connection that it has not accepted itself.
import type { Server, Socket } from 'node:net';

/** Marks a connection that was injected with bytes. */
const RECEIVED = Symbol('received');

type Injected = Socket & { [RECEIVED]?: true };

/** Whether a client has sent bytes. */
export function hasReceived(socket: Socket): boolean {
  return socket.bytesRead > 0 || (socket as Injected)[RECEIVED] === true;
}

/**
 * Gives a server a connection as if it had accepted it, with these bytes still to read. An HTTPS server also takes a connection
 * whose TLS handshake is done.
 */
export function injectConnection(server: Server, socket: Socket, bytes: Buffer): void {
  if (bytes.length > 0) {
    socket.unshift(bytes);
    (socket as Injected)[RECEIVED] = true;
  }
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket);
}
