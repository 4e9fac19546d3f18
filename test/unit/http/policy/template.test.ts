// Values of fields with variables in them.
import { describe, expect, it } from 'vitest';
import { compileTemplate } from '../../../../src/http/policy/template.ts';
import { plainHead, requestOf } from '../../../support/heads.ts';

const facts = {
  request: requestOf(plainHead({ target: '/rooms/a%20b?x=1&y', secure: true, method: 'PUT' })),
  client: { address: '203.0.113.9', viaTrusted: false, id: 'abc', connection: 'abc' },
  route: 'rooms',
  params: { room: 'a%20b' },
  claims: null,
  granted: [],
};
const known = { params: ['room'], claims: false };

function render(text: string): string | null {
  const template = compileTemplate(text, known);
  if (typeof template === 'string') throw new Error(template);
  return template(facts);
}

describe('a template', () => {
  it.each([
    ['', ''],
    ['plain', 'plain'],
    ['{client_ip}', '203.0.113.9'],
    ['{request_id}/{route}', 'abc/rooms'],
    ['{scheme}://{host}{path}?{query}', 'https://app.example.com/rooms/a%20b?x=1&y'],
    ['{method} {room}.', 'PUT a%20b.'],
    ['{{{room}}} {{}}', '{a%20b} {}'],
    ['caf\xe9 {client_ip}', 'caf\xc3\xa9 203.0.113.9'],
    ['\u20ac', '\xe2\x82\xac'],
    ['\u{1f600}', '\xf0\x9f\x98\x80'],
  ])('%s', (text, value) => expect(render(text)).toBe(value));

  it.each([
    ['a\r\nSet-Cookie: b', 'control characters'],
    ['a\0', 'control characters'],
    ['\x7f', 'control characters'],
    ['a\ud83d', 'halves of characters'],
    ['{nothing}', '{nothing} is no variable; there is {client_ip}'],
    ['{constructor}', 'is no variable'],
    ['{', 'written twice'],
    ['a}', 'written twice'],
  ])('%j is refused', (text, message) =>
    expect(compileTemplate(text, { params: [], claims: false })).toContain(message),
  );
});

it('a request over plain HTTP without a query, and a parameter that has no value', () => {
  const plain = { ...facts, request: requestOf(plainHead({ target: '/a' })), params: {} };
  const template = compileTemplate('{scheme} {path} {query}{room}.', known);
  expect(typeof template === 'string' ? template : template(plain)).toBe('http /a .');
});

describe('claims', () => {
  const withClaims = (text: string, claims: Record<string, unknown>) => {
    const template = compileTemplate(text, { params: [], claims: true });
    return typeof template === 'string' ? template : template({ ...facts, claims });
  };
  it('fill a value', () => {
    const claims = { sub: 'ada', roles: ['a', 'b'], deep: { er: 7 } };
    expect(withClaims('{claim.sub}', claims)).toBe('ada');
    expect(withClaims('{route}:{claim.sub};{claim.roles};{claim.deep.er}', claims)).toBe('rooms:ada;a,b;7');
  });
  it('that are missing, or can’t be written, leave no value', () => {
    expect(withClaims('user {claim.sub}', {})).toBeNull();
    expect(withClaims('{claim.sub}', { sub: 'a\r\nX: 1' })).toBeNull();
  });
  it('of a request that was let in without credentials are missing', () => {
    const template = compileTemplate('{claim.sub}', { params: [], claims: true });
    expect(typeof template === 'string' ? template : template(facts)).toBeNull();
  });
  it('are refused where a route asks for no credentials', () =>
    expect(compileTemplate('{claim.sub}', known)).toContain('the route asks for none'));
});
