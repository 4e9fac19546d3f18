// socket.io through the built gateway with two servers: it begins by polling, over several requests, and goes on by
// WebSocket; each of them must come to the same server: by the sticky cookie, or by balance: hash for clients that keep no cookies.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { afterEach, describe, expect, it } from 'vitest';
import { type GatewayFile, startGateway } from '../../support/gateway.ts';
import { TEST_TIMEOUT_MS } from '../../support/test-timeout.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function startServer(name: string) {
  const http = createServer();
  const server = new Server(http, { pingInterval: 500, pingTimeout: TEST_TIMEOUT_MS });
  server.on('connection', (socket) => {
    socket.emit('name', name);
    socket.on('echo', (text: string, reply: (text: string) => void) => reply(`${name}: ${text}`));
  });
  await once(http.listen(0, '127.0.0.1'), 'listening');
  ends.push(() => server.close());
  return { server, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` };
}

async function start(upstream: object) {
  const servers = [await startServer('a'), await startServer('b')];
  const config: GatewayFile = {
    listeners: [{ host: '127.0.0.1', port: 0 }],
    trusted_proxies: ['127.0.0.1'],
    upstreams: { io: { servers: servers.map(({ url }) => url), ...upstream } },
    routes: [
      {
        name: 'io',
        match: { path: '/socket.io/*' },
        websocket: { mode: 'splice', upstream: 'io', origins: 'any' },
        http: { upstream: 'io' },
      },
    ],
  };
  const gateway = await startGateway(config);
  ends.push(() => gateway.stop());
  const connect = (options: Partial<ManagerOptions & SocketOptions> = {}): Socket => {
    // As a browser does: cookies of answers go into the next request and the handshake.
    const socket = io(`http://127.0.0.1:${gateway.port}`, { withCredentials: true, forceNew: true, ...options });
    ends.push(() => socket.disconnect());
    return socket;
  };
  return { gateway, servers, connect };
}

const connected = (socket: Socket) =>
  new Promise<string>((resolve, reject) => {
    socket.once('name', resolve);
    socket.once('connect_error', reject);
  });
const upgraded = (socket: Socket) =>
  new Promise<string>((resolve) => {
    const { engine } = socket.io;
    if (engine.transport.name === 'websocket') resolve('websocket');
    else engine.once('upgrade', (transport: { name: string }) => resolve(transport.name));
  });
const ask = (socket: Socket, text: string) =>
  socket.timeout(TEST_TIMEOUT_MS).emitWithAck('echo', text) as Promise<string>;

describe('socket.io', () => {
  it('goes from polling to WebSocket on the server it began with, for twenty clients over two servers', async () => {
    const { gateway, servers, connect } = await start({ sticky: {} });
    const sockets = Array.from({ length: 20 }, () => connect());
    const names = await Promise.all(sockets.map(connected));
    expect(new Set(names)).toEqual(new Set(['a', 'b']));
    expect(await Promise.all(sockets.map(upgraded))).toEqual(sockets.map(() => 'websocket'));
    for (const [i, socket] of sockets.entries()) expect(await ask(socket, 'hi')).toBe(`${names[i]}: hi`);
    expect(servers.map(({ server }) => server.engine.clientsCount)).toEqual([10, 10]);
    const logged = (type: string) => gateway.logs().filter(({ event }) => event === type);
    await expect.poll(() => logged('session_opened').length).toBe(20);
    await expect.poll(() => logged('request_completed').length).toBeGreaterThanOrEqual(40);
    expect(logged('request_completed').every(({ status }) => status === 200)).toBe(true);
  });

  it('works by polling alone, and by WebSocket alone', async () => {
    const { connect } = await start({ sticky: {} });
    for (const transport of ['polling', 'websocket']) {
      const socket = connect({ transports: [transport] });
      const name = await connected(socket);
      for (let i = 0; i < 5; i++) expect(await ask(socket, `${i}`)).toBe(`${name}: ${i}`);
      socket.disconnect();
    }
  });

  it('does not without the cookie: a poll that comes to the other server is refused there', async () => {
    const { connect } = await start({});
    await expect(connected(connect({ reconnection: false }))).rejects.toThrow();
  });

  it('needs no cookie under balance: hash, where each client has an address of its own', async () => {
    const { servers, connect } = await start({ balance: 'hash' });
    const sockets = Array.from({ length: 20 }, (_, i) =>
      connect({ withCredentials: false, extraHeaders: { 'X-Forwarded-For': `192.0.2.${i}` } }),
    );
    const names = await Promise.all(sockets.map(connected));
    expect(new Set(names)).toEqual(new Set(['a', 'b']));
    expect(await Promise.all(sockets.map(upgraded))).toEqual(sockets.map(() => 'websocket'));
    for (const [i, socket] of sockets.entries()) expect(await ask(socket, 'hi')).toBe(`${names[i]}: hi`);
    expect(servers.reduce((sum, { server }) => sum + server.engine.clientsCount, 0)).toBe(20);
  });

  it('nor where clients share one address, or are told apart by what the page puts into the query', async () => {
    const shared = await start({ balance: 'hash' });
    const polling = { withCredentials: false, transports: ['polling'] };
    const sockets = Array.from({ length: 10 }, () => shared.connect(polling));
    expect(new Set(await Promise.all(sockets.map(connected))).size).toBe(1);
    const byQuery = await start({ balance: { hash: { query: 'client' } } });
    const told = Array.from({ length: 20 }, (_, i) => byQuery.connect({ ...polling, query: { client: `${i}` } }));
    const names = await Promise.all(told.map(connected));
    expect(new Set(names)).toEqual(new Set(['a', 'b']));
    for (const [i, socket] of told.entries()) expect(await ask(socket, 'hi')).toBe(`${names[i]}: hi`);
  });

  it('comes back to the other server when its own is gone', async () => {
    const { servers, connect } = await start({ sticky: {}, health: { passive: { failures: 2 } } });
    const socket = connect({ reconnectionDelay: 50, reconnectionDelayMax: 100 });
    const name = await connected(socket);
    await upgraded(socket);
    const again = connected(socket);
    await servers[name === 'a' ? 0 : 1]!.server.close();
    expect(await again).toBe(name === 'a' ? 'b' : 'a');
    expect(await ask(socket, 'still here')).toBe(`${name === 'a' ? 'b' : 'a'}: still here`);
  });
});
