// Parses the first bytes of a connection, before it becomes a node socket. Only a complete handshake is taken here; everything
// else goes to the listener's server, from its first byte on. Pure.
import { wantsWebSocket } from '../handshake/handshake.ts';
import type { MessageLike } from '../http/head.ts';
import { type HeadFault, RequestReader, type RequestStart } from '../http/request-reader.ts';

/** A handshake by its Upgrade and Connection, and where in the bytes its head ends. */
export interface FirstHandshake {
  readonly message: MessageLike;
  readonly end: number;
}

const G = 0x47;

/** The handshake that these bytes begin with; null if there is none, or it is incomplete or malformed. */
export function readFirstHandshake(bytes: Buffer, maxHead: number): FirstHandshake | null {
  return bytes[0] === G ? handshakeIn(new RequestReader(maxHead).take(bytes)) : null;
}

/** The same, of bytes that were parsed already. */
export function handshakeIn(start: RequestStart | HeadFault | null): FirstHandshake | null {
  if (start === null || 'fault' in start) return null;
  const { method, target, version, fields, names } = start.head;
  if (method !== 'GET' || !wantsWebSocket(start.head)) return null;
  return { message: { method, url: target, httpVersion: version, rawHeaders: fields, names }, end: start.taken };
}
