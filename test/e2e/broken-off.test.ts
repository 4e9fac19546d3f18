// An answer in chunks that breaks off, to an HTTP/1.0 client of the built gateway: what has come arrives, then a reset, and
// the log counts what has left.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw, readAnswer } from '../support/raw.ts';

const LENGTH = 1_000_000;

describe.each(['auto', 'http-proxy'] as const)('by %s', (engine) => {
  let backend: Server;
  let gateway: Gateway;
  beforeAll(async () => {
    backend = createServer((socket) => {
      socket.on('error', () => {});
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
    client.write('GET /broken HTTP/1.0\r\nHost: a\r\n\r\n');
    const { how, bytes } = await client.closed();
    expect(how).toBe('reset');
    expect(readAnswer(bytes).body.length).toBe(LENGTH);
    const line = await gateway.log({ path: '/broken' });
    expect(line).toMatchObject({ reason: 'backend_refused', bytes_out: bytes.length });
  });
});
