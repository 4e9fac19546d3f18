// Check and traffic put together: which servers get traffic, what each change tells, and what it does to tunnels.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Outcome } from '../../../../src/upstream/health/breaker.ts';
import type { Pool } from '../../../../src/upstream/pool.ts';
import { asking } from '../../../support/balancer-request.ts';
import { makePool } from '../../../support/pools.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const PASSIVE = { failures: 2, eject: '1s', max_eject: '10s' };
const hosts = (pool: Pool, count = 12) =>
  [...new Set(Array.from({ length: count }, () => pool.pick(asking())?.host ?? '-'))].sort().join('');

/** Tells the outcomes of requests that went to this host. */
function tell(pool: Pool, host: string, ...outcomes: Outcome[]): void {
  const server = pool.servers.find((each) => each.host === host)!;
  // All of them are under way before the first one ends.
  const leases = outcomes.map((outcome) => ({ outcome, lease: pool.take(server) }));
  for (const { lease, outcome } of leases) {
    lease.reportOutcome(outcome);
    lease.release();
  }
}
const upOf = (pool: Pool) =>
  [...pool.sample()].flatMap(({ metric, value }) => (metric === 'upstream_up' ? [value] : []));

describe('ejection', () => {
  it('takes a server out, tells it once, tries it after its time, and takes it back in', () => {
    const { pool, events } = makePool({ health: { passive: PASSIVE } });
    pool.start();
    tell(pool, 'b', 'failed', 'failed', 'failed');
    expect(events).toEqual([
      {
        type: 'server_changed',
        upstream: 'chat',
        server: 'ws://b:1',
        up: false,
        reason: 'ejected',
        detail: '2 failures in a row; out for 1 s',
      },
    ]);
    expect([hosts(pool), upOf(pool)]).toEqual(['ac', [1, 0, 1]]);
    vi.advanceTimersByTime(1000);
    const trial = Array.from({ length: 6 }, () => pool.pick(asking())!).find(({ host }) => host === 'b')!;
    const lease = pool.take(trial);
    // Half-open: nobody else goes there while one tries.
    expect(hosts(pool)).toBe('ac');
    lease.reportOutcome('ok');
    expect([hosts(pool), upOf(pool)]).toEqual(['abc', [1, 1, 1]]);
    expect(events.at(-1)).toMatchObject({ server: 'ws://b:1', up: true, reason: 'returned' });
    expect(events).toHaveLength(2);
    pool.stop('for good');
  });

  it('of a server whose trial failed goes on for twice as long, and no line is written', () => {
    const { pool, events } = makePool({ health: { passive: PASSIVE } });
    tell(pool, 'b', 'failed', 'failed');
    vi.advanceTimersByTime(1000);
    tell(pool, 'b', 'failed');
    vi.advanceTimersByTime(1999);
    expect(hosts(pool)).toBe('ac');
    vi.advanceTimersByTime(1);
    expect(hosts(pool)).toBe('abc');
    expect(events).toHaveLength(1);
  });

  it('never goes below the floor', () => {
    const { pool, events } = makePool({ health: { passive: PASSIVE, floor: '50%' } });
    tell(pool, 'a', 'failed', 'failed');
    tell(pool, 'b', 'failed', 'failed', 'failed');
    expect(hosts(pool)).toBe('bc');
    expect(events.map((event) => 'reason' in event && event.reason)).toEqual(['ejected', 'failing']);
    const all = makePool({ health: { passive: PASSIVE, floor: '0%' } });
    for (const host of ['a', 'b', 'c']) tell(all.pool, host, 'failed', 'failed', 'failed');
    expect(hosts(all.pool)).toBe('c');
    const single = makePool({ servers: ['ws://a:1'], health: { passive: PASSIVE } });
    tell(single.pool, 'a', 'failed', 'failed', 'failed');
    expect(hosts(single.pool)).toBe('a');
  });

  it('that the floor forbids is told all the same: healthy and in use are two things', () => {
    const { pool, events } = makePool({ servers: ['ws://a:1'], health: { passive: PASSIVE, on_down: 'close' } });
    const closed = vi.fn();
    const lease = pool.take(pool.servers[0]!);
    lease.carry({ close: closed });
    tell(pool, 'a', 'failed', 'failed', 'failed', 'failed');
    expect([hosts(pool), upOf(pool)]).toEqual(['a', [0]]);
    expect(events).toEqual([
      {
        type: 'server_changed',
        upstream: 'chat',
        server: 'ws://a:1',
        up: false,
        reason: 'failing',
        detail: '2 failures in a row; in use all the same, for too few others are healthy',
      },
    ]);
    // There is nowhere else for its tunnels to go.
    expect(closed).not.toHaveBeenCalled();
    // An error of the server's own is no recovery.
    tell(pool, 'a', 'error');
    expect(upOf(pool)).toEqual([0]);
    tell(pool, 'a', 'ok');
    expect([hosts(pool), upOf(pool)]).toEqual(['a', [1]]);
    expect(events.slice(1)).toMatchObject([{ server: 'ws://a:1', up: true, reason: 'recovered' }]);
    tell(pool, 'a', 'failed', 'failed');
    expect([upOf(pool), events.length]).toEqual([[0], 3]);
  });

  it('comes for one that failed and was kept as soon as another is healthy again', () => {
    const { pool, events } = makePool({ servers: ['ws://a:1', 'ws://b:1'], health: { passive: PASSIVE } });
    tell(pool, 'a', 'failed', 'failed');
    tell(pool, 'b', 'failed', 'failed');
    expect([hosts(pool), upOf(pool)]).toEqual(['b', [0, 0]]);
    vi.advanceTimersByTime(1000);
    tell(pool, 'a', 'ok');
    expect(upOf(pool)).toEqual([1, 0]);
    tell(pool, 'b', 'failed');
    expect([hosts(pool), upOf(pool)]).toEqual(['a', [1, 0]]);
    expect(events.map((event) => 'reason' in event && event.reason)).toEqual([
      'ejected',
      'failing',
      'returned',
      'ejected',
    ]);
  });

  it('never happens where it is off, and is forgotten when a reload turns it off', () => {
    const off = { health: { passive: 'off' } };
    const { pool } = makePool(off);
    tell(pool, 'a', 'failed', 'failed', 'failed', 'failed', 'failed', 'failed');
    expect(hosts(pool)).toBe('abc');
    const { pool: first } = makePool({ health: { passive: PASSIVE } });
    first.start();
    tell(first, 'a', 'failed', 'failed');
    const { pool: same } = makePool({ health: { passive: PASSIVE }, balance: 'random_two' }, first);
    first.stop('replaced');
    same.start(first);
    expect(upOf(same)).toEqual([0, 1, 1]);
    const { pool: next } = makePool(off, same);
    same.stop('replaced');
    next.start(same);
    expect(upOf(next)).toEqual([1, 1, 1]);
    next.stop('for good');
  });

  it('leaves an ejected server to be used where there is no other', () => {
    const { pool } = makePool({
      servers: ['ws://a:1', { url: 'ws://b:1', max_connections: 1 }],
      health: { passive: PASSIVE },
    });
    tell(pool, 'a', 'failed', 'failed');
    expect(hosts(pool)).toBe('b');
    pool.take(pool.servers[1]!);
    expect(hosts(pool)).toBe('a');
  });
});

describe('tunnels of a server that goes down', () => {
  const tunnels = (pool: Pool, host: string, count: number) => {
    const closes: unknown[][] = [];
    for (let i = 0; i < count; i++) {
      const lease = pool.take(pool.servers.find((server) => server.host === host)!);
      lease.carry({
        close: (...args) => {
          closes.push(args);
          lease.release();
        },
      });
    }
    return closes;
  };

  it('stay by default', () => {
    const { pool } = makePool({ health: { passive: PASSIVE } });
    const closes = tunnels(pool, 'b', 3);
    tell(pool, 'b', 'failed', 'failed');
    vi.advanceTimersByTime(10_000);
    expect(closes).toEqual([]);
  });

  it('are closed with 1012 at the pace of the config where it says so', () => {
    const { pool } = makePool({ health: { passive: PASSIVE, on_down: 'close' }, close_rate: 10 });
    const closes = tunnels(pool, 'b', 30);
    const others = tunnels(pool, 'a', 5);
    tell(pool, 'b', 'failed', 'failed');
    const counts = Array.from({ length: 4 }, () => {
      const count = closes.length;
      vi.advanceTimersByTime(1000);
      return count;
    });
    expect(counts).toEqual([2, 12, 22, 30]);
    expect(closes[0]).toEqual([1012, 'server_down', 5000]);
    expect(others).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('stay once it is back', () => {
    const { pool } = makePool({ health: { passive: PASSIVE, on_down: 'close' }, close_rate: 1 });
    const closes = tunnels(pool, 'b', 30);
    tell(pool, 'b', 'failed', 'failed');
    vi.advanceTimersByTime(1000);
    tell(pool, 'b', 'ok');
    const count = closes.length;
    vi.advanceTimersByTime(60_000);
    expect(closes).toHaveLength(count);
    expect(count).toBeLessThan(4);
  });
});
