// Tokens taken out of requests: found in each place, gone from where they must not stay, and everything else left as it was.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type TokenRule, type TokenSource, takeToken } from '../../../src/http/token.ts';
import { numRuns } from '../../support/arbitraries.ts';
import { type Change, plainHead, requestOf } from '../../support/heads.ts';

const HEADER: TokenSource = { kind: 'header' };
const COOKIE: TokenSource = { kind: 'cookie', name: 'session' };
const QUERY: TokenSource = { kind: 'query', name: 'access_token' };
const SUBPROTOCOL: TokenSource = { kind: 'subprotocol', prefix: 'bearer.' };
const ALL = [HEADER, COOKIE, QUERY, SUBPROTOCOL];

const take = (change: Change, from: readonly TokenSource[] = ALL, keep = true) =>
  takeToken({ from, keep } satisfies TokenRule, requestOf(plainHead({ target: '/ws', ...change })));

/** The lines of a field. */
const lines = ({ request }: ReturnType<typeof take>, name: string) =>
  request.head.names.flatMap((each, i) => (each === name ? [request.head.fields[2 * i + 1]] : []));

describe('a token is found', () => {
  it.each<[string, Change]>([
    ['in Authorization', { fields: { Authorization: 'Bearer t0.k-e_n' } }],
    ['in Authorization, in any case and with more spaces', { fields: { authorization: 'bEARER \t t0.k-e_n ' } }],
    ['in a cookie', { fields: { Cookie: 'a=1; session=t0.k-e_n; b=2' } }],
    ['in a cookie of a second line', { fields: { Cookie: ['a=1', 'session = t0.k-e_n'] } }],
    ['in the query', { target: '/ws?a&access_token=t0.k-e_n&b=2' }],
    ['in the query, escaped', { target: '/ws?access%5Ftoken=t0%2Ek-e_n' }],
    ['among the subprotocols', { fields: { 'Sec-WebSocket-Protocol': 'chat, bearer.t0.k-e_n' } }],
    ['twice, the same', { target: '/ws?access_token=t0.k-e_n', fields: { Cookie: 'session=t0.k-e_n' } }],
  ])('%s', (_, change) => expect(take(change).token).toBe('t0.k-e_n'));

  it.each<[string, Change]>([
    ['where nothing is', {}],
    ['in another scheme', { fields: { Authorization: 'Basic YTpi' } }],
    ['in another cookie, or one without a value', { fields: { Cookie: 'sessions=x; session; session=' } }],
    ['in another parameter, or an empty one', { target: '/ws?token=x&access_token=&my_access_token=y;z' }],
    ['in a subprotocol that is the prefix alone', { fields: { 'Sec-WebSocket-Protocol': 'bearer., bearer' } }],
  ])('not %s', (_, change) => expect(take(change).token).toBeNull());

  it('nowhere but where the rule looks', () => {
    const target = '/ws?access_token=a';
    const fields = { Authorization: 'Bearer b', Cookie: 'session=c', 'Sec-WebSocket-Protocol': 'bearer.d' };
    const change = { target, fields };
    expect(take(change, [HEADER]).token).toBe('b');
    expect(take(change, [COOKIE]).token).toBe('c');
    expect(take(change, [QUERY]).token).toBe('a');
    expect(take(change, [SUBPROTOCOL]).token).toBe('d');
    expect(take(change, [SUBPROTOCOL]).request.target.raw).toBe(target);
  });

  it.each<[string, Change, string]>([
    ['two places', { target: '/ws?access_token=a', fields: { Authorization: 'Bearer b' } }, 'more than one'],
    ['two parameters', { target: '/ws?access_token=a&access_token=b' }, 'more than one'],
    ['letters of another case', { target: '/ws?access_token=a&Access_Token=b' }, 'take for a token'],
    ['a parameter behind a semicolon', { target: '/ws?access_token=a;access_token=b' }, 'take for a token'],
    ['an element of a list', { target: '/ws?access_token[]=b&access_token=a' }, 'take for a token'],
    ['a name with a dot', { target: '/ws?access%2Etoken=b&access_token=a' }, 'take for a token'],
    ['two subprotocols', { fields: { 'Sec-WebSocket-Protocol': 'bearer.a, bearer.b' } }, 'more than one'],
    ['a space', { fields: { Authorization: 'Bearer a b' } }, 'malformed'],
    ['an octet beyond ASCII', { target: '/ws?access_token=%e9' }, 'malformed'],
    ['more than 16 KiB', { target: `/ws?access_token=${'a'.repeat(16 * 1024 + 1)}` }, 'too large'],
  ])('not one of %s', (_, change, fault) => {
    const taken = take(change);
    expect(taken.token).toEqual({ fault: expect.stringContaining(fault) });
    expect(taken.request.target.raw).not.toContain('access_token=a');
    expect(lines(taken, 'sec-websocket-protocol')).toEqual([]);
  });
});

describe('a token is taken out', () => {
  it.each([
    ['/ws?access_token=t', '/ws', ''],
    ['/ws?access_token=t&', '/ws?', ''],
    ['/ws?a=%2f+&access_token=t&b', '/ws?a=%2f+&b', 'a=%2f+&b'],
    ['/ws?access_token=t&access_token=t&c=1', '/ws?c=1', 'c=1'],
    ['/ws?', '/ws?', ''],
    ['/ws?c=access_token', '/ws?c=access_token', 'c=access_token'],
    ['http://app.example.com/ws?access_token=t', '/ws', ''],
  ])('of the query: %s', (target, raw, query) => {
    const { request } = take({ target });
    expect(request.target).toMatchObject({ raw, query, path: '/ws' });
    expect(request.head.target).toBe(target.includes('access_token=') ? raw : target);
  });

  it.each([
    ['bearer.t', []],
    ['chat, bearer.t', ['chat']],
    ['bearer.t,chat , x', ['chat , x']],
    ['chat', ['chat']],
  ])('of the subprotocols: %s', (offer, left) => {
    const taken = take({ fields: { 'Sec-WebSocket-Protocol': offer } });
    expect(lines(taken, 'sec-websocket-protocol')).toEqual(left);
    expect(taken.request.head.names).toHaveLength(1 + left.length);
  });

  const both = { fields: { Authorization: 'Bearer t', Cookie: ['a=1;session=t; b="2"', 'session=t'], 'X-A': 'b' } };
  it('of header and cookie only where the rule says so', () => {
    expect(take(both).request).toEqual(requestOf(plainHead({ target: '/ws', ...both })));
    const taken = take(both, ALL, false);
    expect(lines(taken, 'authorization')).toEqual([]);
    expect(lines(taken, 'cookie')).toEqual(['a=1; b="2"']);
    expect(lines(taken, 'x-a')).toEqual(['b']);
  });
  it('and another scheme stays', () => {
    expect(lines(take({ fields: { Authorization: 'Basic YTpi' } }, ALL, false), 'authorization')).toEqual([
      'Basic YTpi',
    ]);
  });
});

describe('whatever the request', () => {
  const parameter = fc.oneof(
    fc.constantFrom('access_token=SECRET', 'access%5ftoken=SECRET', 'a', '', 'b=1', '%zz', 'x=%'),
    fc.stringMatching(/^[a-z=%]{0,8}$/),
  );
  it('nothing of a token is left in target or offer, and the rest is untouched', () => {
    fc.assert(
      fc.property(fc.array(parameter, { maxLength: 6 }), fc.boolean(), (parameters, offered) => {
        const offer = offered ? { 'Sec-WebSocket-Protocol': 'x, bearer.SECRET' } : {};
        const { request } = take({ target: `/ws?${parameters.join('&')}`, fields: offer });
        expect(JSON.stringify(request)).not.toContain('SECRET');
        const kept = parameters.filter((each) => !each.endsWith('SECRET'));
        const expected = kept.length === 0 && parameters.length > 0 ? '/ws' : `/ws?${kept.join('&')}`;
        expect(request.target.raw).toBe(expected);
      }),
      { numRuns },
    );
  });
});
