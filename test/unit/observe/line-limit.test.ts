import { expect, it } from 'vitest';
import { LineLimit } from '../../../src/observe/line-limit.ts';

it('lets ten lines of a kind through in ten seconds, and then says how many there were without one', () => {
  let now = 1000;
  const limit = new LineLimit(() => now);
  const take = (times: number, kind = 'relay') => Array.from({ length: times }, () => limit.take(kind));
  expect(take(12)).toEqual([...Array(10).fill(0), null, null]);
  expect(limit.take('rooms')).toBe(0);
  now += 9999;
  expect(limit.take('relay')).toBeNull();
  now += 1;
  expect(take(11)).toEqual([3, ...Array(9).fill(0), null]);
});
