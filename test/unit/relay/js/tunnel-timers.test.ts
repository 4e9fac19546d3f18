// The shared timer wheel, on a clock of the test's own.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Scheduled, Wheel } from '../../../../src/relay/js/tunnel-timers.ts';

class Item extends Scheduled {
  readonly calls: number[] = [];
  reaction: (now: number) => void = () => undefined;

  override due(now: number): void {
    this.calls.push(now);
    this.reaction(now);
  }
}

describe('wheel', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
    vi.advanceTimersByTime(12_345);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** In small steps, as a process that does not stall. */
  function advance(ms: number): void {
    for (let done = 0; done < ms; done += 50) vi.advanceTimersByTime(Math.min(50, ms - done));
  }

  it.each([0, 1, 99, 100, 101, 2_500, 102_400, 102_401, 500_000])(
    'calls after %d ms, never before, two ticks late at most',
    (ms) => {
      const wheel = new Wheel();
      const item = new Item();
      const at = wheel.now + ms;
      wheel.wake(item, at);
      advance(ms + 300);
      expect(item.calls.length).toBe(1);
      expect(item.calls[0]).toBeGreaterThanOrEqual(at);
      expect(item.calls[0]).toBeLessThanOrEqual(at + 200);
      advance(300_000);
      expect(item.calls.length).toBe(1);
    },
  );

  it('an earlier time replaces a later one, and a later one does not replace an earlier', () => {
    const wheel = new Wheel();
    const item = new Item();
    wheel.wake(item, wheel.now + 5_000);
    wheel.wake(item, wheel.now + 1_000);
    wheel.wake(item, wheel.now + 9_000);
    advance(20_000);
    expect(item.calls.length).toBe(1);
    expect(item.calls[0]).toBeLessThan(12_345 + 1_300);
  });

  it('a removed item is not called, and its neighbours are', () => {
    const wheel = new Wheel();
    const items = [new Item(), new Item(), new Item()];
    for (const item of items) wheel.wake(item, wheel.now + 400);
    wheel.remove(items[1]!);
    wheel.remove(items[1]!);
    advance(1_000);
    expect(items.map((item) => item.calls.length)).toEqual([1, 0, 1]);
  });

  it('what is set while others are called is called in its turn', () => {
    const wheel = new Wheel();
    const [first, second] = [new Item(), new Item()];
    first.reaction = (now) => {
      wheel.wake(first, now + 300);
      wheel.wake(second, now);
    };
    wheel.wake(first, wheel.now + 100);
    advance(1_050);
    expect(first.calls.length).toBeGreaterThanOrEqual(2);
    expect(second.calls.length).toBeGreaterThanOrEqual(2);
  });

  it('holds no timer while nothing is set, and knows the time again when something is', () => {
    const wheel = new Wheel();
    expect(vi.getTimerCount()).toBe(0);
    const item = new Item();
    wheel.wake(item, wheel.now + 100);
    expect(vi.getTimerCount()).toBe(1);
    advance(400);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(3_600_000);
    wheel.refresh();
    const at = performance.now();
    expect(wheel.now).toBe(at);
    wheel.wake(item, at + 1_000);
    advance(900);
    expect(item.calls.length).toBe(1);
    advance(400);
    expect(item.calls.length).toBe(2);
  });

  it('after a stall it lets a tick pass first, so that what waits in the sockets can be read', () => {
    const wheel = new Wheel();
    const item = new Item();
    wheel.wake(item, wheel.now + 1_000);
    const now = vi.spyOn(performance, 'now');
    const base = wheel.now;
    now.mockReturnValue(base + 5_000);
    vi.advanceTimersByTime(100);
    expect(item.calls).toEqual([]);
    expect(wheel.now).toBe(base + 5_000);
    now.mockReturnValue(base + 5_100);
    vi.advanceTimersByTime(100);
    expect(item.calls).toEqual([base + 5_100]);
    now.mockRestore();
  });
});
