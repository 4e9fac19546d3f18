// One timer for deadlines that move.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Deadlines } from '../../../src/base/deadlines.ts';
import { onDefect } from '../../../src/base/guard.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setImmediate', 'performance'] }));
afterEach(() => void vi.useRealTimers());

/** One that is due in so many milliseconds, and when it was called. */
function member(deadlines: Deadlines, ms: number) {
  const calledAt: number[] = [];
  const due = {
    deadline: performance.now() + ms,
    onDeadline() {
      calledAt.push(performance.now());
      due.deadline = Number.POSITIVE_INFINITY;
    },
  };
  return { due, calledAt, handle: deadlines.add(due) };
}

it('calls each after its deadline, never before, and at most 51 ms late', () => {
  const deadlines = new Deadlines('request');
  const start = performance.now();
  const members = [10, 49, 50, 51, 120, 1000, 5000].map((ms) => ({ ms, ...member(deadlines, ms) }));
  vi.advanceTimersByTime(6000);
  for (const { ms, calledAt } of members) {
    expect(calledAt).toHaveLength(1);
    expect(calledAt[0]! - start).toBeGreaterThanOrEqual(ms);
    expect(calledAt[0]! - start).toBeLessThanOrEqual(ms + 51);
  }
});

it('goes by a deadline that has moved, to later and to sooner', () => {
  const deadlines = new Deadlines('request');
  const [later, sooner] = [member(deadlines, 100), member(deadlines, 10_000)];
  later.due.deadline += 500;
  vi.advanceTimersByTime(300);
  expect(later.calledAt).toEqual([]);
  sooner.due.deadline = performance.now() + 100;
  deadlines.moved(sooner.due);
  vi.advanceTimersByTime(200);
  expect(sooner.calledAt).toHaveLength(1);
  vi.advanceTimersByTime(300);
  expect(later.calledAt).toHaveLength(1);
});

it('does not call one that was removed, also by another of the same look', () => {
  const deadlines = new Deadlines('request');
  const first = member(deadlines, 100);
  const second = member(deadlines, 100);
  for (const [one, other] of [[first, second] as const, [second, first] as const]) {
    const { onDeadline } = one.due;
    one.due.onDeadline = () => {
      onDeadline();
      other.due.deadline = Number.POSITIVE_INFINITY;
      deadlines.remove(other.handle);
    };
  }
  vi.advanceTimersByTime(300);
  expect(first.calledAt.length + second.calledAt.length).toBe(1);
});

it('one that throws is reported and costs the others nothing', () => {
  const deadlines = new Deadlines('request');
  const thrown: unknown[] = [];
  const off = onDefect((defect) => thrown.push(defect.thrown));
  const bad = member(deadlines, 100);
  bad.due.onDeadline = () => {
    deadlines.remove(bad.handle);
    throw new Error('a defect');
  };
  const good = member(deadlines, 100);
  vi.advanceTimersByTime(300);
  off();
  expect(thrown).toEqual([new Error('a defect')]);
  expect(good.calledAt).toHaveLength(1);
});

it('has no timer while nothing is looked after, and one again later', () => {
  const deadlines = new Deadlines('request');
  deadlines.remove(member(deadlines, 10_000).handle);
  vi.advanceTimersByTime(200);
  expect(vi.getTimerCount()).toBe(0);
  const again = member(deadlines, 100);
  vi.advanceTimersByTime(300);
  expect(again.calledAt).toHaveLength(1);
});
