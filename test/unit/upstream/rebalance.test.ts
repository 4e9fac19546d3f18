// Moving tunnels to a server that comes: at its pace, to its part and no further, and where the clients go then.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Pool } from '../../../src/upstream/pool.ts';
import { asking } from '../../support/balancer-request.ts';
import { makePool } from '../../support/pools.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Opens a tunnel; when it is closed its client comes back after a second, to wherever it is sent. */
function connect(pool: () => Pool, closes: string[]): void {
  const lease = pool().take(pool().pick(asking())!);
  lease.carry({
    close: (code, reason) => {
      closes.push(`${code} ${reason} ${lease.server.host}`);
      lease.release();
      setTimeout(() => connect(pool, closes), 1000);
    },
  });
}

const liveOn = (pool: Pool) => pool.servers.map(({ live }) => live);
const two = { servers: ['ws://a:1', 'ws://b:1'] };

describe.each(['round_robin', 'least_connections', 'random_two'])('a server that joins under %s', (balance) => {
  it('gets its part, ten a second, from those that have more than theirs', () => {
    const config = { balance, rebalance: { rate: 10, tolerance: '10%' } };
    let pool = makePool({ ...two, ...config }).pool;
    pool.start();
    const closes: string[] = [];
    for (let i = 0; i < 300; i++) connect(() => pool, closes);
    const first = pool;
    pool = makePool({ ...config }, first).pool;
    first.stop('replaced');
    pool.start(first);
    vi.advanceTimersByTime(5000);
    expect(closes.length).toBeLessThanOrEqual(50);
    expect(closes.length).toBeGreaterThanOrEqual(49);
    vi.advanceTimersByTime(60_000);
    // Its part of 300 is 100; within the tolerance.
    expect(liveOn(pool).reduce((sum, live) => sum + live)).toBe(300);
    expect(liveOn(pool)[2]).toBeGreaterThanOrEqual(89);
    expect(liveOn(pool)[2]).toBeLessThanOrEqual(100);
    expect(closes.length).toBeLessThanOrEqual(100);
    expect(new Set(closes.map((close) => close.slice(0, -2)))).toEqual(new Set(['1012 rebalance']));
    expect(vi.getTimerCount()).toBe(0);
    pool.stop('for good');
  });
});

it('is off by default, and leaves what is even enough', () => {
  const closes: string[] = [];
  let pool = makePool(two).pool;
  pool.start();
  for (let i = 0; i < 20; i++) connect(() => pool, closes);
  const first = pool;
  pool = makePool({ balance: 'least_connections' }, first).pool;
  first.stop('replaced');
  pool.start(first);
  vi.advanceTimersByTime(60_000);
  expect([closes, liveOn(pool)]).toEqual([[], [10, 10, 0]]);
  pool.stop('for good');
});

it('plain requests do not take the place of the sessions that were moved', () => {
  const closes: string[] = [];
  const config = { rebalance: { rate: 10 } };
  let pool = makePool({ ...two, ...config }).pool;
  pool.start();
  for (let i = 0; i < 30; i++) connect(() => pool, closes);
  const first = pool;
  pool = makePool({ ...config }, first).pool;
  first.stop('replaced');
  pool.start(first);
  vi.advanceTimersByTime(500);
  const joined = pool.servers[2]!;
  expect(joined.state.pendingMoves).toBe(5);
  for (let i = 0; i < 9; i++) pool.pick(asking({ kind: 'plain' }));
  expect(joined.state.pendingMoves).toBe(5);
  expect(pool.pick(asking())).toBe(joined);
  expect(joined.state.pendingMoves).toBe(4);
  pool.stop('for good');
  vi.clearAllTimers();
});

describe('a reload in the middle of it', () => {
  /** Thirty tunnels on two servers, a third one that has joined, and half a second of moving to it. */
  function moving() {
    const closes: string[] = [];
    const config = { rebalance: { rate: 10 } };
    const first = makePool({ ...two, ...config }).pool;
    first.start();
    let pool = first;
    for (let i = 0; i < 30; i++) connect(() => pool, closes);
    const reload = (next: Parameters<typeof makePool>[0]): Pool => {
      const old = pool;
      pool = makePool(next, old).pool;
      old.stop('replaced');
      pool.start(old);
      return pool;
    };
    reload(config);
    vi.advanceTimersByTime(500);
    expect([closes.length, pool.servers[2]!.state.pendingMoves]).toEqual([5, 5]);
    return { closes, reload, config };
  }

  it('goes on where it was, at the new pace', () => {
    const { closes, reload } = moving();
    const pool = reload({ rebalance: { rate: 1 } });
    expect(pool.servers[2]!.state.pendingMoves).toBe(5);
    vi.advanceTimersByTime(2000);
    expect(closes.length).toBe(7);
    vi.advanceTimersByTime(60_000);
    expect(liveOn(pool).reduce((sum, live) => sum + live)).toBe(30);
    expect(liveOn(pool)[2]).toBeGreaterThanOrEqual(9);
    expect(closes.length).toBeLessThanOrEqual(10);
    pool.stop('for good');
    vi.clearAllTimers();
  });

  it('ends where the new config has none', () => {
    const { closes, reload } = moving();
    const pool = reload({});
    expect(pool.servers[2]!.state.pendingMoves).toBe(0);
    vi.advanceTimersByTime(60_000);
    expect(closes.length).toBe(5);
    pool.stop('for good');
  });

  it('ends with the gateway', () => {
    const { closes, reload, config } = moving();
    const pool = reload(config);
    pool.stop('for good');
    expect(pool.servers[2]!.state.pendingMoves).toBe(0);
    vi.advanceTimersByTime(60_000);
    expect(closes.length).toBe(5);
  });
});
