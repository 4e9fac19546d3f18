// That requests wait for connections that come, and for how long.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { AcceptPriority } from '../../../src/pipeline/accept-priority.ts';

const immediates: (() => void)[] = [];
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  vi.stubGlobal('setImmediate', (run: () => void) => immediates.push(run));
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
  expect(immediates).toEqual([]);
});

const acceptPriority = new AcceptPriority();
/** The end of a turn of the event loop: what asks for one there waits for the next. */
function turn(ms = 0) {
  vi.advanceTimersByTime(ms);
  for (const run of immediates.splice(0)) run();
}

function hold(started: number[], ...numbers: number[]) {
  for (const i of numbers) acceptPriority.defer(() => started.push(i));
}

it('a request is served at once where no connection has come', () => {
  const started: number[] = [];
  hold(started, 1);
  expect(started).toEqual([1]);
});

it('while connections come requests wait, and are served in their order once a turn has brought none', () => {
  const started: number[] = [];
  for (let i = 0; i < 50; i++) {
    acceptPriority.onConnection();
    hold(started, i);
    turn();
    expect(started).toEqual([]);
  }
  turn();
  expect(started).toEqual(Array.from({ length: 50 }, (_, i) => i));
  hold(started, 50);
  expect(started.at(-1)).toBe(50);
});

it('a lone connection costs a request one turn', () => {
  const started: number[] = [];
  acceptPriority.onConnection();
  turn();
  hold(started, 1);
  expect(started).toEqual([]);
  turn();
  expect(started).toEqual([1]);
});

it('a storm that does not end holds requests back for a bounded time, again and again', () => {
  const started: number[] = [];
  for (let ms = 0; ms < 100; ms++) {
    acceptPriority.onConnection();
    hold(started, ms);
    turn(1);
    expect(ms - started.length).toBeLessThan(12);
  }
  turn();
  turn();
  expect(started).toEqual(Array.from({ length: 100 }, (_, i) => i));
});

it('what is asked while others are served is served too', () => {
  const started: number[] = [];
  acceptPriority.onConnection();
  acceptPriority.defer(() => hold(started, 1, 2));
  turn();
  turn();
  expect(started).toEqual([1, 2]);
});
