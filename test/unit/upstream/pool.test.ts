// The servers of one upstream: picking with some left out, and live counts that come back to nothing.
import { describe, expect, it } from 'vitest';
import type { UpstreamConfig } from '../../../src/config/schema.ts';
import { Pool } from '../../../src/upstream/pool.ts';

const address = (port: number) => ({ url: `ws://127.0.0.1:${port}`, secure: false, host: '127.0.0.1', port });
const pool = (balance: UpstreamConfig['balance'] = 'round_robin') =>
  new Pool('chat', { servers: [address(1), address(2), address(3)], balance });

describe('a pool', () => {
  it('has its servers in the order of the config, with nothing on them', () => {
    expect(pool().servers).toEqual([1, 2, 3].map((port) => ({ upstream: 'chat', ...address(port), live: 0 })));
  });

  it('gives each in turn', () => {
    const it = pool();
    expect(Array.from({ length: 4 }, () => it.pick()?.port)).toEqual([1, 2, 3, 1]);
  });

  it('leaves out those already tried, to the last one', () => {
    const it = pool();
    const tried = new Set(it.servers.slice(0, 1));
    for (let left = 2; left > 0; left--) {
      const server = it.pick(tried);
      expect(server).not.toBeNull();
      expect(tried.has(server!)).toBe(false);
      tried.add(server!);
    }
    expect(it.pick(tried)).toBeNull();
  });

  it('balances by what is live where the config says so', () => {
    const it = pool('least_connections');
    const taken = Array.from({ length: 3 }, () => {
      const server = it.pick()!;
      return { server, release: it.acquire(server) };
    });
    expect(it.servers.map(({ live }) => live)).toEqual([1, 1, 1]);
    taken[1]!.release();
    expect(it.pick()).toBe(taken[1]!.server);
  });

  it('counts a release once, and tells the counts', () => {
    const it = pool();
    const [first] = it.servers;
    const release = it.acquire(first!);
    it.acquire(first!);
    release();
    release();
    expect(first!.live).toBe(1);
    expect([...it.sample()].slice(0, 1)).toEqual([
      { metric: 'upstream_connections', labels: { upstream: 'chat', server: 'ws://127.0.0.1:1' }, value: 1 },
    ]);
    expect([...it.sample()].map(({ value }) => value)).toEqual([1, 0, 0]);
  });
});
