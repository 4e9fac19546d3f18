// Clients that leave by FIN while nothing is read from their connection, so that nobody notices: behind more pipelined
// requests, or more bytes behind a handshake, than are read ahead. Each such wait ends with the next timeout.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw, handshake } from '../support/raw.ts';

/** Takes every connection and answers nobody. */
let mute: Server;
const sockets: Socket[] = [];
let gateway: Gateway;

beforeAll(async () => {
  mute = createServer((socket) => sockets.push(socket.on('error', () => {}).resume())).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const { port } = mute.address() as AddressInfo;
  gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    upstreams: { mute: { servers: [`http://127.0.0.1:${port}`] }, muteWs: { servers: [`ws://127.0.0.1:${port}`] } },
    routes: [
      {
        name: 'all',
        websocket: { mode: 'splice', upstream: 'muteWs', origins: 'any', timeouts: { handshake: '1s' } },
        http: { upstream: 'mute', timeouts: { head: '1s' } },
      },
    ],
  });
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await gateway?.stop('SIGKILL');
  mute.close();
});

it('of 150 pipelined requests the first is answered when its time is over, and the others are not begun', async () => {
  const client = await connectRaw(gateway.port);
  // More than 100, and more than 64 KiB: no server of ours reads further.
  client.write(`GET /pipelined HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(1000)}\r\n\r\n`.repeat(150));
  await expect.poll(() => sockets.length).toBe(1);
  client.socket.destroy();
  await gateway.log({ path: '/pipelined', status: 504 });
  const waiting = { budget: 'pipelining' };
  await expect.poll(() => gateway.metric('memory_budget_bytes', waiting), { timeout: 20_000 }).toBe(0);
  await expect.poll(() => gateway.metric('http_requests_in_flight'), { timeout: 20_000 }).toBe(0);
  // One more at most: where the first answer was written before the client's RST had come back.
  expect(sockets.length).toBeLessThanOrEqual(2);
});

it('a handshake with more than 64 KiB behind it ends at timeouts.handshake', async () => {
  const before = sockets.length;
  const client = await connectRaw(gateway.port);
  client.write(`${handshake({}, 'GET /ahead HTTP/1.1')}${'x'.repeat(200 * 1024)}`);
  await expect.poll(() => sockets.length).toBe(before + 1);
  client.socket.destroy();
  await gateway.log({ path: '/ahead', status: 504 });
  await expect.poll(() => sockets.at(-1)?.readableEnded, { timeout: 20_000 }).toBe(true);
});
