// Text that is cut out of a larger one and outlives it.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { ownText } from '../../../src/base/own-text.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Bytes that a hundred parts of texts of 64 KiB keep in memory. */
function kept(keep: (part: string) => string): number {
  const whole = (i: number) => Buffer.alloc(65_536, `a part of no. ${i} `).toString('latin1');
  gc();
  const before = process.memoryUsage().heapUsed;
  const parts = Array.from({ length: 100 }, (_, i) => keep(whole(i).slice(100, 130)));
  gc();
  const after = process.memoryUsage().heapUsed;
  expect(parts).toHaveLength(100);
  return after - before;
}

it('does not keep the whole in memory', () => {
  expect(kept((part) => part)).toBeGreaterThan(4_000_000);
  expect(kept(ownText)).toBeLessThan(2_000_000);
});

it.each([
  '',
  'short',
  'twelve chars',
  'a text of more',
  'Ünïcödé Ünïcödé',
  '漢字漢字漢字漢字漢字',
  '\ud800 alone, and long',
])('%j stays what it is', (text) => expect(ownText(text)).toBe(text));
