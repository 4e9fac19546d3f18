// Whom a limit of a claim is about. Pure; a limit of an address goes by http/address-key.ts.
import { createHash } from 'node:crypto';

/** Longer claims stand as their digest: a client must not say how much memory its name takes. */
const LONGEST_CLAIM = 64;

/** What a claim says, short. */
export function claimKey(claim: string): string {
  return claim.length <= LONGEST_CLAIM ? claim : createHash('sha256').update(claim).digest('base64url');
}
