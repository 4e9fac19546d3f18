// When certificates are renewed, and how long after a failure.
import { describe, expect, it } from 'vitest';
import { readRetryAfter } from '../../../src/acme/client.ts';
import { pauseAfter, renewalTime, suggestedTime, waitAfter } from '../../../src/acme/renewal.ts';

const DAY = 86_400_000;
const MINUTE = 60_000;

it('is with a third of the life left', () => {
  expect(renewalTime({ from: 0, to: 90 * DAY })).toBe(60 * DAY);
  expect(renewalTime({ from: 0, to: 6 * DAY })).toBe(4 * DAY);
});

it("is at a moment of the authority's window, and in time whatever it says", () => {
  const life = { from: 0, to: 100 * DAY };
  expect(suggestedTime(life, { start: 10 * DAY, end: 20 * DAY }, 0.25)).toBe(12.5 * DAY);
  expect(suggestedTime(life, { start: 99 * DAY, end: 120 * DAY }, 1)).toBe(95 * DAY);
});

it('is not at once again, whatever was issued', () => {
  expect(pauseAfter({ from: 0, to: 90 * DAY })).toBe(60 * MINUTE);
  expect(pauseAfter({ from: 0, to: 30 * MINUTE })).toBe(10 * MINUTE);
  expect(pauseAfter({ from: DAY, to: 0 })).toBe(MINUTE);
});

describe('the wait after a failure', () => {
  it('grows threefold from a minute to six hours', () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 100].map((failures) => waitAfter(failures, null, 0) / MINUTE);
    expect(waits).toEqual([1, 3, 9, 27, 81, 243, 360, 360, 360]);
  });

  it('is less by up to a quarter, at random', () => {
    expect(waitAfter(1, null, 1)).toBe(0.75 * MINUTE);
    expect(waitAfter(9, null, 0.5)).toBe(0.875 * 360 * MINUTE);
  });

  it('is what the authority asks for where that is longer, within a week', () => {
    expect(waitAfter(1, 3600_000, 1)).toBe(3600_000);
    expect(waitAfter(7, 1000, 0)).toBe(360 * MINUTE);
    expect(waitAfter(1, 365 * DAY, 0)).toBe(7 * DAY);
  });
});

it.each([
  [null, null],
  ['120', 120_000],
  ['0', 0],
  ['Thu, 01 Jan 1970 00:01:00 GMT', 50_000],
  ['Thu, 01 Jan 1970 00:00:01 GMT', 0],
  ['soon', null],
  ['-5', null],
])('Retry-After %s is %s ms', (value, ms) => {
  expect(readRetryAfter(value, 10_000)).toBe(ms);
});
