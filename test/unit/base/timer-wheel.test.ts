import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Defect, onDefect } from '../../../src/base/guard.ts';
import { type Timed, TimerWheel } from '../../../src/base/timer-wheel.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const recorder = (then: (now: number) => void = () => {}) => {
  const looks: number[] = [];
  const timed: Timed = {
    look(now) {
      looks.push(now);
      then(now);
    },
  };
  return { timed, looks };
};

it('looks once, not before the time asked for and at most 50 ms after it', () => {
  const wheel = new TimerWheel('websocket');
  const start = wheel.now();
  const { timed, looks } = recorder();
  wheel.schedule(timed, start + 120);
  vi.advanceTimersByTime(119);
  expect(looks).toEqual([]);
  vi.advanceTimersByTime(1000);
  expect(looks).toHaveLength(1);
  expect(looks[0]! - start).toBeGreaterThanOrEqual(120);
  expect(looks[0]! - start).toBeLessThanOrEqual(170);
});

it.each([0, 1, 49, 50, 51, 2_500, 102_401, 500_000])('looks after %d ms, never before', (ms) => {
  const wheel = new TimerWheel('relay');
  vi.advanceTimersByTime(12_345);
  const { timed, looks } = recorder();
  const at = wheel.now() + ms;
  wheel.schedule(timed, at);
  vi.advanceTimersByTime(ms + 200);
  expect(looks).toHaveLength(1);
  expect(looks[0]).toBeGreaterThanOrEqual(at);
  expect(looks[0]! - at).toBeLessThanOrEqual(100);
  vi.advanceTimersByTime(600_000);
  expect(looks).toHaveLength(1);
});

it('a later and a sooner time both replace the one asked for before', () => {
  const wheel = new TimerWheel('websocket');
  const start = wheel.now();
  const later = recorder();
  const sooner = recorder();
  wheel.schedule(later.timed, start + 100);
  wheel.schedule(later.timed, start + 500);
  wheel.schedule(sooner.timed, start + 500);
  wheel.schedule(sooner.timed, start + 100);
  vi.advanceTimersByTime(300);
  expect([later.looks.length, sooner.looks.length]).toEqual([0, 1]);
  vi.advanceTimersByTime(300);
  expect([later.looks.length, sooner.looks.length]).toEqual([1, 1]);
});

it('a time that it is to look by replaces a later one, and stands back for a sooner one', () => {
  const wheel = new TimerWheel('relay');
  const start = wheel.now();
  const { timed, looks } = recorder();
  wheel.scheduleBy(timed, start + 5000);
  wheel.scheduleBy(timed, start + 1000);
  wheel.scheduleBy(timed, start + 9000);
  wheel.scheduleBy(timed, Number.POSITIVE_INFINITY);
  vi.advanceTimersByTime(20_000);
  expect(looks).toHaveLength(1);
  expect(looks[0]! - start).toBeGreaterThanOrEqual(1000);
  expect(looks[0]! - start).toBeLessThanOrEqual(1050);
});

it('a time that never comes asks for no look', () => {
  const wheel = new TimerWheel('relay');
  const { timed, looks } = recorder();
  wheel.scheduleBy(timed, Number.POSITIVE_INFINITY);
  expect(vi.getTimerCount()).toBe(0);
  wheel.schedule(timed, wheel.now() + 100);
  wheel.schedule(timed, Number.POSITIVE_INFINITY);
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(1000);
  expect(looks).toEqual([]);
});

it('one that breaks is reported where it stands, and costs the others of its turn nothing', () => {
  const defects: Defect[] = [];
  const stop = onDefect((defect) => defects.push(defect));
  const wheel = new TimerWheel('relay');
  const broken = recorder(() => {
    throw new Error('broken');
  });
  const other = recorder();
  for (const { timed } of [broken, other]) wheel.schedule(timed, wheel.now() + 100);
  vi.advanceTimersByTime(200);
  stop();
  expect([broken.looks.length, other.looks.length]).toEqual([1, 1]);
  expect(defects.map(({ where }) => where)).toEqual(['relay']);
});

it('asks again from inside a look, and a time that has passed comes at the next turn', () => {
  const wheel = new TimerWheel('websocket');
  const again = recorder((now) => wheel.schedule(again.timed, now));
  wheel.schedule(again.timed, wheel.now());
  vi.advanceTimersByTime(500);
  expect(again.looks.length).toBeGreaterThanOrEqual(9);
  expect(again.looks.length).toBeLessThanOrEqual(10);
});

it('one look may take another out of the same turn', () => {
  const wheel = new TimerWheel('websocket');
  const at = wheel.now() + 100;
  const second = recorder();
  const first = recorder(() => wheel.remove(second.timed));
  wheel.schedule(first.timed, at);
  wheel.schedule(second.timed, at);
  vi.advanceTimersByTime(300);
  expect([first.looks.length, second.looks.length]).toEqual([1, 0]);
});

it('keeps no timer while nothing is asked for, and starts anew', () => {
  const wheel = new TimerWheel('websocket');
  const { timed, looks } = recorder();
  wheel.schedule(timed, wheel.now() + 1000);
  expect(vi.getTimerCount()).toBe(1);
  wheel.remove(timed);
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(10_000);
  wheel.schedule(timed, wheel.now() + 60);
  vi.advanceTimersByTime(200);
  expect(looks).toHaveLength(1);
});

it('keeps no timer once the last look is over, unless that asks for another', () => {
  const wheel = new TimerWheel('relay');
  let more = 1;
  const { timed, looks } = recorder((now) => {
    if (more-- > 0) wheel.schedule(timed, now + 100);
  });
  wheel.schedule(timed, wheel.now() + 100);
  vi.advanceTimersByTime(160);
  expect([looks.length, vi.getTimerCount()]).toEqual([1, 1]);
  vi.advanceTimersByTime(200);
  expect([looks.length, vi.getTimerCount()]).toEqual([2, 0]);
});

it('catches up where the process stood still', () => {
  const wheel = new TimerWheel('websocket');
  const { timed, looks } = recorder();
  const start = wheel.now();
  wheel.schedule(timed, start + 30_000);
  vi.spyOn(wheel, 'now').mockReturnValue(start + 60_000);
  vi.advanceTimersByTime(50);
  // What has come meanwhile is read first.
  expect(looks).toEqual([]);
  vi.advanceTimersByTime(50);
  expect(looks).toEqual([start + 60_000]);
});
