import { expect, it } from 'vitest';
import type { Session } from '../../../src/sessions/registry.ts';
import { Revocations } from '../../../src/sessions/revocations.ts';

function session(id: string, change: Partial<Session> = {}) {
  const closes: unknown[] = [];
  return {
    ...{ id, route: 'chat', mode: 'splice', client: '192.0.2.1', user: 'ann', cut: () => {}, ...change },
    close: (code: number, reason: string) => void closes.push([code, reason]),
    closes,
  } as Session & { closes: unknown[] };
}

const everyone = [
  session('a'),
  session('b', { user: 'bob' }),
  session('c', { route: 'news' }),
  session('d', { client: '2001:db8::1', user: null }),
];

it.each([
  ['subject', { subject: 'ann' }, ['a', 'c']],
  ['route', { route: 'news' }, ['c']],
  ['id', { id: 'b' }, ['b']],
  ['address', { address: '192.0.2.1' }, ['a', 'b', 'c']],
  ['range', { address: '2001:db8::/32' }, ['d']],
  ['two of them', { subject: 'ann', route: 'chat' }, ['a']],
  ['what nobody is', { subject: 'ann', id: 'b' }, []],
])('closes and refuses by %s', (_, revocation, ids) => {
  const live = everyone.map((one) => session(one.id, one));
  const revocations = new Revocations(() => live);
  expect(revocations.revoke(revocation, 1000)).toBe(ids.length);
  expect(live.filter(({ closes }) => closes.length > 0).map(({ id }) => id)).toEqual(ids);
  expect(live.filter((one) => revocations.refuses(one)).map(({ id }) => id)).toEqual(ids);
});

it('refuses for as long as it was told, and then no more', () => {
  let now = 0;
  const revocations = new Revocations(
    () => [],
    () => now,
  );
  const [ann] = everyone;
  expect([revocations.none, revocations.refuses(ann!)]).toEqual([true, false]);
  revocations.revoke({ subject: 'ann' }, 1000);
  now = 999;
  expect(revocations.refuses(ann!)).toBe(true);
  now = 1000;
  expect([revocations.refuses(ann!), revocations.none]).toEqual([false, true]);
});

it('closes a session whose handshake was under way', () => {
  const revocations = new Revocations(() => []);
  const [late, other] = [session('a'), session('b', { user: 'bob' })];
  revocations.revoke({ subject: 'ann' }, 1000);
  revocations.closeIfRevoked(late);
  revocations.closeIfRevoked(other);
  expect([late.closes, other.closes]).toEqual([[[4403, 'revoked']], []]);
});

it('keeps ten thousand, those that last longest', () => {
  const revocations = new Revocations(
    () => [],
    () => 0,
  );
  for (let i = 0; i < 10_001; i++) revocations.revoke({ subject: `u${i}` }, 1000 + ((i + 5000) % 10_001));
  const refused = (user: string) => revocations.refuses(session('x', { user }));
  // The one that would have ended first.
  expect([refused('u5001'), refused('u5000'), refused('u0'), refused('u10000')]).toEqual([false, true, true, true]);
});
