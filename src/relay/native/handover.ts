// How a connection leaves node without losing a byte, and comes back where the native side could not take it. An
// FdConnection is not node's, and there is nothing to do.
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { ignore } from '../../base/guard.ts';
import { type Connection, FdConnection } from '../../net/fd-connection.ts';
import { descriptorOf, responseUnderWay, startReadingHandle, stopReadingHandle } from '../../net/node-internals.ts';

/** Whether it is plain, open, has a descriptor, and nothing is on its way out through node. */
export function isPlain(socket: Connection): boolean {
  if (socket instanceof FdConnection) return socket.fd >= 0;
  // A stream of HTTP/2 has no descriptor of its own.
  if (!(socket instanceof Socket) || socket instanceof TLSSocket || socket.destroyed || socket.connecting) return false;
  if (descriptorOf(socket) < 0) return false;
  // Behind an earlier request an answer may be still to be written, of which the socket does not know.
  if (responseUnderWay(socket) !== null) return false;
  return !socket.writableEnded && socket.writableLength === 0;
}

/** Stops reading at once and takes what node has read already; from here on the socket's bytes stay in the kernel. */
export function detach(socket: Connection, early: Buffer): Buffer {
  if (socket instanceof FdConnection) return early;
  if (socket.listenerCount('error') === 0) socket.on('error', ignore);
  stopReadingHandle(socket);
  if (socket.readableLength === 0) return early;
  const more: unknown = socket.read();
  return more instanceof Buffer ? Buffer.concat([early, more]) : early;
}

/** The tunnel has its own copy of the descriptor now, or this one: closes node's without a byte to the peer. */
export function closeDetached(connection: Connection): void {
  if (connection instanceof FdConnection) connection.take();
  else connection.destroy();
}

/** Undoes detach(), which had `early` bytes before it took `taken`. */
export function reattach(socket: Connection, taken: Buffer, early: number): void {
  if (socket instanceof FdConnection) return;
  if (taken.length > early) socket.unshift(taken.subarray(early));
  startReadingHandle(socket);
}
