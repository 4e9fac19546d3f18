// Retries: each server once, as many as allowed, and never more than the budget.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isRetryableStatus, outcomeOf } from '../../../../src/upstream/lease.ts';
import type { Pool } from '../../../../src/upstream/pool.ts';
import { RetryState } from '../../../../src/upstream/retry/retry-state.ts';
import { asking } from '../../../support/balancer-request.ts';
import { makePool } from '../../../support/pools.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** The hosts that a request is sent to when every one fails. */
function sendFailing(pool: Pool, events: unknown[] = []): string {
  const attempts = new RetryState(pool, asking(), (event) => void events.push(event));
  let hosts = '';
  for (let lease = attempts.next(); lease !== null; lease = attempts.next()) {
    hosts += lease.server.host;
    lease.release();
  }
  return hosts;
}

describe('a request that fails everywhere', () => {
  it('goes to each server once', () => {
    const { pool } = makePool({});
    const events: unknown[] = [];
    expect(sendFailing(pool, events)).toBe('abc');
    expect(events).toEqual([
      { type: 'upstream_retry', upstream: 'chat', server: 'ws://a:1', result: 'retried' },
      { type: 'upstream_retry', upstream: 'chat', server: 'ws://b:1', result: 'retried' },
    ]);
  });

  it('goes to as many as it may, or to one alone', () => {
    expect(sendFailing(makePool({ retry: { attempts: 2 } }).pool)).toBe('ab');
    expect(sendFailing(makePool({ retry: 'off' }).pool)).toBe('a');
    expect(sendFailing(makePool({ servers: ['ws://a:1'] }).pool)).toBe('a');
  });
});

describe('the budget', () => {
  it('is a share of the requests, with a few in any case, and says so when it is spent', () => {
    const { pool } = makePool({ retry: { budget: '20%', min: 4 } });
    const events: { result?: string }[] = [];
    const sent = Array.from({ length: 100 }, () => sendFailing(pool, events).length);
    // Of 100 requests that all fail: 100 first tries and 20 % of that again, not 200 more.
    const retries = sent.reduce((sum, count) => sum + count - 1, 0);
    expect(retries).toBeGreaterThanOrEqual(19);
    expect(retries).toBeLessThanOrEqual(20);
    expect(sent.slice(0, 3)).toEqual([3, 3, 1]);
    expect(events.filter(({ result }) => result === 'over_budget').length).toBeGreaterThan(70);
  });

  it('comes back with time, and goes on over a reload', () => {
    const { pool } = makePool({ retry: { min: 2, budget: '0%' } });
    pool.start();
    expect([sendFailing(pool), sendFailing(pool)].map((hosts) => hosts.length)).toEqual([3, 1]);
    const { pool: next } = makePool({ retry: { min: 2, budget: '0%' }, balance: 'random_two' }, pool);
    pool.stop('replaced');
    next.start(pool);
    expect(sendFailing(next)).toHaveLength(1);
    vi.advanceTimersByTime(10_000);
    expect(sendFailing(next)).toHaveLength(3);
    next.stop('for good');
  });
});

it.each([
  [200, false, 'ok', false],
  [404, false, 'ok', false],
  [500, false, 'error', false],
  [501, false, 'error', false],
  [502, false, 'failed', true],
  [503, false, 'failed', true],
  [503, true, 'error', false],
  [504, true, 'failed', true],
])('an answer %i (Retry-After: %s) counts as %s', (status, retryAfter, outcome, another) => {
  expect([outcomeOf(status, retryAfter), isRetryableStatus(status, retryAfter)]).toEqual([outcome, another]);
});
