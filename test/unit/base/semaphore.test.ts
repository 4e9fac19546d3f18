import { describe, expect, it } from 'vitest';
import { Semaphore } from '../../../src/base/semaphore.ts';

const never = null;

describe('Turns', () => {
  it('gives so many at a time, the others in their order', async () => {
    const turns = new Semaphore(2);
    const order: number[] = [];
    const releases: (() => void)[] = [];
    const all = [1, 2, 3, 4].map((number) =>
      turns.acquire(never).then((release) => {
        order.push(number);
        releases.push(release);
      }),
    );
    await Promise.all(all.slice(0, 2));
    expect([order, turns.waiting]).toEqual([[1, 2], 2]);
    releases[1]!();
    await all[2];
    expect([order, turns.waiting]).toEqual([[1, 2, 3], 1]);
    releases[1]!();
    expect(turns.waiting).toBe(1);
    releases[0]!();
    await all[3];
    expect([order, turns.waiting]).toEqual([[1, 2, 3, 4], 0]);
  });

  it('takes who has left out of the line', async () => {
    const turns = new Semaphore(1);
    const release = await turns.acquire(never);
    const gone = new AbortController();
    const left = turns.acquire(gone.signal);
    const next = turns.acquire(never);
    gone.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    release();
    await next;
    await expect(turns.acquire(gone.signal)).rejects.toThrow('left');
  });
});
