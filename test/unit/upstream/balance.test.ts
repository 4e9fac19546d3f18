// Picking a server. A balancer sees only those it may pick from, and that list changes from one pick to the next.
import { describe, expect, it } from 'vitest';
import { leastConnections, roundRobin } from '../../../src/upstream/balance.ts';

const servers = (...live: number[]) => live.map((count, i) => ({ name: `abcdef`[i]!, live: count }));

describe('round robin', () => {
  it('gives each in turn, whatever they carry', () => {
    const balancer = roundRobin();
    const open = servers(9, 0, 5);
    const picked = Array.from({ length: 7 }, () => balancer.pick(open).name);
    expect(picked.join('')).toBe('abcabca');
  });

  it('goes on when the list shrinks, and with one server alone', () => {
    const balancer = roundRobin();
    const open = servers(0, 0, 0);
    balancer.pick(open);
    balancer.pick(open);
    expect(open.slice(0, 2)).toContain(balancer.pick(open.slice(0, 2)));
    expect(balancer.pick(open.slice(2)).name).toBe('c');
  });

  it('counts for itself', () => {
    const open = servers(0, 0);
    const [one, other] = [roundRobin(), roundRobin()];
    expect([one.pick(open).name, other.pick(open).name, one.pick(open).name]).toEqual(['a', 'a', 'b']);
  });
});

describe('least connections', () => {
  it('picks the one that carries least', () => {
    expect(leastConnections().pick(servers(3, 1, 2)).name).toBe('b');
  });

  it('gives each in turn among equals, and the busier one nothing', () => {
    const balancer = leastConnections();
    const open = servers(0, 4, 0);
    expect(Array.from({ length: 4 }, () => balancer.pick(open).name).join('')).toBe('acac');
  });

  it('evens out what sessions that stay have made uneven', () => {
    const balancer = leastConnections();
    const open = servers(5, 0);
    for (let i = 0; i < 5; i++) balancer.pick(open).live++;
    expect(open.map(({ live }) => live)).toEqual([5, 5]);
  });
});
