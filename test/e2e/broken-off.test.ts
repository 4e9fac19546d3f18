// An answer in chunks that breaks off, to an HTTP/1.0 client of the built gateway: what has come arrives, then a reset, and
// the log counts what has left. The client reads nothing until the server has ended, so that much of it is still to be written.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw, readAnswer } from '../support/raw.ts';

const LENGTH = 1_000_000;

describe.each(['auto', 'http-proxy'] as const)('by %s', (engine) => {
  let backend: Server;
  let gateway: Gateway;
  let onEnded = (): void => {};
  const ended = new Promise<void>((resolve) => {
    onEnded = resolve;
  });
  beforeAll(async () => {
    backend = createServer((socket) => {
      socket.on('error', () => {}).once('close', onEnded);
      socket.once('data', () => {
        const head = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${LENGTH.toString(16)}\r\n`;
        socket.end(`${head}${'x'.repeat(LENGTH)}\r\n`);
      });
    });
    await once(backend.listen(0, '127.0.0.1'), 'listening');
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      http: { engine },
      upstreams: { rest: { servers: [`http://127.0.0.1:${(backend.address() as AddressInfo).port}`] } },
      routes: [{ name: 'rest', http: { upstream: 'rest' } }],
    });
  });
  afterAll(async () => {
    await gateway?.stop('SIGKILL');
    backend?.close();
  });

  it('all of it arrives before the reset, and is counted', async () => {
    const client = await connectRaw(gateway.port);
    client.socket.pause();
    client.write('GET /broken HTTP/1.0\r\nHost: a\r\n\r\n');
    await Promise.race([ended, sleep(1000)]);
    // By then the answer has broken off for the gateway too.
    await sleep(300);
    client.socket.resume();
    const { how, bytes } = await client.closed();
    expect(how).toBe('reset');
    expect(readAnswer(bytes).body.length).toBe(LENGTH);
    const line = await gateway.log({ path: '/broken' });
    expect(line).toMatchObject({ reason: 'backend_refused', bytes_out: bytes.length });
  });
});
