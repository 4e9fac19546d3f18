// Keys that signatures are verified with, chosen by a token's header (RFC 7515 §4.1): from a JSON Web Key Set, or the
// one secret of HMAC. Where a set comes from is key-text.ts and remote-keys.ts.
import {
  type CompactJWSHeaderParameters,
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JWTVerifyGetKey,
} from 'jose';

/** Returns the key for a token; rejects where there is none. */
export type FindKey = JWTVerifyGetKey;
export type TokenHeader = CompactJWSHeaderParameters;
export type SignedToken = FlattenedJWSInput;

/** Parses a set; throws where it is invalid. */
export function openKeySet(set: unknown): FindKey {
  return createLocalJWKSet(set as Parameters<typeof createLocalJWKSet>[0]);
}

/** The secret of HMAC, the same for every token. */
export function openSecret(secret: Uint8Array): FindKey {
  return () => Promise.resolve(secret);
}

/** Whether the error says that a set does not have the key. */
export function isUnknownKey(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey;
}
