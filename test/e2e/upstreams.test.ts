// Upstreams of the built gateway while their servers fail, vanish and come back: what is tried again, who gets what, and
// what is told. Real servers on loopback, in this process where they need no killing.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecure } from 'node:https';
import { type AddressInfo, connect as connectTcp, createServer as createTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { makeAuthority } from '../support/authority.ts';
import { run } from '../support/child.ts';
import { type Client, openClient, openRefused } from '../support/client.ts';
import { startDns } from '../support/dns.ts';
import { type Gateway, type GatewayFile, MAIN, startGateway, writeConfig } from '../support/gateway.ts';
import { closedPort } from '../support/scripted.ts';

type Upstream = NonNullable<GatewayFile['upstreams']>[string];

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** One upstream, for handshakes at /ws and plain requests elsewhere. */
const configOf = (chat: Upstream): GatewayFile => ({
  listeners: [{ host: '127.0.0.1', port: 0 }],
  upstreams: { chat },
  routes: [
    { name: 'ws', match: { path: '/ws' }, websocket: { mode: 'splice', upstream: 'chat', origins: 'any' } },
    { name: 'api', http: { upstream: 'chat', timeouts: { connect: '2s', head: '1s' } } },
  ],
});

async function start(chat: Upstream): Promise<Gateway> {
  const gateway = await startGateway(configOf(chat));
  ends.push(() => gateway.stop());
  return gateway;
}

interface Backend {
  readonly port: number;
  readonly url: string;
  /** Tunnels that are open. */
  readonly tunnels: WebSocketServer['clients'];
  /** Ids (`X-Id`) or targets of the plain requests it got. */
  readonly got: string[];
  readonly server: Server;
  stop(): Promise<void>;
}

/** A backend that says its name to plain requests, and sends messages back. */
async function startBackend(
  name: string,
  answer?: RequestListener,
  at: { port?: number; path?: string } = {},
): Promise<Backend> {
  const got: string[] = [];
  const server = createServer((req, res) => {
    got.push(String(req.headers['x-id'] ?? req.url));
    if (answer) return answer(req, res);
    req.resume();
    req.once('end', () => res.end(name));
  });
  const sockets = new WebSocketServer({ server, path: '/ws' });
  sockets.on('connection', (socket) => {
    socket.send(name);
    socket.on('message', (data) => socket.send(String(data)));
  });
  await once(at.path === undefined ? server.listen(at.port ?? 0, '127.0.0.1') : server.listen(at.path), 'listening');
  const stop = async () => {
    for (const client of sockets.clients) client.terminate();
    server.close();
    server.closeAllConnections();
    await new Promise((resolve) => sockets.close(resolve));
  };
  ends.push(stop);
  const port = at.path === undefined ? (server.address() as AddressInfo).port : 0;
  return { port, url: `ws://127.0.0.1:${port}`, tunnels: sockets.clients, got, server, stop };
}

const get = async (gateway: Gateway, path = '/', init: RequestInit = {}) => {
  const answer = await fetch(`http://127.0.0.1:${gateway.port}${path}`, { redirect: 'manual', ...init });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
};
const ws = (gateway: Gateway) => openClient(`ws://127.0.0.1:${gateway.port}/ws`);

async function openAll(gateway: Gateway, count: number): Promise<Client[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => ws(gateway)));
  ends.push(() => {
    for (const { socket } of clients) socket.terminate();
  });
  return clients;
}

describe('another server is tried', () => {
  it.each(['GET', 'POST'])(
    'where the first one refuses the connection, for %s too: nothing was sent',
    async (method) => {
      const good = await startBackend('good');
      const gateway = await start({
        servers: [`http://127.0.0.1:${await closedPort()}`, good.url],
        health: { passive: 'off' },
      });
      for (let i = 0; i < 4; i++) {
        expect(await get(gateway, '/', method === 'POST' ? { method, body: 'x' } : {})).toMatchObject({
          status: 200,
          text: 'good',
        });
      }
      expect(good.got).toHaveLength(4);
      expect(await gateway.metric('upstream_retries_total', { upstream: 'chat', result: 'retried' })).toBe(2);
    },
  );

  it.each([
    ['502', {}],
    ['503', {}],
    ['504', {}],
  ])('for a GET that it answers with %s', async (status) => {
    const bad = await startBackend('bad', (_, res) => void res.writeHead(Number(status)).end('not me'));
    const good = await startBackend('good');
    const gateway = await start({ servers: [bad.url, good.url], health: { passive: 'off' } });
    for (let i = 0; i < 4; i++) expect(await get(gateway)).toMatchObject({ status: 200, text: 'good' });
    expect([bad.got.length, good.got.length]).toEqual([2, 4]);
  });

  it('for a GET that it breaks off, or that it lets wait', async () => {
    const bad = await startBackend('bad', (req) => void (req.url === '/wait' || req.socket.destroy()));
    const good = await startBackend('good');
    const gateway = await start({ servers: [bad.url, good.url], health: { passive: 'off' } });
    for (const path of ['/cut', '/cut', '/wait', '/wait']) expect((await get(gateway, path)).text).toBe('good');
    expect(bad.got).toEqual(['/cut', '/wait']);
  });

  it.each([
    ['a POST that was sent', 'POST', 503, {}, 503],
    ['a 503 that says when to come back', 'GET', 503, { 'Retry-After': '9' }, 503],
    ['a 500, which is its answer', 'GET', 500, {}, 500],
  ])('not for %s', async (_, method, status, headers, expected) => {
    const bad = await startBackend('bad', (req, res) => {
      req.resume();
      req.once('end', () => res.writeHead(status, headers as Record<string, string>).end('mine'));
    });
    const good = await startBackend('good');
    const gateway = await start({ servers: [bad.url, { url: good.url, backup: true }] });
    const answer = await get(gateway, '/', method === 'POST' ? { method, body: 'x' } : {});
    expect(answer).toMatchObject({ status: expected, text: 'mine' });
    expect([bad.got.length, good.got.length]).toEqual([1, 0]);
  });

  it('not for a POST that is broken off', async () => {
    const bad = await startBackend('bad', (req) => void req.socket.destroy());
    const good = await startBackend('good');
    const gateway = await start({ servers: [bad.url, { url: good.url, backup: true }] });
    expect((await get(gateway, '/', { method: 'POST', body: 'x' })).status).toBe(502);
    expect([bad.got.length, good.got.length]).toEqual([1, 0]);
  });

  it('for a handshake, and only once the last server has been asked does its answer stand', async () => {
    const bad = await startBackend('bad', (_, res) => void res.end());
    bad.server.removeAllListeners('upgrade');
    bad.server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy'));
    const good = await startBackend('good');
    const gateway = await start({
      servers: [`ws://127.0.0.1:${await closedPort()}`, bad.url, good.url],
      health: { passive: 'off' },
    });
    for (let i = 0; i < 3; i++) expect(await (await openAll(gateway, 1))[0]!.next()).toBe('good');
    const only = await start({ servers: [bad.url] });
    const refused = await openRefused(`ws://127.0.0.1:${only.port}/ws`);
    expect([refused.status, refused.body]).toEqual([503, 'busy']);
  });

  it('no more often than the budget allows', async () => {
    const bad = await startBackend('bad', (_, res) => void res.writeHead(503).end());
    const other = await startBackend('other', (_, res) => void res.writeHead(503).end());
    const gateway = await start({
      servers: [bad.url, other.url],
      health: { passive: 'off' },
      retry: { budget: '10%', min: 5 },
    });
    for (let i = 0; i < 50; i++) expect((await get(gateway)).status).toBe(503);
    // 50 requests that all fail: 5 of them went on, not 50.
    expect(bad.got.length + other.got.length).toBe(55);
    const overBudget = await gateway.metric('upstream_retries_total', { upstream: 'chat', result: 'over_budget' });
    expect(overBudget).toBe(45);
  });
});

describe('a server that carries as much as it may', () => {
  it('gets no more, and without another one it is 503 no_server with Retry-After', async () => {
    const a = await startBackend('a');
    const gateway = await start({ servers: [{ url: a.url, max_connections: 2 }] });
    const [first] = await openAll(gateway, 2);
    const refused = await openRefused(`ws://127.0.0.1:${gateway.port}/ws`);
    expect(refused).toMatchObject({ status: 503, fields: { 'x-gateway-reason': 'no_server', 'retry-after': '5' } });
    const plain = await get(gateway);
    expect([plain.status, plain.headers.get('x-gateway-reason'), plain.headers.get('retry-after')]).toEqual([
      503,
      'no_server',
      '5',
    ]);
    await first!.close();
    await expect.poll(() => gateway.metric('upstream_connections', { upstream: 'chat', server: a.url })).toBe(1);
    expect((await get(gateway)).text).toBe('a');
  });
});

describe('what a server carries', () => {
  const HANDSHAKE =
    'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';
  const answers: Readonly<Record<string, string>> = {
    '/never': '',
    '/half': `HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(500)}`,
    '/until-close': `HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(500)}`,
  };
  const kinds = Object.keys(answers).flatMap((path) => [
    { what: `a handshake to ${path}`, head: `GET /ws${path} HTTP/1.1\r\nHost: a\r\n${HANDSHAKE}\r\n` },
    { what: `a GET of ${path}`, head: `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n` },
  ]);

  it.each(['auto', 'http-proxy'] as const)(
    'is given back with the client that left, by FIN or RST, though the server never ends its answer (%s)',
    async (engine) => {
      const server = createTcp((socket) => {
        socket
          .on('error', () => {})
          .once('data', (head) => {
            const path = /^GET (?:\/ws)?(\S+)/.exec(String(head))?.[1] ?? '';
            socket.write(answers[path] ?? '');
          });
      });
      await once(server.listen(0, '127.0.0.1'), 'listening');
      ends.push(() => server.close());
      const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const long = { connect: '60s', handshake: '600s' };
      const plain = { head: '600s', idle: '600s' };
      const gateway = await startGateway({
        listeners: [{ host: '127.0.0.1', port: 0 }],
        http: { engine },
        upstreams: { chat: { servers: [url] } },
        routes: [
          {
            name: 'ws',
            match: { path: '/ws/*' },
            websocket: { mode: 'splice', upstream: 'chat', origins: 'any', timeouts: long },
          },
          { name: 'api', http: { upstream: 'chat', timeouts: plain } },
        ],
      });
      ends.push(() => gateway.stop('SIGKILL'));
      const carried = () => gateway.metric('upstream_connections', { upstream: 'chat', server: url });
      for (const { what, head } of kinds) {
        for (const leave of ['end', 'resetAndDestroy'] as const) {
          const clients = Array.from({ length: 5 }, () => connectTcp(gateway.port, '127.0.0.1').on('error', () => {}));
          for (const client of clients) client.resume().write(head);
          await expect.poll(carried, { message: what }).toBe(5);
          for (const client of clients) client[leave]();
          await expect.poll(carried, { message: `${what}, ${leave}` }).toBe(0);
        }
      }
    },
  );
});

describe('a server that goes down', () => {
  it('is found by its check: one line, upstream_up, its tunnels closed with 1012 at a pace, and back it serves again', async () => {
    const [a, b] = [await startBackend('a'), await startBackend('b')];
    let healthy = true;
    const asked = a.server.listeners('request')[0] as RequestListener;
    a.server.removeAllListeners('request');
    a.server.on('request', (req, res) =>
      req.url === '/up' ? res.writeHead(healthy ? 200 : 500).end() : asked(req, res),
    );
    const gateway = await start({
      servers: [a.url, b.url],
      health: {
        active: { type: 'http', path: '/up', every: '300ms', timeout: '300ms', fall: 2, rise: 2 },
        on_down: 'close',
      },
      close_rate: 20,
    });
    const upOf = (url: string) => gateway.metric('upstream_up', { upstream: 'chat', server: url });
    expect([await upOf(a.url), await upOf(b.url)]).toEqual([1, 1]);
    const clients = await openAll(gateway, 20);
    const started = performance.now();
    healthy = false;
    const line = await gateway.log({ event: 'server_changed', server: a.url, up: false });
    expect(line).toMatchObject({ level: 'warn', reason: 'check', detail: 'it answered 500', upstream: 'chat' });
    const closed = await Promise.race([
      Promise.all(clients.map(({ closed }) => closed)).then(() => 'all'),
      expect
        .poll(() => a.tunnels.size)
        .toBe(0)
        .then(() => 'those of a'),
    ]);
    expect(closed).toBe('those of a');
    // Ten tunnels at twenty a second, the first few at once.
    expect(performance.now() - started).toBeGreaterThan(300);
    const gone = clients.filter(
      ({ socket }) => socket.readyState === socket.CLOSED || socket.readyState === socket.CLOSING,
    );
    expect(gone).toHaveLength(10);
    for (const { closed } of gone) expect(await closed).toEqual({ code: 1012, reason: 'server_down' });
    expect([await upOf(a.url), b.tunnels.size]).toEqual([0, 10]);
    for (let i = 0; i < 4; i++) expect((await get(gateway)).text).toBe('b');
    healthy = true;
    await gateway.log({ event: 'server_changed', server: a.url, up: true, level: 'info', reason: 'check' });
    expect(new Set([(await get(gateway)).text, (await get(gateway)).text])).toEqual(new Set(['a', 'b']));
    expect(gateway.logs().filter(({ event }) => event === 'server_changed')).toHaveLength(2);
  });

  it('alone is not healthy while nobody answers there, though it is asked all the same, and is so again once it does', async () => {
    const port = await closedPort();
    const url = `ws://127.0.0.1:${port}`;
    const gateway = await start({ servers: [url] });
    const up = () => gateway.metric('upstream_up', { upstream: 'chat', server: url });
    expect(await up()).toBe(1);
    for (let i = 0; i < 5; i++) expect((await get(gateway)).status).toBe(502);
    expect(await up()).toBe(0);
    const told = { event: 'server_changed', server: url };
    expect(await gateway.log({ ...told, up: false })).toMatchObject({ level: 'warn', reason: 'failing' });
    await startBackend('late', undefined, { port });
    expect((await get(gateway)).text).toBe('late');
    expect(await up()).toBe(1);
    expect(await gateway.log({ ...told, up: true })).toMatchObject({ level: 'info', reason: 'recovered' });
  });

  it('is ejected by its traffic, keeps its tunnels by default, and comes back after a trial', async () => {
    const [a, b] = [await startBackend('a'), await startBackend('b')];
    const gateway = await start({
      servers: [a.url, b.url],
      health: { passive: { failures: 3, eject: '500ms', max_eject: '500ms' } },
    });
    const clients = await openAll(gateway, 4);
    const { port } = a;
    a.server.close();
    a.server.closeAllConnections();
    // None of these is lost: each that finds the closed port goes to the other one.
    for (let i = 0; i < 12; i++) expect((await get(gateway)).text).toBe('b');
    await gateway.log({ event: 'server_changed', server: a.url, up: false, reason: 'ejected' });
    expect(clients.every(({ socket }) => socket.readyState === socket.OPEN)).toBe(true);
    const failed = await gateway.metric('upstream_errors_total', { upstream: 'chat', reason: 'backend_refused' });
    // The trials of a slow run are among them.
    expect(failed).toBeGreaterThanOrEqual(3);
    expect(failed).toBeLessThan(6);
    await startBackend('a again', undefined, { port });
    await expect.poll(async () => (await get(gateway)).text, { interval: 50 }).toBe('a again');
    await gateway.log({ event: 'server_changed', server: a.url, up: true, reason: 'returned' });
  });

  it('stays known as down after a reload that changes the list around it', async () => {
    const b = await startBackend('b');
    const c = await startBackend('c');
    const down = `ws://127.0.0.1:${await closedPort()}`;
    const health = { active: { every: '1h' as const, timeout: '1s' as const } };
    const gateway = await start({ servers: [down, b.url], health, balance: 'least_connections' });
    await gateway.log({ event: 'server_changed', server: down, up: false });
    const clients = await openAll(gateway, 4);
    expect(b.tunnels.size).toBe(4);
    writeFileSync(
      gateway.file,
      JSON.stringify({
        admin: { port: 0 },
        ...configOf({ servers: [down, b.url, c.url], health, balance: 'least_connections' }),
      }),
    );
    gateway.signal('SIGHUP');
    await gateway.log({ event: 'config_reloaded', result: 'success' });
    await openAll(gateway, 4);
    // Four live ones on b count: all new ones go to c, and none is tried on the one that is down.
    expect([b.tunnels.size, c.tunnels.size]).toEqual([4, 4]);
    expect(await gateway.metric('upstream_errors_total', { upstream: 'chat', reason: 'backend_refused' })).toBe(0);
    expect(clients.every(({ socket }) => socket.readyState === socket.OPEN)).toBe(true);
  });
});

describe('a server that joins', () => {
  it('by a reload is given its part of the tunnels, at a pace, where rebalance is on', async () => {
    const [a, b, c] = [await startBackend('a'), await startBackend('b'), await startBackend('c')];
    const rebalance = { rate: 5, tolerance: '10%' as const };
    const gateway = await start({ servers: [a.url, b.url], rebalance });
    // Clients as they should be: they come back at once when they are told to (1012).
    let open = 0;
    const connect = async (): Promise<void> => {
      const client = await ws(gateway);
      open++;
      void client.closed.then(({ code, reason }) => {
        open--;
        if (code === 1012) {
          expect(reason).toBe('rebalance');
          void connect();
        }
      });
      ends.push(() => client.socket.terminate());
    };
    await Promise.all(Array.from({ length: 30 }, connect));
    expect([a.tunnels.size, b.tunnels.size]).toEqual([15, 15]);
    writeFileSync(
      gateway.file,
      JSON.stringify({ admin: { port: 0 }, ...configOf({ servers: [a.url, b.url, c.url], rebalance }) }),
    );
    const started = performance.now();
    gateway.signal('SIGHUP');
    await expect.poll(() => c.tunnels.size, { interval: 10 }).toBe(9);
    expect(performance.now() - started).toBeGreaterThan(1_400);
    await expect.poll(() => open).toBe(30);
    // Every one that was closed came back to the server it was closed for: nine moves, no more.
    const moves = () =>
      gateway.logs().filter(({ event, reason }) => event === 'session_closed' && reason === 'rebalance');
    await expect.poll(() => moves().length).toBe(9);
    expect(a.tunnels.size + b.tunnels.size).toBe(21);
  });
});

describe('a name', () => {
  it('is followed by DNS: new addresses get traffic, one that left gets none and its tunnels close', async () => {
    const first = await startBackend('first');
    const { port } = first;
    const second = createServer();
    const sockets = new WebSocketServer({ server: second, path: '/ws' });
    sockets.on('connection', (socket) => socket.send('second'));
    second.on('request', (_, res) => void res.end('second'));
    await once(second.listen(port, '127.0.0.2'), 'listening');
    ends.push(() => {
      second.close();
      second.closeAllConnections();
    });
    const dns = await startDns({ 'chat.test': ['127.0.0.1'] });
    ends.push(() => dns.close());
    const gateway = await start({
      servers: [`ws://chat.test:${port}`],
      dns: { resolvers: [dns.address], min_ttl: '50ms', max_ttl: '100ms', family: 'ipv4' },
    });
    expect((await get(gateway)).text).toBe('first');
    const [client] = await openAll(gateway, 1);
    dns.zone['chat.test'] = ['127.0.0.2'];
    expect(await client!.closed).toEqual({ code: 1012, reason: 'server_left' });
    await gateway.log({ event: 'server_changed', server: `ws://127.0.0.1:${port}`, up: false, reason: 'left' });
    for (let i = 0; i < 4; i++) expect((await get(gateway)).text).toBe('second');
    expect(await (await openAll(gateway, 1))[0]!.next()).toBe('second');
    expect(await gateway.metric('upstream_up', { upstream: 'chat', server: `ws://127.0.0.2:${port}` })).toBe(1);
    expect(await gateway.metric('upstream_up', { upstream: 'chat', server: `ws://127.0.0.1:${port}` })).toBeUndefined();
  });

  it('that nobody knows leaves the upstream without a server, and says so', async () => {
    const dns = await startDns({});
    ends.push(() => dns.close());
    const gateway = await start({ servers: ['ws://chat.test:1'], dns: { resolvers: [dns.address] } });
    expect((await get(gateway)).headers.get('x-gateway-reason')).toBe('no_server');
    expect(await gateway.log({ msg: 'a name of an upstream is not resolved' })).toMatchObject({
      name: 'chat.test',
      level: 'warn',
    });
  });
});

describe('a server behind', () => {
  it('a unix socket gets tunnels, requests and checks', async () => {
    const path = join(tmpdir(), `upgate-up-${process.pid}.sock`);
    const backend = await startBackend('unix', undefined, { path });
    const gateway = await start({ servers: [`unix:${path}`], health: { active: { type: 'websocket', path: '/ws' } } });
    expect((await get(gateway)).text).toBe('unix');
    const [client] = await openAll(gateway, 1);
    expect(await client!.next()).toBe('unix');
    client!.socket.send('there and back');
    expect(await client!.next()).toBe('there and back');
    expect(await gateway.metric('upstream_up', { upstream: 'chat', server: `unix:${path}` })).toBe(1);
    expect(backend.got).toEqual(['/']);
  });

  it('TLS with a private authority and a client certificate gets both kinds, and a wrong name is 502', async () => {
    const authority = makeAuthority();
    ends.push(() => authority.remove());
    const pair = authority.issue('backend', 'backend.test');
    const mine = authority.issue('mine', 'gateway.test');
    const options = { cert: pair.cert, key: pair.key, ca: authority.pem, requestCert: true, rejectUnauthorized: true };
    const server = createSecure(options, (_, res) => void res.end('secure'));
    const sockets = new WebSocketServer({ server, path: '/ws' });
    sockets.on('connection', (socket) => socket.send('secure'));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    ends.push(() => {
      for (const client of sockets.clients) client.terminate();
      server.close();
      server.closeAllConnections();
    });
    const servers = [`wss://127.0.0.1:${(server.address() as AddressInfo).port}`];
    const tls = { ca: authority.file, cert: mine.files.cert, key: mine.files.key, server_name: 'backend.test' };
    const good = await start({ servers, tls, health: { active: { type: 'websocket', path: '/ws' } } });
    expect((await get(good)).text).toBe('secure');
    expect(await (await openAll(good, 1))[0]!.next()).toBe('secure');
    const { server_name: _, ...nameless } = tls;
    const wrong = await start({ servers, tls: nameless });
    expect((await get(wrong)).status).toBe(502);
    expect((await openRefused(`ws://127.0.0.1:${wrong.port}/ws`)).status).toBe(502);
    const detail = await wrong.log({ event: 'handshake_failed' });
    expect(String(detail['detail'])).toMatch(/IP: 127\.0\.0\.1 is not in the cert/);
    const unverified = await start({ servers, tls: { ...nameless, verify: false } });
    expect((await get(unverified)).text).toBe('secure');
  });

  it('files of TLS are looked at by check, each at its place', async () => {
    const file = writeConfig(
      'listeners: [{ port: 80 }]\nroutes: [{ name: a, http: { upstream: up } }]\nupstreams:\n  up:\n    servers: [https://a.test]\n    tls:\n      ca: none.crt\n      cert: gateway.yaml\n      key: none.key\n',
    );
    const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'check', '-c', file]);
    expect(code).toBe(1);
    const lines = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('error'));
    expect(lines.map((line) => line.replace(/^.*gateway\.yaml:(\d+:\d+: error: [^:]+): .*$/, '$1'))).toEqual([
      '7:11: error: upstreams.up.tls.ca',
      '8:13: error: upstreams.up.tls.cert',
      '9:12: error: upstreams.up.tls.key',
    ]);
    expect(readFileSync(file, 'utf8')).toContain('none.crt');
  });
});

describe('hash and sticky', () => {
  it('by a segment of the path keeps a room on one server, sessions and requests alike', async () => {
    const backends = await Promise.all(['a', 'b', 'c'].map((name) => startBackend(name)));
    const gateway = await start({ servers: backends.map(({ url }) => url), balance: { hash: { segment: 2 } } });
    const seen = new Set<string>();
    // Where a room goes depends on the servers' ports: with any of them, a hundred rooms leave no server out.
    for (let room = 0; room < 100 && seen.size < 3; room++) {
      const { text } = await get(gateway, `/rooms/room-${room}/1`);
      seen.add(text);
      for (let i = 2; i < 5; i++) expect((await get(gateway, `/rooms/room-${room}/${i}`)).text).toBe(text);
    }
    expect(seen.size).toBe(3);
  });

  it('sets its cookie on 101s, on plain answers and on refusals of the backend, and follows it', async () => {
    const [a, b] = [await startBackend('a'), await startBackend('b')];
    const gateway = await start({ servers: [a.url, b.url], sticky: { cookie: 'sid' } });
    const first = await get(gateway);
    const given = first.headers.get('set-cookie') ?? '';
    expect(given).toMatch(/^sid=[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax$/);
    const Cookie = given.split(';')[0]!;
    for (let i = 0; i < 4; i++) {
      const again = await get(gateway, '/', { headers: { Cookie } });
      expect([again.text, again.headers.get('set-cookie')]).toEqual([first.text, null]);
    }
    const client = await openClient(`ws://127.0.0.1:${gateway.port}/ws`, { headers: { Cookie } });
    expect([await client.next(), client.response.headers['set-cookie']]).toEqual([first.text, undefined]);
    client.socket.terminate();
    const fresh = await ws(gateway);
    expect(fresh.response.headers['set-cookie']).toEqual([expect.stringMatching(/^sid=[\w-]{22}; Path/)]);
    fresh.socket.terminate();
    for (const { server } of [a, b]) {
      server.removeAllListeners('upgrade');
      server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'));
    }
    const refused = await openRefused(`ws://127.0.0.1:${gateway.port}/ws`);
    expect([refused.status, refused.fields['set-cookie']]).toEqual([403, [expect.stringMatching(/^sid=/)]]);
  });
});
