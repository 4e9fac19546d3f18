// What each thread of the native relay dials, as the kernel tells it (proc(5): fdinfo of an epoll instance). Linux only. The
// config is one that the first version (63c0b38) takes, so that the test can be run against it (UPGATE_MAIN).
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw, handshake } from '../support/raw.ts';

const HOST = '127.0.0.1';
const HANDSHAKES = 40;

/** The descriptors of the process that are connections to the port. */
function connectionsTo(pid: number, port: number): ReadonlySet<string> {
  const remote = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  const sockets = new Set(
    rows
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , address]) => address === remote)
      .map((row) => `socket:[${row[9]}]`),
  );
  const descriptors = readdirSync(`/proc/${pid}/fd`);
  return new Set(descriptors.filter((fd) => sockets.has(readlinkSync(`/proc/${pid}/fd/${fd}`))));
}

/** How many of the descriptors each epoll instance of the process watches, those without any left out; least first. */
function watchedBy(pid: number, wanted: ReadonlySet<string>): number[] {
  return readdirSync(`/proc/${pid}/fd`)
    .filter((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === 'anon_inode:[eventpoll]')
    .map((fd) => {
      const lines = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8').matchAll(/^tfd:\s+(\d+)/gm);
      return [...lines].filter(([, watched = '']) => wanted.has(watched)).length;
    })
    .filter((count) => count > 0)
    .sort((a, b) => a - b);
}

const sockets = new Set<Socket>();
let server: Server;
let gateway: Gateway;
beforeAll(async () => {
  // It takes every connection, and answers none.
  server = createServer((socket) => void sockets.add(socket.on('error', () => {})));
  await once(server.listen(0, HOST), 'listening');
  gateway = await startGateway({
    listeners: [{ host: HOST, port: 0 }],
    relay: { engine: 'native', threads: 2 },
    upstreams: { chat: { servers: [`ws://${HOST}:${(server.address() as AddressInfo).port}`] } },
    routes: [{ name: 'chat', websocket: { mode: 'splice', upstream: 'chat', origins: 'any' } }],
  });
});
afterAll(async () => {
  await gateway?.stop('SIGKILL');
  for (const socket of sockets) socket.destroy();
  server?.close();
});

it('shares the handshakes of a burst among its threads while their servers are dialled', async () => {
  const { port } = server.address() as AddressInfo;
  for (let i = 0; i < HANDSHAKES; i++) {
    const client = await connectRaw(gateway.port);
    sockets.add(client.socket);
    client.socket.write(handshake());
  }
  const dials = () => watchedBy(gateway.pid, connectionsTo(gateway.pid, port));
  await expect.poll(() => dials().reduce((sum, count) => sum + count, 0)).toBe(HANDSHAKES);
  const [least, ...others] = dials();
  expect(others.length).toBe(1);
  expect(least).toBeGreaterThanOrEqual(HANDSHAKES / 4);
});
