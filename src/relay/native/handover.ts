// How a connection leaves node without losing a byte, and comes back where the native side could not take it. An
// FdConnection is not node's, and there is nothing to do.
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type Connection, FdConnection } from '../../net/fd-connection.ts';

/** The part of node's stream handle that a hand-over needs; none of it is documented, all of it is in node 20 to 26. */
interface Handle {
  readonly fd: number;
  readonly writeQueueSize: number;
  reading: boolean;
  readStart(): number;
  readStop(): number;
}
type SocketInternals = Socket & { readonly _handle: Handle | null; readonly _httpMessage?: object | null };

/** Whether it is plain, open, has a descriptor, and nothing is on its way out through node. */
export function isPlain(socket: Connection): boolean {
  if (socket instanceof FdConnection) return socket.fd >= 0;
  const { _handle: handle, _httpMessage: message } = socket as SocketInternals;
  if (socket instanceof TLSSocket || socket.destroyed || socket.connecting) return false;
  if (handle === null || handle === undefined || !(handle.fd >= 0)) return false;
  // With a pipelined request in front, only `_httpMessage` says that an answer is still to be written.
  if (message !== null && message !== undefined) return false;
  return !socket.writableEnded && socket.writableLength === 0 && !(handle.writeQueueSize > 0);
}

/** Stops reading at once and takes what node has read already; from here on the socket's bytes stay in the kernel. */
export function detach(socket: Connection, early: Buffer): Buffer {
  if (socket instanceof FdConnection) return early;
  if (socket.listenerCount('error') === 0) socket.on('error', ignore);
  const handle = (socket as SocketInternals)._handle;
  if (handle !== null) {
    handle.readStop();
    handle.reading = false;
  }
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
  const handle = (socket as SocketInternals)._handle;
  if (handle === null) return;
  handle.reading = true;
  handle.readStart();
}

function ignore(): void {
  // The errors of a detached socket concern nothing any more.
}
