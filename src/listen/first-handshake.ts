// The head of a connection's first request, read before the connection has become a socket of node's. Only a handshake
// that came whole is taken here; everything else is left to the listener's server, from its first byte on. Pure.
import { wantsWebSocket } from '../handshake/handshake.ts';
import type { MessageLike } from '../http/head.ts';
import { RequestReader } from '../http/request-reader.ts';

/** A handshake by its Upgrade and Connection, and where in the bytes its head ends. */
export interface FirstHandshake {
  readonly message: MessageLike;
  readonly end: number;
}

const G = 0x47;

/** The handshake that these bytes begin with; null where they don't, or it is not whole, or not well-formed. */
export function readFirstHandshake(bytes: Buffer, maxHead: number): FirstHandshake | null {
  if (bytes[0] !== G) return null;
  const start = new RequestReader(maxHead).take(bytes);
  if (start === null || 'fault' in start) return null;
  const { method, target, version, fields } = start.head;
  if (method !== 'GET' || !wantsWebSocket(start.head)) return null;
  return { message: { method, url: target, httpVersion: version, rawHeaders: fields }, end: start.taken };
}
