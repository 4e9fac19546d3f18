// When a connection is made anew.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Defect, onDefect } from '../../../src/base/guard.ts';
import { Reconnect } from '../../../src/base/reconnect.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  vi.spyOn(Math, 'random').mockReturnValue(1);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** One that fails each time; `waits` are the milliseconds from one try to the next. */
function failing() {
  const waits: number[] = [];
  let [before, passed] = [0, 0];
  const reconnect = new Reconnect('redis', async () => {
    waits.push(passed - before);
    before = passed;
    reconnect.retry();
  });
  const advance = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i += 10) {
      passed += 10;
      await vi.advanceTimersByTimeAsync(10);
    }
  };
  return { reconnect, waits, advance };
}

it('waits twice as long from try to try, up to a second, and begins anew after a success', async () => {
  const { reconnect, waits, advance } = failing();
  reconnect.start();
  await advance(3600);
  expect(waits).toEqual([0, 50, 100, 200, 400, 800, 1000, 1000]);
  reconnect.succeeded();
  await advance(1060);
  expect(waits.slice(8)).toEqual([1000, 50]);
  reconnect.close();
});

it('makes no more once it is closed', async () => {
  const { reconnect, waits, advance } = failing();
  reconnect.start();
  reconnect.close();
  reconnect.retry();
  expect(vi.getTimerCount()).toBe(0);
  await advance(2000);
  expect(waits).toEqual([0]);
});

it('told of one loss twice, it makes one connection', async () => {
  const open = vi.fn(async () => {});
  const reconnect = new Reconnect('redis', open);
  reconnect.retry();
  reconnect.retry();
  await vi.advanceTimersByTimeAsync(5000);
  expect(open).toHaveBeenCalledTimes(1);
});

it('reports what making it breaks with', async () => {
  const defects: Defect[] = [];
  const stop = onDefect((defect) => defects.push(defect));
  new Reconnect('redis', () => Promise.reject(new Error('broken'))).start();
  await vi.advanceTimersByTimeAsync(0);
  stop();
  expect(defects.map(({ where }) => where)).toEqual(['redis']);
});
