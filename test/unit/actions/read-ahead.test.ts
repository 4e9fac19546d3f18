// What a client sends behind its handshake, and whether it has left: nothing is lost, nothing is read without a bound.
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ReadAhead } from '../../../src/actions/read-ahead.ts';
import { ClientClosed } from '../../../src/net/client-closed.ts';
import { type SocketPair, socketPair } from '../../support/socket-pair.ts';

const KEPT = 64 * 1024;

let pair: SocketPair;
let clientClosed: ClientClosed;
beforeEach(async () => {
  pair = await socketPair();
  clientClosed = new ClientClosed();
});
afterEach(() => pair.close());

it('what was read along with the head is there once', () => {
  const ahead = new ReadAhead(Buffer.from('early'));
  expect([ahead.empty, ahead.take().toString(), ahead.take().toString()]).toEqual([false, 'early', '']);
  expect(new ReadAhead(Buffer.alloc(0)).empty).toBe(true);
});

describe('a watched connection', () => {
  it('is read on, behind what was there', async () => {
    const ahead = new ReadAhead(Buffer.from('a'));
    ahead.watch(pair.accepted, clientClosed);
    pair.client.write('b');
    await once(pair.accepted, 'data');
    expect(ahead.take().toString()).toBe('ab');
  });

  it('is not read any more once that was taken: the rest is its next owner’s', async () => {
    const ahead = new ReadAhead(Buffer.alloc(0));
    ahead.watch(pair.accepted, clientClosed);
    ahead.take();
    pair.client.write('later');
    const [part] = (await Promise.all([once(pair.accepted, 'data'), pair.accepted.resume()]))[0] as [Buffer];
    expect([part.toString(), ahead.take().toString()]).toEqual(['later', '']);
    pair.client.destroy();
    await once(pair.accepted, 'end');
    expect(clientClosed.closed).toBe(false);
  });

  it.each([
    ['ends its stream', () => pair.client.end()],
    ['resets it', () => pair.client.resetAndDestroy()],
  ])('of a client that %s is closed, and that is noticed', async (_, leave) => {
    new ReadAhead(Buffer.alloc(0)).watch(pair.accepted, clientClosed);
    const closed = new Promise((resolve) => pair.accepted.once('close', resolve));
    leave();
    await closed;
    expect([clientClosed.closed, pair.accepted.destroyed]).toEqual([true, true]);
  });

  it('of a client that had left before is noticed at once', () => {
    pair.accepted.destroy();
    new ReadAhead(Buffer.alloc(0)).watch(pair.accepted, clientClosed);
    expect(clientClosed.closed).toBe(true);
  });

  it('is read no further than 64 KiB and what comes in one piece with them', async () => {
    const ahead = new ReadAhead(Buffer.alloc(0));
    ahead.watch(pair.accepted, clientClosed);
    const sent = Buffer.alloc(8 * 1024 * 1024, 'x');
    pair.client.write(sent);
    await vi.waitFor(() => expect(pair.accepted.isPaused()).toBe(true));
    const taken = ahead.take().length;
    expect(taken).toBeGreaterThanOrEqual(KEPT);
    expect(taken).toBeLessThan(KEPT * 3);
    // Nothing of it is lost: the next owner reads on.
    let more = 0;
    pair.accepted.on('data', (part: Buffer) => {
      more += part.length;
    });
    pair.accepted.resume();
    await vi.waitFor(() => expect(taken + more).toBe(sent.length), 10_000);
  });

  it('is not read at all where 64 KiB were there already', () => {
    new ReadAhead(Buffer.alloc(KEPT)).watch(pair.accepted, clientClosed);
    expect(pair.accepted.isPaused()).toBe(true);
  });
});
