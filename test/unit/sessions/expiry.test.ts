// Sessions end with their credentials: not before, soon after, however far away that is and whatever the clock does.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Expiry } from '../../../src/sessions/expiry.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance', 'Date'] }));
afterEach(() => void vi.useRealTimers());

const session = (inMs: number | null) => ({ expiresAt: inMs === null ? null : Date.now() + inMs, close: vi.fn() });

it('closes a session when its credentials end', () => {
  const [expiry, one] = [new Expiry(), session(500)];
  expiry.watch(one);
  vi.advanceTimersByTime(499);
  expect(one.close).not.toHaveBeenCalled();
  vi.advanceTimersByTime(101);
  expect(one.close.mock.calls).toEqual([[4401, 'credential expired', 5000]]);
  vi.advanceTimersByTime(100_000);
  expect(one.close).toHaveBeenCalledTimes(1);
});

it('closes one at once whose credentials have ended already', () => {
  const [expiry, one] = [new Expiry(), session(-1000)];
  expiry.watch(one);
  vi.advanceTimersByTime(100);
  expect(one.close).toHaveBeenCalledTimes(1);
});

it('lets one be that has ended, or whose credentials never end, and keeps no timer then', () => {
  const [expiry, ended, endless] = [new Expiry(), session(500), session(null)];
  expiry.watch(endless);
  expiry.forget(endless);
  expiry.watch(ended);
  expiry.forget(ended);
  expiry.forget(ended);
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(1000);
  expect(ended.close).not.toHaveBeenCalled();
});

it('knows no end that is too far away', () => {
  const [expiry, one] = [new Expiry(), session(1e15)];
  expiry.watch(one);
  vi.advanceTimersByTime(200_000);
  expect(one.close).not.toHaveBeenCalled();
});

it('follows the clock where that is set', () => {
  const [expiry, one] = [new Expiry(), session(3_600_000)];
  expiry.watch(one);
  vi.setSystemTime(Date.now() + 3_600_000);
  vi.advanceTimersByTime(60_100);
  expect(one.close).toHaveBeenCalledTimes(1);
});
