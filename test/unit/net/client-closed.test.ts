// A client's leaving: told once, to the one that waits.
import { describe, expect, it } from 'vitest';
import { ClientClosed } from '../../../src/net/client-closed.ts';

describe('a departure', () => {
  it('tells the one that waits, once', () => {
    const gone = new ClientClosed();
    let told = 0;
    gone.onClosed(() => told++);
    expect(gone.closed).toBe(false);
    gone.notify();
    gone.notify();
    expect([gone.closed, told]).toEqual([true, 1]);
  });

  it('does not tell who waits no more', () => {
    const gone = new ClientClosed();
    const told: string[] = [];
    gone.onClosed(() => told.push('first'));
    gone.onClosed(() => told.push('second'));
    gone.onClosed(null);
    gone.notify();
    expect([gone.closed, told]).toEqual([true, []]);
  });
});
