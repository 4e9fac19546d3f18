// Picking a server. A balancer sees only those it may pick from, and that list changes from one pick to the next.
import { describe, expect, it } from 'vitest';
import type { Balancer, Candidate } from '../../../../src/upstream/balance/balancer.ts';
import { leastConnections } from '../../../../src/upstream/balance/least-connections.ts';
import { randomTwo } from '../../../../src/upstream/balance/random-two.ts';
import { roundRobin } from '../../../../src/upstream/balance/round-robin.ts';

interface Named extends Candidate {
  readonly name: string;
  live: number;
}

const servers = (...live: number[]): Named[] =>
  live.map((count, i) => ({ name: `abcdef`[i]!, url: `ws://${i}`, live: count, weight: 1, share: 1 }));
const weighted = (...weights: number[]): Named[] =>
  servers(...weights.map(() => 0)).map((server, i) => ({ ...server, weight: weights[i]!, share: weights[i]! }));
const none = () => null;
const picks = (balancer: Balancer, open: readonly Named[], count: number) =>
  Array.from({ length: count }, () => balancer.pick(open, none).name).join('');
const counts = (names: string) =>
  [...new Set(names)].sort().map((name) => [...names].filter((one) => one === name).length);

/** A generator of numbers that is the same each time (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('round robin', () => {
  it('gives each in turn, whatever they carry', () => {
    expect(picks(roundRobin(), servers(9, 0, 5), 7)).toBe('abcabca');
  });

  it('goes on when the list shrinks, and with one server alone', () => {
    const balancer = roundRobin();
    const open = servers(0, 0, 0);
    picks(balancer, open, 2);
    expect(open.slice(0, 2)).toContain(balancer.pick(open.slice(0, 2), none));
    expect(balancer.pick(open.slice(2), none).name).toBe('c');
  });

  it('counts for itself', () => {
    const open = servers(0, 0);
    const [one, other] = [roundRobin(), roundRobin()];
    expect([one, other, one].map((balancer) => balancer.pick(open, none).name)).toEqual(['a', 'a', 'b']);
  });

  it('gives turns by weight, and never all of them at once', () => {
    const turns = picks(roundRobin(), weighted(5, 1, 1), 14);
    expect(counts(turns)).toEqual([10, 2, 2]);
    expect(turns.slice(0, 7)).toBe('aabacaa');
  });

  it('follows a share that grows', () => {
    const balancer = roundRobin();
    const [a, b] = weighted(1, 1);
    const slow = { ...b!, share: 0.1 };
    expect(counts(picks(balancer, [a!, slow], 110))).toEqual([100, 10]);
  });
});

describe('least connections', () => {
  it('picks the one that carries least', () => {
    expect(leastConnections().pick(servers(3, 1, 2), none).name).toBe('b');
  });

  it('gives each in turn among equals, and the busier one nothing', () => {
    expect(picks(leastConnections(), servers(0, 4, 0), 4)).toBe('acac');
  });

  it('evens out what sessions that stay have made uneven', () => {
    const balancer = leastConnections();
    const open = servers(5, 0);
    for (let i = 0; i < 5; i++) balancer.pick(open, none).live++;
    expect(open.map(({ live }) => live)).toEqual([5, 5]);
  });

  it('fills by weight', () => {
    const balancer = leastConnections();
    const open = weighted(3, 1);
    for (let i = 0; i < 40; i++) balancer.pick(open, none).live++;
    expect(open.map(({ live }) => live)).toEqual([30, 10]);
  });
});

describe('random two', () => {
  it('takes the lighter of two that differ', () => {
    const balancer = randomTwo(seeded(1));
    const open = servers(5, 0);
    expect(picks(balancer, open, 50)).toBe('b'.repeat(50));
    expect(picks(balancer, open.slice(0, 1), 3)).toBe('aaa');
  });

  it('never takes the heaviest of three, and keeps ten even within a few', () => {
    expect(picks(randomTwo(seeded(2)), servers(9, 1, 0), 200)).not.toContain('a');
    const ten = servers(...Array.from({ length: 10 }, () => 0)).map((server, i) => ({ ...server, name: String(i) }));
    const balancer = randomTwo(seeded(3));
    for (let i = 0; i < 1000; i++) balancer.pick(ten, none).live++;
    const live = ten.map((server) => server.live);
    expect(Math.max(...live) - Math.min(...live)).toBeLessThanOrEqual(6);
  });

  it('draws by weight', () => {
    const open = weighted(4, 1);
    const balancer = randomTwo(seeded(4));
    for (let i = 0; i < 500; i++) balancer.pick(open, none).live++;
    expect(open[0]!.live / open[1]!.live).toBeCloseTo(4, 0);
  });
});
