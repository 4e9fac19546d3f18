// Plain requests that wait behind others of their connection: their order, when reading stops and goes on, and what all of
// them may take together.
import { once } from 'node:events';
import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http';
import { type AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { MemoryBudget } from '../../../../src/base/memory-budget.ts';
import { watchHalfClose } from '../../../../src/listen/node/half-close.ts';
import { PipelineQueue } from '../../../../src/listen/node/pipelining.ts';
import { connectRaw, type RawConnection } from '../../../support/raw.ts';

const PLENTY = 1024 ** 3;
const request = (i: number) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`;

let server: Server | undefined;
const clients: RawConnection[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.socket.destroy();
  server?.close();
});

interface Stage {
  readonly budget: MemoryBudget;
  /** The responses whose turn has come, in order, and the paths that were asked for. */
  readonly started: { res: ServerResponse; path: string }[];
  /** What take() said no to. */
  readonly refused: string[];
  readonly seen: () => number;
  readonly sockets: Socket[];
  readonly queue: PipelineQueue;
  connect(): Promise<RawConnection>;
  /** Waits until so many have started. */
  until(count: number): Promise<void>;
}

async function stage(mostBytes: number): Promise<Stage> {
  const budget = new MemoryBudget(mostBytes);
  const turns = new PipelineQueue(budget);
  const started: Stage['started'] = [];
  const refused: string[] = [];
  const sockets: Socket[] = [];
  let seen = 0;
  const listening = createServer((req, res) => {
    seen++;
    const path = req.url!;
    res.once('close', () => turns.answered(req.socket));
    const taken = turns.take(req, res, () => {
      started.push({ res, path });
      listening.emit('started');
    });
    if (!taken) refused.push(path);
  });
  server = listening;
  watchHalfClose(listening, turns, 'connection');
  listening.on('connection', (socket) => sockets.push(socket));
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  return {
    budget,
    started,
    refused,
    sockets,
    queue: turns,
    seen: () => seen,
    connect: async () => {
      const client = await connectRaw((listening.address() as AddressInfo).port);
      clients.push(client);
      return client;
    },
    until: async (count) => {
      while (started.length < count) await once(listening, 'started');
    },
  };
}

describe('requests of one connection', () => {
  it('are started one by one, in their order, over more than one read of the connection', async () => {
    const { started, until, connect, budget } = await stage(PLENTY);
    const client = await connect();
    const all = Array.from({ length: 4000 }, (_, i) => i);
    client.write(all.map(request).join(''));
    for (const i of all) {
      await until(i + 1);
      expect(started.length).toBe(i + 1);
      started[i]!.res.end('.');
    }
    expect(started.map(({ path }) => path)).toEqual(all.map((i) => `/${i}`));
    await client.until((bytes) => bytes.toString().split('HTTP/1.1 200 OK').length === 4001);
    expect(budget.used).toBe(0);
  });

  it('are not read without end while one is being answered', async () => {
    const { started, until, connect, seen, sockets } = await stage(PLENTY);
    const client = await connect();
    client.write(request(0));
    await until(1);
    const socket = sockets[0]!;
    const paused = once(socket, 'pause');
    // Far more than fits into one read of node's and the buffers of the system between.
    const count = 400_000;
    client.write(Array.from({ length: count }, (_, i) => request(i + 1)).join(''));
    await paused;
    const most = 64 * 1024;
    const fits = Math.ceil(most / request(1).length) + 100;
    expect(seen()).toBeLessThan(2 * fits);
    // node goes on reading at the end of an answer; here it is stopped again until few wait.
    for (let i = 0; i < 200; i++) {
      started[i]!.res.end('.');
      await until(i + 2);
    }
    expect(seen()).toBeLessThan(3 * fits);
  });
});

describe('the memory of all requests that wait', () => {
  it('is counted while they wait, and given back when a connection ends', async () => {
    const { until, connect, budget, sockets, seen } = await stage(PLENTY);
    const client = await connect();
    client.write([0, 1, 2].map(request).join(''));
    await until(1);
    await expect.poll(seen).toBe(3);
    const bytes = budget.used;
    expect(bytes).toBeGreaterThan(2 * 1024);
    client.reset();
    await new Promise((resolve) => sockets[0]!.on('error', () => {}).once('close', resolve));
    expect(budget.used).toBe(0);
  });

  it('is given back once, where a response comes to its turn behind the end of its connection', async () => {
    const budget = new MemoryBudget(PLENTY);
    const queue = new PipelineQueue(budget);
    const socket = new Socket();
    const waiting = [0, 1].map(() => {
      const req = new IncomingMessage(socket);
      return { req, res: new ServerResponse(req) };
    });
    let started = 0;
    for (const { req, res } of waiting) queue.take(req, res, () => started++);
    expect(budget.used).toBeGreaterThanOrEqual(12 * 1024);
    socket.destroy();
    await once(socket, 'close');
    expect(budget.used).toBe(0);
    waiting[0]!.res.assignSocket(socket);
    expect(started).toBe(1);
    expect(budget.used).toBe(0);
  });

  it('has an end: the connection that passes it is closed, and another one is served', async () => {
    const { started, refused, until, connect, budget } = await stage(64 * 1024);
    const other = await connect();
    other.write(request(1));
    await until(1);
    const client = await connect();
    client.write(Array.from({ length: 500 }, (_, i) => request(i)).join(''));
    const { bytes } = await client.closed();
    expect(bytes.length).toBe(0);
    expect(refused.length).toBe(1);
    expect(budget.used).toBe(0);
    other.write(request(2));
    started[0]!.res.end('one');
    await expect.poll(() => started.at(-1)?.path).toBe('/2');
    started.at(-1)!.res.end('two');
    await other.until('two');
  });

  it('is not passed in one turn of the event loop by many connections: the rest is read in the next ones', async () => {
    const { refused, connect, seen, sockets } = await stage(64 * 1024);
    const clients = await Promise.all(Array.from({ length: 20 }, connect));
    await expect.poll(() => sockets.length).toBe(20);
    const inTurn: number[] = [];
    let before = 0;
    let over = false;
    const turn = (): void => {
      inTurn.push(seen() - before);
      before = seen();
      if (!over) setImmediate(turn);
    };
    turn();
    const text = request(1).repeat(500);
    for (const client of clients) client.write(text);
    await Promise.all(clients.slice(1).map((client) => client.closed()));
    over = true;
    // Each is closed as it is read, and none of them before all others are.
    expect(refused.length).toBe(20);
    expect(Math.max(...inTurn)).toBeLessThan(2 * 500);
  });
});

it('idle are the connections between two requests, and neither those before their first nor within a next one', async () => {
  const { started, until, connect, sockets, queue } = await stage(PLENTY);
  const [silent, half, busy, waiting, kept, next] = await Promise.all(Array.from({ length: 6 }, connect));
  half!.write('GET /half HTTP/1.1\r\n');
  // One after the other, so that each response is its client's.
  for (const client of [kept!, next!, busy!]) {
    client.write(request(started.length));
    await until(started.length + 1);
  }
  waiting!.write(request(0) + request(1));
  await until(4);
  for (const { res } of started.filter((_, i) => i !== 2)) res.end('answered');
  for (const client of [kept!, next!, waiting!]) await client.until('answered');
  next!.write('G');
  // The one byte of the next request has been read.
  await expect.poll(() => sockets.map(({ bytesRead }) => bytesRead)).toContain(request(1).length + 1);
  queue.closeIdle();
  await kept!.closed();
  for (const client of [silent!, half!, busy!, waiting!, next!]) expect(client.socket.readableEnded).toBe(false);
  expect(sockets.filter(({ destroyed }) => destroyed)).toHaveLength(1);
});
