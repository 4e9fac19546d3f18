// Whether a request shows the token, as a bearer's (RFC 6750 §2.1) or as a password (RFC 7617 §2), compared in
// constant time.
import { createHash, timingSafeEqual } from 'node:crypto';

/** `authorization` is the field's value, or undefined where there is none. */
export function presentsToken(authorization: string | undefined, token: string): boolean {
  const [, presented] = /^Bearer +([^\s]+) *$/i.exec(authorization ?? '') ?? [];
  // Fields come as octets, one a character.
  return presented !== undefined && isToken(Buffer.from(presented, 'latin1'), token);
}

/** The same of the password of `Basic`, beside any name: what a browser asks its user for. */
export function presentsPassword(authorization: string | undefined, token: string): boolean {
  const [, presented] = /^Basic +([A-Za-z0-9+/]+=*) *$/i.exec(authorization ?? '') ?? [];
  if (presented === undefined) return false;
  const pair = Buffer.from(presented, 'base64');
  const colon = pair.indexOf(':');
  return colon !== -1 && isToken(pair.subarray(colon + 1), token);
}

/** Digests are of one length, whatever was shown. */
function isToken(presented: Buffer, token: string): boolean {
  return timingSafeEqual(digest(presented), digest(Buffer.from(token)));
}

function digest(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
