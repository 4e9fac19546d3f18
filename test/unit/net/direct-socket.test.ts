// Sockets that read into one buffer: each part is its taker's own, and a socket may become a stream again.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { DirectSocket, receive, stopReceiving } from '../../../src/net/direct-socket.ts';

/** So many sockets over one small buffer, and their other ends. */
async function open(count: number) {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const buffer = Buffer.alloc(1024);
  const pairs: { near: DirectSocket; far: Socket }[] = [];
  for (let i = 0; i < count; i++) {
    const near = new DirectSocket(buffer);
    near.connect({ port, host: '127.0.0.1' });
    const [far] = (await once(server, 'connection')) as [Socket];
    pairs.push({ near, far });
  }
  onTestFinished(() => {
    server.close();
    for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy();
  });
  return pairs;
}

it('keeps what each has read apart, however much comes at once', async () => {
  const pairs = await open(8);
  const ends = pairs.map(async ({ near, far }, i) => {
    const parts: Buffer[] = [];
    near.direct((part) => parts.push(part));
    near.resume();
    const sent = Buffer.alloc(300_000, 65 + i);
    far.end(sent);
    await once(near, 'end');
    return Buffer.concat(parts).equals(sent);
  });
  expect(await Promise.all(ends)).toEqual(pairs.map(() => true));
});

it('gives nothing while it is paused, and everything after it', async () => {
  const [{ near, far }] = (await open(1)) as [{ near: DirectSocket; far: Socket }];
  const parts: Buffer[] = [];
  near.direct((part) => {
    parts.push(part);
    if (parts.length === 1) near.pause();
  });
  near.resume();
  far.end(Buffer.alloc(10_000, 'x'));
  await expect.poll(() => parts.length).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(parts).toHaveLength(1);
  near.resume();
  await once(near, 'end');
  expect(Buffer.concat(parts)).toHaveLength(10_000);
});

it('is a stream where nobody takes the parts, before and again after, with back-pressure', async () => {
  const [{ near, far }] = (await open(1)) as [{ near: DirectSocket; far: Socket }];
  far.write('one');
  expect(String((await once(near, 'data'))[0])).toBe('one');
  const direct = new Promise<string>((resolve) => near.direct((part) => resolve(String(part))));
  near.resume();
  far.write('two');
  expect(await direct).toBe('two');
  near.direct(null);
  near.pause();
  const sent = Buffer.alloc(4_000_000, 'y');
  far.end(sent);
  near.read(0);
  await expect.poll(() => near.readableLength).toBeGreaterThan(0);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(near.readableLength).toBeLessThan(200_000);
  let length = 0;
  for await (const part of near) length += (part as Buffer).length;
  expect(length).toBe(sent.length);
});

it('what is in its stream already is received before what is read then', async () => {
  const [{ near, far }] = (await open(1)) as [{ near: DirectSocket; far: Socket }];
  near.pause();
  near.read(0);
  far.write('one');
  await expect.poll(() => near.readableLength).toBe(3);
  let text = '';
  receive(near, (part) => {
    text += String(part);
  }).resume();
  far.end('two');
  await once(near, 'end');
  expect(text).toBe('onetwo');
});

it('the stream has what is read after receiving was stopped, and no part is lost or comes twice', async () => {
  const [{ near, far }] = (await open(1)) as [{ near: DirectSocket; far: Socket }];
  const received: string[] = [];
  const receiver = (part: Buffer): void => {
    received.push(String(part));
    stopReceiving(near, receiver).pause();
  };
  receive(near, receiver).resume();
  far.write('one');
  await expect.poll(() => received).toEqual(['one']);
  far.end('two');
  const rest: string[] = [];
  near.on('data', (part) => rest.push(String(part)));
  near.resume();
  await once(near, 'end');
  expect([received, rest]).toEqual([['one'], ['two']]);
});
