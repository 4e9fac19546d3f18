// One member's requests and what waits for it, against their bounds.
import { expect, it, onTestFinished } from 'vitest';
import { onDefect } from '../../../../src/base/guard.ts';
import { MemoryBudget } from '../../../../src/base/memory-budget.ts';
import { prepareText } from '../../../../src/websocket/frame.ts';
import type { WebSocketConnection } from '../../../../src/websocket/handler.ts';
import { Mailbox, Requests } from '../../../../src/websocket/rooms/room-protocol.ts';

function connect() {
  const did: string[] = [];
  const connection: WebSocketConnection = {
    id: 'test',
    send: () => true,
    sendPrepared: (message) => did.push(message.payload.toString()) > 0,
    hold: () => {},
    pause: () => void did.push('pause'),
    resume: () => void did.push('resume'),
    close: (code, reason) => void did.push(`close ${code}${reason ? ` ${reason}` : ''}`),
  };
  return { connection, did };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

it('asks of one member are answered one after the other', async () => {
  const { connection } = connect();
  const requests = new Requests(connection);
  const order: string[] = [];
  const ends: (() => void)[] = [];
  for (const name of ['a', 'b'])
    requests.enqueue(10, () => {
      order.push(name);
      return new Promise((resolve) => ends.push(resolve));
    });
  await settled();
  expect(order).toEqual(['a']);
  ends[0]!();
  await settled();
  expect(order).toEqual(['a', 'b']);
});

it.each([
  ['64 requests', Array<number>(64).fill(1)],
  ['1 MiB of requests', [2 ** 19, 2 ** 19]],
])('with %s without an answer the member is not read from, and is again once half are answered', async (_, sizes) => {
  const { connection, did } = connect();
  const requests = new Requests(connection);
  const ends: (() => void)[] = [];
  for (const size of sizes) requests.begin(size, () => new Promise((resolve) => ends.push(resolve)));
  expect(did).toEqual(['pause']);
  for (const end of ends.slice(0, ends.length / 2)) end();
  await settled();
  expect(did).toEqual(['pause', 'resume']);
});

it('a request that breaks costs its connection, and those behind it go on', async () => {
  const { connection, did } = connect();
  const defects: string[] = [];
  onTestFinished(onDefect(({ where, thrown }) => defects.push(`${where} ${(thrown as Error).message}`)));
  const requests = new Requests(connection);
  requests.begin(1, () => Promise.reject(new Error('one')));
  requests.begin(1, () => {
    throw new Error('two');
  });
  requests.enqueue(1, () => Promise.reject(new Error('three')));
  requests.enqueue(1, async () => void did.push('four'));
  await settled();
  expect(defects.sort()).toEqual(['rooms one', 'rooms three', 'rooms two']);
  expect(did).toEqual([...Array(3).fill('close 1011 handler_failed'), 'four']);
});

it('nothing is begun for a member that has left', async () => {
  const { connection, did } = connect();
  const requests = new Requests(connection);
  requests.close();
  requests.enqueue(1, async () => void did.push('asked'));
  await settled();
  expect(did).toEqual([]);
});

it('what waits for a member counts, and is bounded in bytes, for it and for all', () => {
  const message = prepareText('x'.repeat(2 ** 20));
  const [own, all] = [new MemoryBudget(2 ** 30), new MemoryBudget(2 ** 20)];
  for (const [budget, most, reason] of [
    [own, 3, 'slow_consumer'],
    [all, 0, 'queues_full'],
  ] as const) {
    const { connection, did } = connect();
    const mailbox = new Mailbox(budget);
    for (let n = 0; n <= most; n++) mailbox.receive(message);
    expect(budget.used).toBe(most * message.frame.length);
    mailbox.connect(connection);
    mailbox.release();
    expect(did).toEqual([...Array(most).fill(message.payload.toString()), `close 1013 ${reason}`]);
    expect(budget.used).toBe(0);
  }
});
