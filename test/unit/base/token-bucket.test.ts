// The token bucket, held to what it is: never more than the burst and what came in since, and never less.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bucket, type Rate } from '../../../src/base/token-bucket.ts';

/** Takes one where there is one. */
const tryTake = (bucket: Bucket, now: number): boolean => {
  if (bucket.wait(now) > 0) return false;
  bucket.take(now);
  return true;
};
const takes = (bucket: Bucket, times: readonly number[]) => times.filter((now) => tryTake(bucket, now)).length;
const at = (now: number, times: number) => Array.from({ length: times }, () => now);

const rates: fc.Arbitrary<Rate> = fc.record({
  rate: fc.double({ min: 0.001, max: 1_000_000, noNaN: true }),
  burst: fc.integer({ min: 1, max: 1000 }),
});
/** Times of a clock that never goes back. */
const clocks = fc
  .array(fc.double({ min: 0, max: 5000, noNaN: true }), { minLength: 1, maxLength: 200 })
  .map((steps) => {
    let now = 0;
    return steps.map((step) => {
      now += step;
      return now;
    });
  });

describe('a bucket', () => {
  it('is full at first, and no fuller after any pause', () => {
    const bucket = new Bucket({ rate: 10, burst: 5 });
    expect(takes(bucket, at(0, 9))).toBe(5);
    expect(takes(bucket, at(3_600_000, 9))).toBe(5);
  });

  it('fills evenly', () => {
    const bucket = new Bucket({ rate: 10, burst: 5 });
    takes(bucket, at(0, 5));
    expect(takes(bucket, [99, 99, 100, 100, 199, 200, 201])).toBe(2);
  });

  it('takes fractions of a second as well as of a token', () => {
    const bucket = new Bucket({ rate: 0.1, burst: 1 });
    expect(takes(bucket, [0, 1, 9_999, 10_000, 10_001, 20_000])).toBe(3);
  });

  it('says exactly when it will have a token', () => {
    fc.assert(
      fc.property(rates, clocks, (rate, times) => {
        const bucket = new Bucket(rate);
        for (const now of times) {
          if (tryTake(bucket, now)) continue;
          const wait = bucket.wait(now);
          expect(bucket.wait(now + wait)).toBe(0);
          expect(bucket.wait(now + wait * 0.99)).toBeGreaterThan(0);
        }
      }),
    );
  });

  it('lets through no more than its burst and what came in, in any stretch of time', () => {
    fc.assert(
      fc.property(rates, clocks, (rate, times) => {
        const bucket = new Bucket(rate);
        const taken = times.flatMap((now) => at(now, 3)).filter((now) => tryTake(bucket, now));
        for (const [i, from] of taken.entries()) {
          for (const [k, until] of taken.entries()) {
            if (k < i) continue;
            expect(k - i + 1).toBeLessThanOrEqual(rate.burst + ((until - from) * rate.rate) / 1000 + 1e-3);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it('is the plain model of one: a level that grows and is capped', () => {
    fc.assert(
      fc.property(rates, clocks, (rate, times) => {
        const bucket = new Bucket(rate);
        let [level, before] = [rate.burst, 0];
        for (const now of times) {
          level = Math.min(rate.burst, level + ((now - before) * rate.rate) / 1000);
          before = now;
          // Where the two could round to different sides, nothing is said.
          if (Math.abs(level - 1) < 1e-4) return;
          expect(bucket.wait(now) === 0).toBe(level >= 1);
          if (tryTake(bucket, now)) level--;
        }
      }),
    );
  });

  it('has what was given back', () => {
    const bucket = new Bucket({ rate: 1, burst: 2 });
    takes(bucket, at(0, 2));
    bucket.refund(0);
    expect(takes(bucket, at(0, 2))).toBe(1);
  });

  it('may be overdrawn, and says when that has come in', () => {
    const bucket = Bucket.perSecond(10);
    bucket.take(0, 10);
    expect(bucket.debt(0)).toBe(0);
    bucket.take(0, 5);
    expect([bucket.debt(0), bucket.debt(100), bucket.debt(500), bucket.wait(500)]).toEqual([500, 400, 0, 100]);
  });

  it('can be emptied until a time, and not be filled by that', () => {
    const bucket = new Bucket({ rate: 10, burst: 5 });
    bucket.empty(0, 250);
    expect(takes(bucket, [0, 249, 250, 251, 350])).toBe(2);
    const emptier = new Bucket({ rate: 1, burst: 1 });
    emptier.take(0);
    emptier.empty(0, 10);
    expect(emptier.wait(0)).toBe(1000);
  });
});
