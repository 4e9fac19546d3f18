// Sec-WebSocket-Accept (RFC 6455 §4.2.2): the proof that whoever answered understood the handshake.
import { hash } from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The accept key for a client's key. */
export function acceptKey(key: string): string {
  return hash('sha1', key + GUID, 'base64');
}
