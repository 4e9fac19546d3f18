// Keys that signatures are verified with, chosen by what a token's header says (RFC 7515 §4.1): from a JSON Web Key Set,
// or the one secret of HMAC. Where a set comes from is key-text.ts and remote-keys.ts.
import {
  type CompactJWSHeaderParameters,
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JWTVerifyGetKey,
} from 'jose';

/** Gives the key for a token; rejects where there is none. */
export type FindKey = JWTVerifyGetKey;
export type TokenHeader = CompactJWSHeaderParameters;
export type SignedToken = FlattenedJWSInput;

/** A set that was read; throws where it is none. */
export function openKeySet(set: unknown): FindKey {
  return createLocalJWKSet(set as Parameters<typeof createLocalJWKSet>[0]);
}

/** The secret of HMAC, the same for every token. */
export function openSecret(secret: Uint8Array): FindKey {
  return () => Promise.resolve(secret);
}

/** Whether a set was asked for a key that it does not have. */
export function isUnknownKey(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey;
}
