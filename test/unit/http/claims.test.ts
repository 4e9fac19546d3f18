// Claims as text: found by name or path, and written so that no backend reads another value than the token had.
import { describe, expect, it } from 'vitest';
import { claimHas, claimOf, formatClaim, textOf } from '../../../src/http/claims.ts';

const CLAIMS = {
  sub: 'ada',
  'https://a.example/role': 'admin',
  realm_access: { roles: ['a', 'b'] },
  'realm_access.roles': undefined,
  nested: { deep: { level: 3 } },
  scope: 'read write',
  none: null,
};

describe('a claim is found', () => {
  it.each<[string, unknown]>([
    ['sub', 'ada'],
    ['https://a.example/role', 'admin'],
    ['nested.deep.level', 3],
    ['nested.deep.none', undefined],
    ['sub.length', undefined],
    ['none.a', undefined],
    ['constructor', undefined],
    ['nested.constructor', undefined],
    ['missing', undefined],
  ])('%s', (name, value) => expect(claimOf(CLAIMS, name)).toEqual(value));
});

describe('as the value of a field', () => {
  it.each<[unknown, string | null]>([
    ['ada', 'ada'],
    [7, '7'],
    [true, 'true'],
    [['a', 'b', 3], 'a,b,3'],
    ['a,b', 'a,b'],
    ['é€', '\xc3\xa9\xe2\x82\xac'],
    ['', null],
    [[], null],
    [[''], null],
    [['a,b'], null],
    [['a', {}], null],
    [{ a: 1 }, null],
    [null, null],
    [undefined, null],
    ['a\r\nX-Admin: 1', null],
    ['a\0', null],
    ['a\tb', null],
    [' admin', null],
    ['admin ', null],
    [['a', ' b'], null],
  ])('%j', (value, text) => expect(formatClaim(value)).toBe(text));
});

it('as text there are strings, numbers and truth values', () =>
  expect(['a', 1, false, null, {}].map(textOf)).toEqual(['a', '1', 'false', null, null]));

describe('is what is asked for', () => {
  it.each<[string, string, boolean]>([
    ['sub', 'ada', true],
    ['sub', 'ad', false],
    ['sub', '*', true],
    ['missing', '*', false],
    ['none', '*', false],
    ['realm_access.roles', 'b', false],
    ['nested.deep.level', '3', true],
    ['scope', 'write', true],
    ['scope', 'read write', true],
    ['scope', 'rite', false],
  ])('%s: %s', (name, wanted, has) => expect(claimHas(CLAIMS, name, wanted)).toBe(has));
  it('in a list', () => {
    expect(claimHas({ roles: ['a', 'b'] }, 'roles', 'b')).toBe(true);
    expect(claimHas({ a: { roles: ['a', 'b'] } }, 'a.roles', 'c')).toBe(false);
    expect(claimHas({ scope: ['a'] }, 'scope', 'a')).toBe(true);
  });
});
