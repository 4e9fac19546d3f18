// Lines of their own: whoever asks much waits for itself.
import { describe, expect, it } from 'vitest';
import { FairSemaphore } from '../../../src/auth/fair-semaphore.ts';
import type { Release } from '../../../src/base/semaphore.ts';

const never = new AbortController().signal;
const limits = { permits: 1, maxQueue: 3, maxWaiting: 6 };

/** Who gets the permit, in order; `next` gives back the one that is held. */
function watch(semaphore: FairSemaphore) {
  const order: string[] = [];
  const held: Release[] = [];
  return {
    order,
    async ask(client: string, name: string, gone = never): Promise<'granted' | 'full'> {
      const release = await semaphore.acquire(client, gone);
      if (release === null) return 'full';
      order.push(name);
      held.push(release);
      return 'granted';
    },
    async next(): Promise<void> {
      held.shift()?.();
      await new Promise(setImmediate);
    },
  };
}

describe('FairSemaphore', () => {
  it('serves the lines in turn, each in its order', async () => {
    const { order, ask, next } = watch(new FairSemaphore(limits));
    const all = ['a1', 'a2', 'a3', 'b1', 'b2', 'c1'].map((name) => ask(name[0]!, name));
    for (let i = 0; i < 6; i++) await next();
    await Promise.all(all);
    expect(order).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2']);
  });

  it('refuses one more than a line may hold, and that line alone', async () => {
    const { ask, next } = watch(new FairSemaphore(limits));
    const all = ['a', 'a', 'a', 'a'].map((client) => ask(client, client));
    expect(await ask('a', 'fifth')).toBe('full');
    all.push(ask('b', 'b'));
    for (let i = 0; i < 6; i++) await next();
    expect(await Promise.all(all)).toEqual(['granted', 'granted', 'granted', 'granted', 'granted']);
  });

  it('has the longest line pay where all are full together, and nobody for a line as long as its own', async () => {
    const { ask, next, order } = watch(new FairSemaphore({ permits: 1, maxQueue: 3, maxWaiting: 4 }));
    const all = ['x', 'a1', 'a2', 'a3', 'b1'].map((name) => ask(name[0]!, name));
    const late = ask('c', 'c1');
    expect(await all[3]).toBe('full');
    const later = ask('d', 'd1');
    expect(await all[2]).toBe('full');
    expect(await ask('e', 'e1')).toBe('full');
    for (let i = 0; i < 8; i++) await next();
    await Promise.all([late, later]);
    expect(order).toEqual(['x', 'a1', 'b1', 'c1', 'd1']);
  });

  it('takes who has left out of the line, and lets the next in', async () => {
    const { ask, next, order } = watch(new FairSemaphore(limits));
    const gone = new AbortController();
    const first = ask('a', 'a1');
    const left = ask('a', 'a2', gone.signal);
    const third = ask('a', 'a3');
    gone.abort();
    await expect(left).rejects.toMatchObject({ code: 'client_gone' });
    for (let i = 0; i < 3; i++) await next();
    await Promise.all([first, third]);
    expect(order).toEqual(['a1', 'a3']);
    await expect(ask('b', 'b1', gone.signal)).rejects.toMatchObject({ code: 'client_gone' });
  });

  it('takes a permit back once', async () => {
    const semaphore = new FairSemaphore(limits);
    const release = await semaphore.acquire('a', never);
    release?.();
    release?.();
    const { ask, order } = watch(semaphore);
    void ask('a', 'a1');
    void ask('b', 'b1');
    await new Promise(setImmediate);
    expect(order).toEqual(['a1']);
  });
});
