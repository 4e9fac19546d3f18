// The key of a client for a limit by claim. Pure; a limit of an address goes by http/address-key.ts.
import { createHash } from 'node:crypto';

/** Longer claims stand as their digest: a client must not choose how much memory its key takes. */
const LONGEST_CLAIM = 64;

/** A claim's value, short. */
export function claimKey(claim: string): string {
  return claim.length <= LONGEST_CLAIM ? claim : createHash('sha256').update(claim).digest('base64url');
}
