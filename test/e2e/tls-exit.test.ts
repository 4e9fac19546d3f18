// The end of a process whose relay threads are doing TLS: handshakes under way, others that stall, tunnels with traffic, and
// clients that come and go. OpenSSL frees what is its own as the process exits, and no thread may still use it then.
import { existsSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDON } from '../../src/relay/native/addon.ts';
import { openClient } from '../support/client.ts';
import { clientHelloOf } from '../support/client-hello.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { startGateway } from '../support/gateway.ts';
import { connectRaw } from '../support/raw.ts';

let echo: EchoServer;
beforeAll(async () => {
  echo = await startEcho();
});
afterAll(() => echo.close());

async function loaded() {
  const gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0, tls: { engine: 'native', self_signed: ['localhost'] } }],
    drain: { grace: '300ms' },
    upstreams: { echo: { servers: [`http://127.0.0.1:${echo.port}`] } },
    routes: [{ name: 'splice', match: { path: '/splice' }, websocket: { mode: 'splice', upstream: 'echo' } }],
  });
  const { port } = gateway;
  const clients = await Promise.all(
    Array.from({ length: 40 }, () => openClient(`wss://127.0.0.1:${port}/splice`, { rejectUnauthorized: false })),
  );
  for (const { socket } of clients) {
    socket.on('error', () => {});
    socket.on('message', (data) => socket.readyState === socket.OPEN && socket.send(data));
    socket.send('again and again');
  }
  const hello = await clientHelloOf({});
  const half = await Promise.all(Array.from({ length: 40 }, () => connectRaw(port)));
  for (const [i, { socket }] of half.entries())
    socket.on('error', () => {}).write(i % 2 ? hello : hello.subarray(0, 100));
  let over = false;
  const again = (): void => {
    if (over) return;
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => socket.resume().end());
    socket.on('error', () => {}).on('close', () => setImmediate(again));
  };
  for (let i = 0; i < 20; i++) again();
  const count = () =>
    gateway.metric('tls_handshakes_total', { listener: '127.0.0.1:0', result: 'ok', engine: 'native' });
  await expect.poll(count).toBeGreaterThan(100);
  return {
    gateway,
    end() {
      over = true;
      for (const { socket } of clients) socket.terminate();
      for (const { socket } of half) socket.destroy();
    },
  };
}

describe.skipIf(!existsSync(ADDON))('a process whose threads do TLS', () => {
  it.each([
    ['drains', 1, 0],
    ['ends at once at a second signal', 2, 1],
  ])('%s under load, and does not crash', async (_, signals, code) => {
    const { gateway, end } = await loaded();
    for (let i = 0; i < signals; i++) {
      gateway.signal('SIGTERM');
      if (i + 1 < signals) await gateway.log({ event: 'drain', phase: 'started' });
    }
    expect(await gateway.exited).toBe(code);
    end();
    expect(gateway.stderr()).toBe('');
  });
});
