import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { PacedClose } from '../../../src/sessions/paced-close.ts';
import type { Session } from '../../../src/sessions/registry.ts';
import { sessionOf } from '../../support/sessions.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function sessions(count: number) {
  const closed: unknown[] = [];
  const all = Array.from(
    { length: count },
    (_, i): Session => sessionOf({ id: `s${i}`, close: (code, reason) => void closed.push(`s${i} ${code} ${reason}`) }),
  );
  return { all, closed };
}

it('closes so many a second, in their order, and says when none is left', () => {
  const { all, closed } = sessions(25);
  const onDone = vi.fn();
  const paced = new PacedClose(all, { code: 1012, reason: 'why', rate: 10, onDone });
  expect(closed).toEqual(['s0 1012 why']);
  vi.advanceTimersByTime(1000);
  expect([closed.length, paced.left]).toEqual([11, 14]);
  vi.advanceTimersByTime(1000);
  expect([closed.length, onDone.mock.calls.length]).toEqual([21, 0]);
  vi.advanceTimersByTime(600);
  expect([closed.length, paced.left, onDone.mock.calls.length]).toEqual([25, 0, 1]);
  expect(closed.at(-1)).toBe('s24 1012 why');
  expect(vi.getTimerCount()).toBe(0);
});

it('closes all at once where there is no rate', () => {
  const { all, closed } = sessions(500);
  const onDone = vi.fn();
  new PacedClose(all, { code: 1012, reason: 'why', rate: Number.POSITIVE_INFINITY, onDone });
  expect([closed.length, onDone.mock.calls.length, vi.getTimerCount()]).toEqual([500, 1, 0]);
});

it('spends nothing on those that have ended, and asks none once stopped', () => {
  const { all, closed } = sessions(4);
  const ended = all.map((session, i) => (i < 2 ? { ...session, live: false } : session));
  const paced = new PacedClose(ended, { code: 1012, reason: 'why', rate: 1 });
  expect(closed).toEqual(['s2 1012 why']);
  paced.stop();
  vi.advanceTimersByTime(10_000);
  expect([closed.length, paced.left]).toEqual([1, 0]);
});

it('goes on where closing one throws', () => {
  const { all, closed } = sessions(2);
  const broken = sessionOf({
    close: () => {
      throw new Error('broken');
    },
  });
  new PacedClose([broken, ...all], { code: 1012, reason: 'why', rate: 100 });
  vi.advanceTimersByTime(1000);
  expect(closed).toEqual(['s0 1012 why', 's1 1012 why']);
});
