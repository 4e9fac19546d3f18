// A client's leaving: told once, to the one that waits.
import { describe, expect, it } from 'vitest';
import { Departure } from '../../../src/net/client-closed.ts';

describe('a departure', () => {
  it('tells the one that waits, once', () => {
    const gone = new Departure();
    let told = 0;
    gone.watch(() => told++);
    expect(gone.left).toBe(false);
    gone.tell();
    gone.tell();
    expect([gone.left, told]).toEqual([true, 1]);
  });

  it('does not tell who waits no more', () => {
    const gone = new Departure();
    const told: string[] = [];
    gone.watch(() => told.push('first'));
    gone.watch(() => told.push('second'));
    gone.watch(null);
    gone.tell();
    expect([gone.left, told]).toEqual([true, []]);
  });
});
