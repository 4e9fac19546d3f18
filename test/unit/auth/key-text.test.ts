// The key of a config: each kind with the algorithms it goes with, and with none else; what is wrong is said without it.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readKeyText } from '../../../src/auth/key-text.ts';

const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const short = generateKeyPairSync('rsa', { modulusLength: 1024 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const ed = generateKeyPairSync('ed25519');
const jwk = (key: KeyObject, more: object = {}) => ({ ...key.export({ format: 'jwk' }), ...more });
const secret = 's'.repeat(32);

type Algorithms = Parameters<typeof readKeyText>[1];

describe('a key is taken', () => {
  it.each<[string, string, Algorithms]>([
    ['RSA in PEM', pem(rsa.publicKey), ['RS256', 'PS512']],
    ['P-256 in PEM', pem(p256.publicKey), ['ES256']],
    ['P-384 in PEM', pem(p384.publicKey), ['ES384']],
    ['Ed25519 in PEM', pem(ed.publicKey), ['EdDSA', 'Ed25519']],
    ['a JWK', JSON.stringify(jwk(p256.publicKey, { kid: 'a' })), ['ES256']],
    [
      'a JWKS, of which one fits',
      JSON.stringify({ keys: [jwk(rsa.publicKey), jwk(p256.publicKey), { kty: 'new' }] }),
      ['ES256'],
    ],
    ['a secret', secret, ['HS256']],
  ])('%s', (_, text, algorithms) => expect(readKeyText(text, algorithms)).toBeTypeOf('function'));
});

describe('a key is refused', () => {
  const privatePem = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  it.each<[string, string, Algorithms, string]>([
    ['that is private', privatePem, ['RS256'], 'private key'],
    ['that is private, as a JWK', JSON.stringify(jwk(p256.privateKey)), ['ES256'], 'private key'],
    ['public, as the secret of HMAC', pem(rsa.publicKey), ['HS256'], 'never be the secret'],
    ['as JSON, as the secret of HMAC', '{"kty":"oct"}', ['HS256'], 'the secret itself'],
    [
      'a secret within a set',
      JSON.stringify({ keys: [jwk(p256.publicKey), { kty: 'oct', k: 'x' }] }),
      ['ES256'],
      'key 2 of 2',
    ],
    ['for both kinds of algorithms', secret, ['HS256', 'RS256'], 'one route has one of them'],
    ['of another kind', pem(rsa.publicKey), ['ES256'], 'type rsa 2048, which does not go with ES256'],
    ['of another curve', pem(p384.publicKey), ['ES256', 'ES384'], 'secp384r1, which does not go with ES256'],
    ['of Ed25519 for another', pem(ed.publicKey), ['RS256'], 'type ed25519, which'],
    ['that is too short', pem(short.publicKey), ['RS256'], 'rsa 1024'],
    ['a secret that is too short', secret.slice(1), ['HS256'], '31 bytes; HS256 needs 32'],
    ['a secret that is too short for one', secret, ['HS256', 'HS512'], 'needs 64'],
    ['a secret for a public key', secret, ['RS256'], 'holds no public key'],
    ['no PEM', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----', ['RS256'], 'can be read'],
    ['no JSON', '{', ['RS256'], 'neither JSON nor PEM'],
    ['an empty set', '{"keys":[]}', ['RS256'], 'no key that goes with RS256'],
    [
      'a set of none that fits',
      JSON.stringify({ keys: [jwk(rsa.publicKey)] }),
      ['ES256'],
      'no key that goes with ES256',
    ],
    ['a set of what is no key', '{"keys":[7]}', ['RS256'], 'no JWK'],
  ])('%s', (_, text, algorithms, fault) => {
    const keys = readKeyText(text, algorithms);
    expect(keys).toEqual(expect.stringContaining(fault));
    expect(keys).not.toContain(text);
  });
});
