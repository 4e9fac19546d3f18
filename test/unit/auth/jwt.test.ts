// What becomes of a token: a principal with its end, or a challenge that says what was wrong. Keys and fetching have tests of
// their own; forged and expired tokens go through the built gateway in test/e2e/auth.test.ts.
import { createHmac, createSecretKey } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import type { AuthRequest } from '../../../src/auth/authenticator.ts';
import { createJwt } from '../../../src/auth/jwt.ts';
import { openKeySet, openSecret } from '../../../src/auth/key-set.ts';
import { KeysUnavailable } from '../../../src/auth/remote-keys.ts';
import { auth, type JwtConfig } from '../../../src/config/schema/schema-auth.ts';

const SECRET = createSecretKey('x'.repeat(32), 'utf8');
const keys = openSecret(SECRET.export());
const seconds = Math.floor(Date.now() / 1000);
const sign = (claims: JWTPayload, header: object = {}) =>
  new SignJWT(claims).setProtectedHeader({ alg: 'HS256', ...header }).sign(SECRET);

/** A token of claims that JSON.stringify could not write. */
function signText(claims: string): string {
  const text = ['{"alg":"HS256"}', claims].map((part) => Buffer.from(part).toString('base64url')).join('.');
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

function judge(token: AuthRequest['token'], rules: object = {}, findKey: Parameters<typeof createJwt>[1] = keys) {
  const { jwt } = auth.parse({ jwt: { algorithms: ['HS256'], key: 'unused', ...rules } });
  return createJwt(jwt as JwtConfig, findKey).authenticate({ token } as AuthRequest);
}

describe('a good token', () => {
  it('is who it says, with all its claims, until it ends', async () => {
    const exp = seconds + 60;
    expect(await judge(await sign({ sub: 'ada', exp, role: 'x' }), { clock_skew: '0s' })).toEqual({
      subject: 'ada',
      claims: { sub: 'ada', exp, role: 'x' },
      expiresAt: exp * 1000,
      fields: [],
    });
  });
  it('ends as much later as clocks may be off', async () =>
    expect(await judge(await sign({ exp: seconds + 60 }), { clock_skew: '2s' })).toMatchObject({
      subject: null,
      expiresAt: (seconds + 62) * 1000,
    }));
  it.each<[string, JWTPayload, object, number | null]>([
    ['never, where it has no exp', {}, { require_exp: false }, null],
    ['never, where exp is beyond all numbers', { exp: Number.MAX_VALUE }, {}, null],
    ['never, where exp is beyond all dates', { exp: 8.64e12 + 1 }, {}, null],
    ['at the last of all dates', { exp: 8.64e12 }, {}, 8.64e15],
    ['at its greatest age', { iat: seconds, exp: seconds + 600 }, { max_age: '1m' }, (seconds + 60) * 1000],
    ['at exp, where that is sooner', { iat: seconds, exp: seconds + 6 }, { max_age: '1m' }, (seconds + 6) * 1000],
  ])('ends %s', async (_, claims, rules, expiresAt) =>
    expect(await judge(await sign(claims), { clock_skew: '0s', ...rules })).toMatchObject({ expiresAt }),
  );
  it('without kid is tried with each key of a set', async () => {
    const pairs = await Promise.all([1, 2, 3].map(() => generateKeyPair('ES256', { extractable: true })));
    const set = openKeySet({ keys: await Promise.all(pairs.map(({ publicKey }) => exportJWK(publicKey))) });
    const by = (key: (typeof pairs)[0]) =>
      new SignJWT({ sub: 'ada', exp: seconds + 60 }).setProtectedHeader({ alg: 'ES256' }).sign(key.privateKey);
    const rules = { algorithms: ['ES256'] };
    expect(await judge(await by(pairs[2]!), rules, set)).toMatchObject({ subject: 'ada' });
    const stranger = await generateKeyPair('ES256');
    expect(await judge(await by(stranger), rules, set)).toMatchObject({ detail: expect.stringContaining('signature') });
    const late = await new SignJWT({ exp: seconds - 60 })
      .setProtectedHeader({ alg: 'ES256' })
      .sign(pairs[0]!.privateKey);
    expect(await judge(late, rules, set)).toMatchObject({ detail: 'the token has expired' });
  });
});

describe('no good token', () => {
  it('is none', async () =>
    expect(await judge(null)).toMatchObject({ status: 401, reason: 'auth', fields: ['WWW-Authenticate', 'Bearer'] }));
  it('is one that could not be read', async () =>
    expect(await judge({ fault: 'the token is malformed' })).toMatchObject({
      reason: 'auth',
      fields: ['WWW-Authenticate', 'Bearer error="invalid_request", error_description="the token is malformed"'],
    }));
  it.each<[string, JWTPayload, object, string]>([
    ['issued in the future', { iat: seconds + 60, exp: seconds + 90 }, { max_age: '1h' }, 'claim iat'],
    ['with an exp that is no number', { exp: 'soon' as unknown as number }, {}, 'claim exp'],
    ['without a claim', { exp: seconds + 9 }, { required_claims: { 'a"b\\é': '*' } }, 'claim a"b\\é is not'],
  ])('is one %s', async (_, claims, rules, detail) => {
    const refused = await judge(await sign(claims), rules);
    expect(refused).toMatchObject({ reason: 'auth', detail: expect.stringContaining(detail) });
    expect('fields' in refused ? refused.fields[1] : '').toMatch(
      /^Bearer error="invalid_token", error_description="[^"\\]*"$/,
    );
  });
  it.each([65, 4000])('is one whose claims are %d levels deep; 64 are taken', async (depth) => {
    const nested = (levels: number): unknown => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);
    const token = (levels: number) =>
      signText(`{"exp":${seconds + 60},"sub":"ada","deep":${'['.repeat(levels)}${']'.repeat(levels)}}`);
    expect(await judge(token(depth - 1))).toMatchObject({
      status: 401,
      reason: 'auth',
      detail: 'claims are nested deeper than 64 levels',
    });
    expect(await judge(token(63))).toMatchObject({ subject: 'ada', claims: { deep: nested(63) } });
  });
  it('is one that asks for an extension (RFC 7515 §4.1.11)', async () =>
    expect(await judge(await sign({ exp: seconds + 9 }, { crit: ['x'], x: 1 }).catch(() => 'a.b.c'))).toMatchObject({
      detail: 'the token is malformed',
    }));
  it('is one that nobody can tell of', async () =>
    expect(await judge(await sign({}), {}, () => Promise.reject(new KeysUnavailable()))).toMatchObject({
      status: 503,
      reason: 'auth_unavailable',
    }));
  it('what breaks otherwise is no judgement', async () => {
    const broken = judge(await sign({}), {}, () => Promise.reject(new Error('broken')));
    await expect(broken).rejects.toThrow('broken');
  });
});
