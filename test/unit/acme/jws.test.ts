// What an account's key signs, held against another implementation of JWS, and against the thumbprint of RFC 7638.
import { createHash, createHmac, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint, flattenedVerify, importJWK } from 'jose';
import { describe, expect, it } from 'vitest';
import { AccountKey } from '../../../src/acme/jws.ts';

/** The key of RFC 7515, appendix A.3. */
const RFC_KEY = createPrivateKey({
  format: 'jwk',
  key: {
    kty: 'EC',
    crv: 'P-256',
    x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
    y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
    d: 'jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI',
  },
});
const key = new AccountKey(RFC_KEY);
const decode = (text: string) => JSON.parse(Buffer.from(text, 'base64url').toString()) as unknown;

describe('a signed request', () => {
  it('is what another implementation verifies, with the header and the payload in it', async () => {
    const header = { url: 'https://acme.example/new-account', nonce: 'n-1', jwk: key.jwk };
    const jws = key.sign(header, { contact: ['mailto:ä@example.org'] });
    const verified = await flattenedVerify(jws, await importJWK({ ...key.jwk }, 'ES256'));
    expect(verified.protectedHeader).toEqual({ alg: 'ES256', ...header });
    expect(JSON.parse(Buffer.from(verified.payload).toString())).toEqual({ contact: ['mailto:ä@example.org'] });
  });

  it('has an empty payload where it only asks, and an object where it has nothing to say', () => {
    const header = { url: 'https://acme.example/order/1', kid: 'https://acme.example/account/1' };
    expect(key.sign(header, null).payload).toBe('');
    expect(decode(key.sign(header, {}).payload)).toEqual({});
  });
});

it('a key authorization is the token and the thumbprint of the key', async () => {
  expect(key.keyAuthorization('token')).toBe(`token.${await calculateJwkThumbprint({ ...key.jwk })}`);
  // RFC 7638 §3: the members in this order, without blanks.
  const canonical = `{"crv":"P-256","kty":"EC","x":"${key.jwk.x}","y":"${key.jwk.y}"}`;
  expect(key.keyAuthorization('')).toBe(`.${createHash('sha256').update(canonical).digest('base64url')}`);
});

it('is bound to an external account by a MAC over its public part', () => {
  const mac = Buffer.from('a secret of the authority, of some length');
  const url = 'https://acme.example/new-account';
  const jws = key.bind({ kid: 'kid-1', key: mac.toString('base64url') }, url);
  expect(decode(jws.protected)).toEqual({ alg: 'HS256', kid: 'kid-1', url });
  expect(decode(jws.payload)).toEqual(key.jwk);
  const expected = createHmac('sha256', mac).update(`${jws.protected}.${jws.payload}`).digest('base64url');
  expect(jws.signature).toBe(expected);
});

it.each([
  ['of another curve', generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
  ['of another kind', generateKeyPairSync('ed25519').privateKey],
])('a key %s is none', (_, other) => {
  expect(() => new AccountKey(other)).toThrow('EC P-256');
});
