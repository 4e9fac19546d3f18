// When a timer leaves a look out because its process stood still.
import { expect, it } from 'vitest';
import { StallDetector } from '../../../src/base/stall-detector.ts';

it.each<[string, number[], boolean[]]>([
  ['a timer in time leaves nothing out', [50, 100, 600, 1100], [false, false, false, false]],
  ['one that is late leaves this look out, and no other', [50, 800, 850, 900], [false, true, false, false]],
  ['the first look may be late too', [501, 502], [true, false]],
  ['always late, it leaves out every other look', [1000, 2000, 3000, 4000], [true, false, true, false]],
])('%s', (_, looks, left) => {
  const standstill = new StallDetector(0);
  expect(looks.map((now) => standstill.leaves(now))).toEqual(left);
});
