// Counting what everything of one kind takes.
import { expect, it } from 'vitest';
import { ByteSemaphore } from '../../../src/base/byte-semaphore.ts';
import { bytesOf, MemoryBudget } from '../../../src/base/memory-budget.ts';

it.each([
  ['', 0],
  ['abc', 3],
  ['ä\xff', 2],
  ['aĀ', 4],
  ['😀', 4],
])('%j takes %d bytes', (text, bytes) => expect(bytesOf(text)).toBe(bytes));

it('a budget says what fits, and whether it is exceeded, also with another limit', () => {
  const budget = new MemoryBudget(100);
  budget.add(80);
  expect([budget.fits(20), budget.fits(21), budget.exceeded, budget.used]).toEqual([true, false, false, 80]);
  budget.resize(50);
  expect([budget.exceeded, budget.limit]).toEqual([true, 50]);
  budget.remove(30);
  expect([budget.exceeded, budget.used]).toEqual([false, 50]);
});

it('of a semaphore, those in line go in order, and what is larger than all goes alone', async () => {
  const semaphore = new ByteSemaphore(10);
  const went: string[] = [];
  const go = (name: string, bytes: number) => {
    const turn = semaphore.acquire(bytes);
    if (turn === null) went.push(name);
    else void turn.then(() => went.push(name));
  };
  go('a', 6);
  go('b', 4);
  go('huge', 100);
  go('c', 1);
  expect(went).toEqual(['a', 'b']);
  semaphore.release(6);
  await Promise.resolve();
  expect(went).toEqual(['a', 'b']);
  semaphore.release(4);
  await Promise.resolve();
  expect(went).toEqual(['a', 'b', 'huge']);
  semaphore.release(100);
  await Promise.resolve();
  expect(went).toEqual(['a', 'b', 'huge', 'c']);
});
