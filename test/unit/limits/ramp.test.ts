// The ramp: how much it lets in, when it begins, and what it promises to the others.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GatewayEvent } from '../../../src/events.ts';
import { Ramp, type RampConfig } from '../../../src/limits/ramp.ts';
import { EVENTS } from '../observe/every-event.ts';

/** A ramp that has begun at 0, and its clock. */
function ramping(config: RampConfig) {
  const clock = { now: 0 };
  const ramp = new Ramp(() => clock.now);
  ramp.configure(config);
  ramp.start();
  const enter = (): boolean => {
    if (!ramp.open()) return false;
    ramp.take();
    return true;
  };
  return { ramp, clock, enter };
}

/** What the ramp gives in its first milliseconds. */
const given = ({ rate, over }: RampConfig, ms: number) => ((-rate * over) / 1000) * Math.log(1 - ms / over);

const active = (ramp: Ramp) => [...ramp.sample()].map(({ value }) => value);

const lost = (changes: object = {}): GatewayEvent =>
  ({ ...EVENTS.session_closed, initiator: 'backend', cut: true, ...changes }) as GatewayEvent;

describe('a ramp', () => {
  it('lets in its rate at first, twice that at half of its time, and all at its end', () => {
    const { clock, enter } = ramping({ rate: 100, over: 10_000 });
    const within = (from: number, to: number) => {
      let entered = 0;
      for (clock.now = from; clock.now < to; clock.now++) while (enter()) entered++;
      return entered;
    };
    const first = within(0, 100);
    expect(first).toBeGreaterThanOrEqual(10);
    expect(first).toBeLessThanOrEqual(12);
    within(100, 4900);
    const middle = within(4900, 5000);
    expect(middle).toBeGreaterThanOrEqual(18);
    expect(middle).toBeLessThanOrEqual(21);
    clock.now = 10_000;
    for (let i = 0; i < 5000; i++) expect(enter()).toBe(true);
  });

  it('never lets in more than it gives, whenever they come', () => {
    const configs = fc.record({
      rate: fc.integer({ min: 1, max: 10_000 }),
      over: fc.integer({ min: 100, max: 600_000 }),
    });
    fc.assert(
      fc.property(configs, fc.array(fc.integer({ min: 0, max: 999 }), { maxLength: 50 }), (config, shares) => {
        const { clock, enter } = ramping(config);
        let entered = 0;
        for (const share of [...shares].sort((a, b) => a - b)) {
          clock.now = (config.over * share) / 1000;
          for (let i = 0; i < 200 && enter(); i++) entered++;
          expect(entered).toBeLessThanOrEqual(given(config, clock.now) + 1 + 1e-6);
        }
      }),
    );
  });

  it('does not save up what nobody asked for', () => {
    const { clock, enter } = ramping({ rate: 100, over: 10_000 });
    clock.now = 5000;
    let entered = 0;
    while (enter()) entered++;
    // A tenth of a second's worth, at twice the rate.
    expect(entered).toBe(21);
  });

  it('promises each a place of its own, one behind the other, none after its end', () => {
    const config = { rate: 10, over: 10_000 };
    const { clock, ramp } = ramping(config);
    const promises = Array.from({ length: 500 }, () => ramp.promise());
    for (const [n, wait] of promises.entries()) expect(given(config, wait)).toBeCloseTo(n + 1, 3);
    expect(Math.max(...promises)).toBeLessThan(10_000);
    clock.now = 9_999;
    expect(ramp.promise()).toBeLessThanOrEqual(1);
    clock.now = 10_000;
    expect(ramp.promise()).toBe(0);
  });

  it('lets in those who come when they were told to', () => {
    const { clock, enter, ramp } = ramping({ rate: 100, over: 10_000 });
    const storm = Array.from({ length: 1000 }, () => (enter() ? 0 : ramp.promise())).sort((a, b) => a - b);
    const late = storm.filter((wait) => {
      clock.now = wait + 1;
      return wait > 0 && !enter();
    });
    expect(late).toEqual([]);
  });
});

describe('it begins', () => {
  const config = { rate: 5, over: 10_000 };

  it('where many sessions end within a second', () => {
    const { clock, ramp } = ramping(config);
    clock.now = 20_000;
    for (let i = 0; i < 4; i++) ramp.observe(lost());
    expect(active(ramp)).toEqual([0]);
    ramp.observe(lost());
    expect(active(ramp)).toEqual([1]);
    ramp.take();
    expect(ramp.open()).toBe(false);
  });

  it.each<[string, object]>([
    ['by their clients’ Close', { initiator: 'client', cut: false }],
    ['as something else', { type: 'session_opened' }],
  ])('not where they end %s', (_, changes) => {
    const { clock, ramp } = ramping(config);
    clock.now = 20_000;
    for (let i = 0; i < 50; i++) ramp.observe(lost(changes));
    expect(active(ramp)).toEqual([0]);
  });

  it('not where they end one after the other', () => {
    const { clock, ramp } = ramping(config);
    for (clock.now = 20_000; clock.now < 40_000; clock.now += 250) ramp.observe(lost());
    expect(active(ramp)).toEqual([0]);
  });

  it('by clients that were cut off as well', () => {
    const { clock, ramp } = ramping({ ...config, closes: 2 });
    clock.now = 20_000;
    for (let i = 0; i < 2; i++) ramp.observe(lost({ initiator: 'client', cut: true }));
    expect(active(ramp)).toEqual([1]);
  });

  it('once for one mass, and anew while it goes on', () => {
    const { clock, ramp, enter } = ramping(config);
    clock.now = 20_000;
    for (let i = 0; i < 100; i++) ramp.observe(lost());
    expect([enter(), enter()]).toEqual([true, false]);
    for (let i = 0; i < 100; i++) ramp.observe(lost());
    expect(enter()).toBe(false);
  });
});

describe('without a config', () => {
  it('everything may come in, and nothing is said of it', () => {
    const ramp = new Ramp(() => 0);
    ramp.start();
    for (let i = 0; i < 100; i++) {
      ramp.observe(lost());
      expect(ramp.open()).toBe(true);
      ramp.take();
    }
    expect([active(ramp), ramp.promise()]).toEqual([[], 0]);
  });

  it('any more, one that runs ends', () => {
    const { ramp, enter } = ramping({ rate: 1, over: 10_000 });
    expect([enter(), enter()]).toEqual([true, false]);
    ramp.configure(null);
    expect([enter(), enter()]).toEqual([true, true]);
  });
});
