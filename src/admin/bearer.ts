// Whether a request shows the token, as a bearer's (RFC 6750 §2.1) or as a password (RFC 7617 §2), compared without
// telling by its time how much of it was right.
import { createHash, timingSafeEqual } from 'node:crypto';

/** `authorization` is the field's value, or undefined where there is none. */
export function showsToken(authorization: string | undefined, token: string): boolean {
  const [, shown] = /^Bearer +([^\s]+) *$/i.exec(authorization ?? '') ?? [];
  // Fields come as octets, one a character.
  return shown !== undefined && isToken(Buffer.from(shown, 'latin1'), token);
}

/** The same of the password of `Basic`, beside any name: what a browser asks its user for. */
export function showsPassword(authorization: string | undefined, token: string): boolean {
  const [, shown] = /^Basic +([A-Za-z0-9+/]+=*) *$/i.exec(authorization ?? '') ?? [];
  if (shown === undefined) return false;
  const pair = Buffer.from(shown, 'base64');
  const colon = pair.indexOf(':');
  return colon !== -1 && isToken(pair.subarray(colon + 1), token);
}

/** Digests are of one length, whatever was shown. */
function isToken(shown: Buffer, token: string): boolean {
  return timingSafeEqual(digest(shown), digest(Buffer.from(token)));
}

function digest(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
