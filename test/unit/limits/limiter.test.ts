// The buckets of clients: each its own, forgotten when it is full, and bounded whoever asks.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { MAX_CLIENTS } from '../../../src/limits/client-buckets.ts';
import { createLimiter, type Limiter } from '../../../src/limits/limiter.ts';

const tryTake = (limiter: Limiter, client: string, now: number): boolean => {
  if (limiter.wait(client, now) > 0) return false;
  limiter.take(client, now);
  return true;
};
const takes = (limiter: Limiter, client: string, now: number, times: number) =>
  Array.from({ length: times }, () => tryTake(limiter, client, now)).filter(Boolean).length;

/** The address with this number. */
const address = (n: number) => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;

describe('a limit of one client', () => {
  it('is each client’s own', () => {
    const limiter = createLimiter('id', { rate: 1, burst: 2 }, 'client');
    expect(takes(limiter, 'a', 0, 5)).toBe(2);
    expect(takes(limiter, 'b', 0, 5)).toBe(2);
    expect(takes(limiter, 'a', 1000, 5)).toBe(1);
  });

  it('gives back, and is emptied, for that client', () => {
    const limiter = createLimiter('id', { rate: 1, burst: 2 }, 'client');
    expect(takes(limiter, 'a', 0, 2)).toBe(2);
    limiter.refund('a', 0);
    limiter.refund('nobody', 0);
    limiter.empty('b', 0, 500);
    expect([takes(limiter, 'a', 0, 2), takes(limiter, 'b', 499, 2), takes(limiter, 'b', 500, 2)]).toEqual([1, 0, 1]);
  });

  it('forgets those whose bucket is full again', () => {
    const limiter = createLimiter('id', { rate: 10, burst: 10 }, 'client');
    for (let n = 0; n < 1000; n++) limiter.take(address(n), 0);
    expect(limiter.clients(0)).toBe(1000);
    expect(limiter.clients(100)).toBe(0);
  });
});

describe('a limit of all', () => {
  it('has one bucket', () => {
    const limiter = createLimiter('id', { rate: 1, burst: 3 }, 'all');
    expect([takes(limiter, 'a', 0, 2), takes(limiter, 'b', 0, 2)]).toEqual([2, 1]);
    limiter.refund('a', 0);
    expect(takes(limiter, 'c', 0, 2)).toBe(1);
    limiter.empty('a', 0, 5000);
    expect([limiter.wait('b', 4999) > 0, limiter.wait('b', 5000), limiter.clients(0)]).toEqual([true, 0, 0]);
  });
});

describe('a flood of addresses', () => {
  it('takes the same memory with a million of them as with none', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const held = () => {
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const before = held();
    // Nobody's bucket is full again within the flood.
    const limiter = createLimiter('id', { rate: 0.001, burst: 5 }, 'client');
    const empty = held() - before;
    for (let n = 0; n < 1_000_000; n++) limiter.take(address(n), n / 100);
    const flooded = held() - before;
    const known = limiter.clients(10_000);
    expect(known).toBeLessThanOrEqual(MAX_CLIENTS);
    expect(known).toBeGreaterThan(MAX_CLIENTS * 0.99);
    expect(flooded - empty).toBeLessThan(1 << 20);
    expect(flooded).toBeLessThan(4 << 20);
    expect(limiter.clients(2_000_000_000)).toBe(0);
  });

  it('does not make a client forgotten that has used up its burst', () => {
    const limiter = createLimiter('id', { rate: 0.001, burst: 5 }, 'client');
    const abusers = Array.from({ length: 1000 }, (_, n) => `abuser-${n}`);
    for (const client of abusers) expect(takes(limiter, client, 0, 10)).toBe(5);
    for (let n = 0; n < 1_000_000; n++) limiter.take(address(n), n / 1000);
    expect(abusers.filter((client) => tryTake(limiter, client, 1000))).toEqual([]);
  });

  it('holds hardly any of those who have asked just now to less than they may have', () => {
    const limiter = createLimiter('id', { rate: 0.001, burst: 2 }, 'client');
    for (let n = 0; n < 50_000; n++) limiter.take(address(n), 0);
    const refused = Array.from({ length: 50_000 }, (_, n) => limiter.wait(address(n), 0) > 0).filter(Boolean);
    expect(refused).toEqual([]);
    for (let n = 0; n < 50_000; n++) limiter.take(address(n), 0);
    const forgotten = Array.from({ length: 50_000 }, (_, n) => limiter.wait(address(n), 0) === 0).filter(Boolean);
    expect(forgotten.length).toBeLessThan(500);
  });
});
