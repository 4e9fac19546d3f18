// The first bytes of a connection, read before it has become a socket of node's. Only a handshake that came whole is taken
// then; everything else is the listener's server's, from its first byte on. Pure.
import { wantsWebSocket } from '../handshake/handshake.ts';
import type { MessageLike } from '../http/head.ts';
import { type HeadFault, RequestReader, type RequestStart } from '../http/request-reader.ts';

/** A handshake by its Upgrade and Connection, and where in the bytes its head ends. */
export interface FirstHandshake {
  readonly message: MessageLike;
  readonly end: number;
}

const G = 0x47;

/** The handshake that these bytes begin with; null where they don't, or it is not whole, or not well-formed. */
export function readFirstHandshake(bytes: Buffer, maxHead: number): FirstHandshake | null {
  return bytes[0] === G ? handshakeIn(new RequestReader(maxHead).take(bytes)) : null;
}

/** The same of what a reader has made of them. */
export function handshakeIn(start: RequestStart | HeadFault | null): FirstHandshake | null {
  if (start === null || 'fault' in start) return null;
  const { method, target, version, fields, names } = start.head;
  if (method !== 'GET' || !wantsWebSocket(start.head)) return null;
  return { message: { method, url: target, httpVersion: version, rawHeaders: fields, names }, end: start.taken };
}
