// The key of a config, as text: a public key in PEM, a JWK or a JWKS, or the secret of HMAC. It is checked against the
// algorithms that it is for, so that no public key is ever taken for a secret.

import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { lookupTable } from '../base/lookup-table.ts';
import type { JwtConfig } from '../config/schema/schema-auth.ts';
import { type FindKey, openKeySet, openSecret } from './key-set.ts';

type Algorithm = JwtConfig['algorithms'][number];

/** RFC 7518 §3.2: a secret is at least as long as the hash. */
const SECRET_BYTES: Readonly<Record<string, number>> = lookupTable({ HS256: 32, HS384: 48, HS512: 64 });
/** RFC 7518 §3.3. */
const RSA_BITS = 2048;
const CURVES: Readonly<Record<string, string>> = lookupTable({
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
});

/** Reads the key for these algorithms; a string is the error, without anything of the key. */
export function readKeyText(text: string, algorithms: readonly Algorithm[]): FindKey | string {
  const secrets = algorithms.filter((algorithm) => algorithm.startsWith('HS'));
  const isPublic = text.startsWith('{') || text.startsWith('-----BEGIN ');
  if (secrets.length > 0 && secrets.length < algorithms.length)
    return 'HS algorithms go with a secret, the others with a public key: one route has one of them';
  if (secrets.length > 0) return isPublic ? secretFault(text) : readSecret(text, secrets);
  if (!isPublic) return `holds no public key (PEM, JWK or JWKS), which ${algorithms.join(', ')} would need`;
  return text.startsWith('{') ? readJwks(text, algorithms) : readPem(text, algorithms);
}

function secretFault(text: string): string {
  return text.startsWith('{')
    ? 'holds JSON, and HS algorithms need the secret itself'
    : 'holds a PEM key, which must never be the secret of HMAC';
}

function readSecret(text: string, algorithms: readonly Algorithm[]): FindKey | string {
  const secret = new TextEncoder().encode(text);
  const least = Math.max(...algorithms.map((algorithm) => SECRET_BYTES[algorithm] ?? 0));
  return secret.length < least
    ? `holds a secret of ${secret.length} bytes; ${algorithms.join(', ')} needs ${least} (RFC 7518)`
    : openSecret(secret);
}

function readPem(text: string, algorithms: readonly Algorithm[]): FindKey | string {
  if (text.includes('PRIVATE KEY')) return 'holds a private key; the public one is enough, and safer here';
  const key = publicKey(text);
  if (typeof key === 'string') return key;
  const wrong = algorithms.filter((algorithm) => !fits(key, algorithm));
  if (wrong.length > 0) return `holds ${describe(key)}, which does not go with ${wrong.join(', ')}`;
  return openKeySet({ keys: [key.export({ format: 'jwk' })] });
}

function readJwks(text: string, algorithms: readonly Algorithm[]): FindKey | string {
  let set: { keys?: unknown };
  try {
    set = JSON.parse(text) as { keys?: unknown };
  } catch {
    return 'is neither JSON nor PEM';
  }
  const keys = Array.isArray(set.keys) ? (set.keys as unknown[]) : [set];
  let usable = 0;
  for (const [i, jwk] of keys.entries()) {
    const fault = jwkFault(jwk);
    if (fault !== null) return keys.length === 1 ? fault : `${fault} (key ${i + 1} of ${keys.length})`;
    const key = publicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    // A set may hold keys of kinds that are unknown here, for others.
    if (typeof key !== 'string' && algorithms.some((algorithm) => fits(key, algorithm))) usable++;
  }
  if (usable === 0) return `holds no key that goes with ${algorithms.join(', ')}`;
  return openKeySet({ keys });
}

function jwkFault(jwk: unknown): string | null {
  if (typeof jwk !== 'object' || jwk === null) return 'holds a key that is no JWK';
  if ('d' in jwk) return 'holds a private key; the public one is enough, and safer here';
  return 'k' in jwk ? 'holds a secret as a JWK; HS algorithms need the secret itself' : null;
}

function publicKey(input: Parameters<typeof createPublicKey>[0]): KeyObject | string {
  try {
    return createPublicKey(input);
  } catch {
    return 'holds no public key that can be read';
  }
}

function fits(key: KeyObject, algorithm: Algorithm): boolean {
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (algorithm.startsWith('RS') || algorithm.startsWith('PS'))
    return key.asymmetricKeyType === 'rsa' && modulusLength >= RSA_BITS;
  if (algorithm.startsWith('Ed')) return key.asymmetricKeyType === 'ed25519';
  return key.asymmetricKeyType === 'ec' && namedCurve === CURVES[algorithm];
}

function describe({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  const { modulusLength, namedCurve } = asymmetricKeyDetails ?? {};
  return `a key of type ${[asymmetricKeyType, namedCurve ?? modulusLength].filter(Boolean).join(' ')}`;
}
