// Consistent hashing: even, by weight, and with as few keys moved as can be when servers come and go.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Candidate } from '../../../../src/upstream/balance/balancer.ts';
import { hashed } from '../../../../src/upstream/balance/hash.ts';
import { compileKey } from '../../../../src/upstream/balance/key.ts';
import { asking } from '../../../support/balancer-request.ts';

const server = (url: string, weight = 1): Candidate => ({ url, live: 0, weight, share: weight });
const some = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => server(`ws://10.0.${(from + i) >> 8}.${(from + i) & 255}:9001`));
const KEYS = Array.from({ length: 20_000 }, (_, i) => `203.0.${(i >> 8) & 255}.${i & 255}/${i}`);
const assign = (servers: readonly Candidate[], keys: readonly string[] = KEYS) => {
  const balancer = hashed();
  return keys.map((key) => balancer.pick(servers, () => key).url);
};
const share = (all: readonly string[], url: string) => all.filter((one) => one === url).length / all.length;

describe('hash', () => {
  it('spreads keys evenly: ten servers get 10 % each, within a tenth of it', () => {
    const servers = some(10);
    const all = assign(servers);
    for (const { url } of servers) expect(share(all, url)).toBeCloseTo(0.1, 1.5);
    const shares = servers.map(({ url }) => share(all, url));
    expect(Math.min(...shares)).toBeGreaterThan(0.09);
    expect(Math.max(...shares)).toBeLessThan(0.11);
  });

  it('by weight', () => {
    const servers = [server('ws://a', 1), server('ws://b', 2), server('ws://c', 5)];
    const all = assign(servers);
    expect(servers.map(({ url }) => Math.round(share(all, url) * 80) / 10)).toEqual([
      expect.closeTo(1, 0.5),
      expect.closeTo(2, 0.5),
      expect.closeTo(5, 0.5),
    ]);
  });

  it.each([2, 3, 5, 10, 50])('one more to %i moves 1/(n+1) of the keys, all of them to it', (count) => {
    const before = assign(some(count));
    const grown = some(count + 1);
    const after = assign(grown);
    const moved = KEYS.map((_, i) => i).filter((i) => before[i] !== after[i]);
    expect(moved.every((i) => after[i] === grown[count]!.url)).toBe(true);
    expect(moved.length / KEYS.length).toBeGreaterThan(0.85 / (count + 1));
    expect(moved.length / KEYS.length).toBeLessThan(1.15 / (count + 1));
  });

  it('moves only the keys of one that goes, whatever the servers, their order and the keys', () => {
    const urls = fc.uniqueArray(fc.webAuthority(), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(urls, fc.array(fc.string(), { maxLength: 50 }), (names, keys) => {
        const servers = names.map((name) => server(name));
        const before = assign(servers, keys);
        const after = assign([...servers.slice(1)].reverse(), keys);
        for (const [i, url] of before.entries()) if (url !== names[0]) expect(after[i]).toBe(url);
      }),
    );
  });

  it('goes by turn without a key', () => {
    const balancer = hashed();
    const servers = some(3);
    const picked = Array.from({ length: 6 }, () => balancer.pick(servers, () => null).url);
    expect(new Set(picked.slice(0, 3)).size).toBe(3);
  });
});

describe('the key', () => {
  const ask = asking({
    client: '198.51.100.7',
    target: '/ws/room%201/alice?user=u%201&user=2&empty=',
    fields: ['X-User', 'bob', 'x-user', 'eve', 'Cookie', 'a=1; sid=s-1', 'Cookie', 'sid=s-2; b'],
  });

  it.each([
    [{}, '198.51.100.7'],
    [{ header: 'X-USER' }, 'bob'],
    [{ header: 'X-None' }, null],
    [{ query: 'user' }, 'u 1'],
    [{ query: 'empty' }, null],
    [{ query: 'none' }, null],
    [{ cookie: 'sid' }, 's-1'],
    [{ cookie: 'SID' }, null],
    [{ cookie: 'b' }, null],
    [{ segment: 2 }, 'room%201'],
    [{ segment: 4 }, null],
  ])('by %j is %j', (source, key) => {
    expect(compileKey(source)(ask)).toBe(key);
  });

  it('is none for a client of a unix socket', () => {
    expect(compileKey({})(asking({ client: '' }))).toBeNull();
  });
});
