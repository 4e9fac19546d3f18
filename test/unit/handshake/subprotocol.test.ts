// What a client offers, what a route lets through, and what a terminating route answers.
import { describe, expect, it } from 'vitest';
import { chooseSubprotocol, cutOffer, readOffer, shownSubprotocol } from '../../../src/handshake/subprotocol.ts';
import { handshakeHead } from '../../support/heads.ts';

const offer = (...lines: string[]) => readOffer(handshakeHead({ fields: { 'Sec-WebSocket-Protocol': lines } }));

describe('the offer', () => {
  it.each([
    ['none', [], []],
    ['one', ['chat'], ['chat']],
    ['a list in its order', ['chat.v2, chat.v1'], ['chat.v2', 'chat.v1']],
    ['a list over lines', ['b', 'a, c'], ['b', 'a', 'c']],
    ['tabs and spaces', ['\ta ,\tb '], ['a', 'b']],
    ['names that differ in case (§4.1 compares as they are)', ['chat, Chat'], ['chat', 'Chat']],
    ['empty elements, which count for nothing (RFC 9110 §5.6.1.2)', [',a,,b,', ''], ['a', 'b']],
    ['all that a token may hold', ["!#$%&'*+-.^_`|~0aZ"], ["!#$%&'*+-.^_`|~0aZ"]],
    ['names that objects have by themselves', ['__proto__, constructor'], ['__proto__', 'constructor']],
  ])('%s', (_, lines, names) => expect(offer(...lines)).toEqual(names));
  it.each([
    ['a space inside', ['a b']],
    ['a separator', ['a/b']],
    ['quotes', ['"a"']],
    ['a parameter', ['a;q=1']],
    ['octets beyond ASCII', ['\u00c3\u00a9']],
    ['one name twice', ['a, b, a']],
    ['one name twice over lines', ['a', 'a']],
  ])('%s is malformed', (_, lines) =>
    expect(offer(...lines)).toMatchObject({
      reason: 'malformed',
      status: 400,
      detail: expect.stringContaining('Protocol'),
    }),
  );
});

describe('what is let through', () => {
  const rule = (subprotocols: string[] | null, required = true) => ({ subprotocols, required });
  it('all, where the route has no list', () => expect(cutOffer(['x', 'y'], rule(null))).toEqual(['x', 'y']));
  it('nothing is fine where the route has no list', () => expect(cutOffer([], rule(null))).toEqual([]));
  it("the route's own, in the client's order", () =>
    expect(cutOffer(['c', 'x', 'a'], rule(['a', 'b', 'c']))).toEqual(['c', 'a']));
  it.each([[[]], [['x']], [['A']], [['ab']]])('%j leaves none and is refused', (names) =>
    expect(cutOffer(names, rule(['a', 'b']))).toMatchObject({ reason: 'subprotocol', status: 400 }),
  );
  it('none is accepted where none is required', () => expect(cutOffer(['x'], rule(['a'], false))).toEqual([]));
});

describe('what a terminating route answers', () => {
  it("the first of its own list that is offered, whatever the client's order", () =>
    expect(chooseSubprotocol(['c', 'b'], { subprotocols: ['a', 'b', 'c'], required: true })).toBe('b'));
  it("the client's first, where it has no list", () =>
    expect(chooseSubprotocol(['c', 'b'], { subprotocols: null, required: true })).toBe('c'));
  it('none, where none is offered', () => {
    expect(chooseSubprotocol([], { subprotocols: null, required: true })).toBeNull();
    expect(chooseSubprotocol([], { subprotocols: ['a'], required: false })).toBeNull();
  });
});

describe('a refusal of a malformed offer', () => {
  it.each([
    [['chat, a b'], 'element 2 of Sec-WebSocket-Protocol holds the octet 0x20, which no token may'],
    [['\u00e9'], 'element 1 of Sec-WebSocket-Protocol holds the octet 0xe9, which no token may'],
    [['a', 'b, a'], 'Sec-WebSocket-Protocol names one subprotocol twice, again as element 3'],
  ])('%j: says which element and octet, and nothing of what stands there', (lines, detail) =>
    expect(offer(...lines)).toMatchObject({ reason: 'malformed', detail }),
  );
});

describe('a chosen subprotocol in log and API', () => {
  const rule = (subprotocols: string[] | null) => ({ subprotocols, required: true });
  it.each([
    ['chat', ['chat'], 'chat'],
    ['secret', ['chat'], null],
    ['secret', null, null],
    [null, ['chat'], null],
  ])('%j on a route with %j: %j', (chosen, listed, shown) =>
    expect(shownSubprotocol(chosen, rule(listed))).toBe(shown),
  );
});
