// Whether a request shows the token (RFC 6750 §2.1), compared without telling by its time how much of it was right.
import { createHash, timingSafeEqual } from 'node:crypto';

/** `authorization` is the field's value, or undefined where there is none. */
export function showsToken(authorization: string | undefined, token: string): boolean {
  const [, shown] = /^Bearer +([^\s]+) *$/i.exec(authorization ?? '') ?? [];
  if (shown === undefined) return false;
  // Of one length whatever was shown. Fields come as octets, one a character.
  return timingSafeEqual(digest(Buffer.from(shown, 'latin1')), digest(Buffer.from(token)));
}

function digest(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
