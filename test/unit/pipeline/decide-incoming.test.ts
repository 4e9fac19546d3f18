// The verdict on what came: the route table's, but for too many fields and for a gateway that drains.
import { describe, expect, it } from 'vitest';
import type { RouteContext } from '../../../src/actions/context.ts';
import { type Rejection, reject } from '../../../src/handshake/rejection.ts';
import type { RequestHead } from '../../../src/http/head.ts';
import { decideIncoming } from '../../../src/pipeline/decide-incoming.ts';
import type { Snapshot } from '../../../src/runtime/snapshot.ts';
import { handshakeHead, http, plainHead, splice, tableOf, terminate } from '../../support/heads.ts';

const table = tableOf(
  { name: 'app', match: { path: '/ws/*' }, ...splice(), ...http },
  { name: 'echo', match: { path: '/echo' }, ...terminate() },
  { name: 'old', match: { path: '/old' }, redirect: { path: '/new' } },
);

function verdictOn(head: RequestHead, draining = false, refused: Rejection | null = null) {
  const context = { client: { address: '192.0.2.1' } } as RouteContext;
  return decideIncoming({ snapshot: { table } as Snapshot, head, context, refused }, { draining });
}

describe('a handshake', () => {
  it.each([
    ['/ws/chat', 'splice'],
    ['/echo', 'terminate'],
    ['/old', 'respond'],
  ])('for %s gets the verdict %s', (target, kind) => {
    expect(verdictOn(handshakeHead({ target }))).toMatchObject({ kind });
  });

  it.each([
    ['/ws/chat', 'app'],
    ['/echo', 'echo'],
  ])('for %s is refused by its route while the gateway drains', (target, name) => {
    const refused = { kind: 'reject', route: { name }, rejection: { reason: 'draining', status: 503 } };
    expect(verdictOn(handshakeHead({ target }), true)).toMatchObject(refused);
  });

  it('that no route takes is refused for that, drain or not', () => {
    const head = handshakeHead({ target: '/nowhere' });
    for (const draining of [false, true]) {
      expect(verdictOn(head, draining)).toMatchObject({
        kind: 'reject',
        route: null,
        rejection: { reason: 'no_route' },
      });
    }
  });

  it('that gets a redirect gets it from a gateway that drains too', () => {
    expect(verdictOn(handshakeHead({ target: '/old' }), true)).toMatchObject({ kind: 'respond' });
  });
});

it('a plain request is served while the gateway drains', () => {
  expect(verdictOn(plainHead(), true)).toMatchObject({ kind: 'forward' });
});

it.each([
  [200, { kind: 'splice' }],
  [201, { kind: 'reject', route: null, rejection: { reason: 'head_too_large', status: 431 } }],
])('a head of %i fields', (count, expected) => {
  const valid = handshakeHead();
  const more = Array.from({ length: count - valid.names.length }, () => 'a');
  const head = handshakeHead({ fields: { 'X-Many': more } });
  expect(head.names).toHaveLength(count);
  expect(verdictOn(head)).toMatchObject(expected);
});

it('what the listener does not take has no route, and is refused while the gateway drains, too', () => {
  const misdirected = reject('misdirected');
  for (const head of [handshakeHead({ target: '/ws/chat' }), plainHead({ target: '/old' })]) {
    for (const draining of [false, true])
      expect(verdictOn(head, draining, misdirected)).toEqual({ kind: 'reject', route: null, rejection: misdirected });
  }
});
