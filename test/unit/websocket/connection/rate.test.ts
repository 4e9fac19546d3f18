// What a client may send in a second.
import { describe, expect, it } from 'vitest';
import { openRates } from '../../../../src/websocket/connection/rate.ts';

/** Takes so many bytes of a client that may send so many a second. */
const byBytes = (bytes_per_second: number) => {
  const rates = openRates({ bytes_per_second });
  return (bytes: number, now: number) => rates?.take(0, bytes, now);
};

describe('messages_per_second and bytes_per_second', () => {
  it("lets a second's worth through at once, and no more", () => {
    const take = byBytes(5);
    expect(Array.from({ length: 7 }, () => take(1, 0))).toEqual([true, true, true, true, true, false, false]);
  });

  it('fills evenly, and never beyond a second', () => {
    const take = byBytes(10);
    for (let n = 0; n < 10; n++) take(1, 0);
    expect(take(1, 99)).toBe(false);
    expect(take(1, 100)).toBe(true);
    expect(take(1, 150)).toBe(false);
    expect(Array.from({ length: 12 }, () => take(1, 60_000)).filter(Boolean)).toHaveLength(10);
  });

  it('lends what one large message needs, and takes it back', () => {
    const take = byBytes(1000);
    expect(take(5000, 0)).toBe(true);
    expect(take(1, 3999)).toBe(false);
    expect(take(1, 4001)).toBe(true);
  });

  it('nothing costs nothing, even of what is overdrawn', () => {
    const bytes = byBytes(1);
    expect(bytes(5, 0)).toBe(true);
    expect(bytes(1, 0)).toBe(false);
    expect(bytes(0, 0)).toBe(true);
  });
});

describe('openRates', () => {
  it('holds nothing where the route has no limits', () => {
    expect(openRates({})).toBeNull();
  });

  it('one limit is enough to refuse', () => {
    const messages = openRates({ messages_per_second: 1 });
    expect([messages?.take(1, 1_000_000, 0), messages?.take(1, 1, 0)]).toEqual([true, false]);
    const bytes = openRates({ bytes_per_second: 10 });
    expect([bytes?.take(1, 4, 0), bytes?.take(1, 6, 0), bytes?.take(1, 1, 0)]).toEqual([true, true, false]);
  });
});

it('judges messages that come in one read as if each had come alone', () => {
  const rates = openRates({ messages_per_second: 20 });
  expect(rates?.take(20, 0, 0)).toBe(true);
  expect(rates?.take(11, 0, 500)).toBe(false);
  // What was refused has cost nothing.
  expect(rates?.take(10, 0, 500)).toBe(true);
  expect(openRates({ messages_per_second: 20 })?.take(21, 0, 0)).toBe(false);
});
