// What a client may send in a second.
import { describe, expect, it } from 'vitest';
import { openRates, Rate } from '../../../../src/websocket/connection/rate.ts';

describe('Rate', () => {
  it("lets a second's worth through at once, and no more", () => {
    const rate = new Rate(5, 0);
    expect(Array.from({ length: 7 }, () => rate.take(1, 0))).toEqual([true, true, true, true, true, false, false]);
  });

  it('fills evenly, and never beyond a second', () => {
    const rate = new Rate(10, 0);
    for (let n = 0; n < 10; n++) rate.take(1, 0);
    expect(rate.take(1, 99)).toBe(false);
    expect(rate.take(1, 100)).toBe(true);
    expect(rate.take(1, 150)).toBe(false);
    expect(Array.from({ length: 12 }, () => rate.take(1, 60_000)).filter(Boolean)).toHaveLength(10);
  });

  it('lends what one large message needs, and takes it back', () => {
    const rate = new Rate(1000, 0);
    expect(rate.take(5000, 0)).toBe(true);
    expect(rate.take(1, 3999)).toBe(false);
    expect(rate.take(1, 4001)).toBe(true);
  });

  it('nothing costs nothing', () => {
    const rate = new Rate(1, 0);
    expect(rate.take(1, 0)).toBe(true);
    expect(rate.take(0, 0)).toBe(true);
  });
});

describe('openRates', () => {
  it('holds nothing where the route has no limits', () => {
    expect(openRates({}, 0)).toBeNull();
  });

  it('one limit is enough to refuse', () => {
    const messages = openRates({ messages_per_second: 1 }, 0);
    expect([messages?.take(1, 1_000_000, 0), messages?.take(1, 1, 0)]).toEqual([true, false]);
    const bytes = openRates({ bytes_per_second: 10 }, 0);
    expect([bytes?.take(1, 4, 0), bytes?.take(1, 6, 0), bytes?.take(1, 1, 0)]).toEqual([true, true, false]);
  });
});
