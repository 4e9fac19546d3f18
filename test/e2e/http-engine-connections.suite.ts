// HTTP engines: connections to servers, how they are kept, and what is left behind.
import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage } from 'node:http';
import { createServer as createSecure } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { expect, it, vi } from 'vitest';
import type { BackendTls } from '../../src/net/endpoint.ts';
import { loadBackendTls } from '../../src/runtime/tls/backend-tls.ts';
import { makeAuthority } from '../support/authority.ts';
import { readMessage, startFront } from '../support/forwarding.ts';
import { connectRaw } from '../support/raw.ts';
import type { Stages } from './http-engine.suite.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const request = (path: string, method = 'GET') => `${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

export function describeConnections(stages: Stages): void {
  /** A stage whose engine keeps one connection that has served once. */
  async function warm(options: Parameters<Stages['set']>[0] = {}) {
    const stage = await stages.set(options);
    const { peer, client } = await stage.ask(request('/first'));
    peer.write(OK);
    await client.until('ok');
    await stage.front.ending();
    return { ...stage, peer, first: client };
  }

  /** A stage whose engine keeps two connections, the second used last. */
  async function warmTwo() {
    const stage = await stages.set();
    const one = await stage.ask(request('/1'));
    const two = await stage.ask(request('/2'));
    for (const { peer, client } of [one, two]) {
      peer.write(OK);
      await client.until('ok');
      await stage.front.ending();
    }
    return { stage, one, two };
  }

  it('uses a connection again, for other clients too', async () => {
    const stage = await warm();
    const other = await stage.client();
    other.write(request('/second'));
    await stage.peer.until('GET /second ');
    stage.peer.write(OK);
    await other.until('ok');
    expect(stage.backend.connections()).toBe(1);
  });

  it('reaches a server by its unix socket, and keeps that connection too', async () => {
    const path = join(tmpdir(), `upgate-engine-${process.pid}.sock`);
    let connections = 0;
    const server = createServer((req, res) => void res.end(`${req.url} over unix`));
    server.on('connection', () => connections++);
    await once(server.listen(path), 'listening');
    stages.keep({ close: () => server.closeAllConnections() });
    stages.keep(server);
    const { front, client } = await stages.set({ unix: path });
    for (const target of ['/one', '/two']) {
      const connection = await client();
      connection.write(request(target));
      await connection.until(`${target} over unix`);
      await front.ending();
    }
    expect(connections).toBe(1);
  });

  it('speaks TLS as the upstream says, with a client certificate, and never with a connection of another rule', async () => {
    const authority = makeAuthority();
    stages.keep({ close: () => authority.remove() });
    const pair = authority.issue('backend', 'backend.test');
    const mine = authority.issue('mine', 'gateway.test');
    const options = { cert: pair.cert, key: pair.key, ca: authority.pem, requestCert: true, rejectUnauthorized: true };
    const secure = createSecure(options, (req, res) => {
      const { servername } = req.socket as TLSSocket & { servername: string };
      res.end(`${servername} ${(req.socket as TLSSocket).getPeerCertificate().subject.CN}`);
    });
    await once(secure.listen(0, '127.0.0.1'), 'listening');
    stages.keep({ close: () => secure.closeAllConnections() });
    stages.keep(secure);
    const { port } = secure.address() as AddressInfo;
    const engine = stages.make();
    stages.keep(engine);
    const load = async (config: object) =>
      (await loadBackendTls({ verify: true, ...config }, authority.dir)) as BackendTls;
    const good = { ca: 'ca.crt', cert: mine.files.cert, key: mine.files.key, server_name: 'backend.test' };
    const ask = async (tls: BackendTls) => {
      const front = stages.keep(await startFront(engine, { port, secure: true, tls }));
      const connection = await connectRaw(front.port);
      stages.keep({ close: () => connection.socket.destroy() });
      connection.write(request('/'));
      const ending = await front.ending();
      if (ending.code !== 'answered') return ending.message;
      return readMessage(await connection.until((bytes) => /\r\n\r\n./.test(bytes.toString()))).body.toString();
    };
    expect(await ask(await load(good))).toBe('backend.test mine');
    expect(await ask(await load({ ...good, server_name: 'other.test' }))).toMatch(/altnames/);
    expect(await ask(await load({ ...good, ca: undefined }))).toMatch(/unable to|self.signed/);
    expect(await ask(await load({ ...good, server_name: 'other.test', verify: false }))).toBe('other.test mine');
    const { cert: _cert, key: _key, ...anonymous } = good;
    expect(await ask(await load(anonymous))).toMatch(/certificate required|reset|ended|hang up/i);
  });

  it('opens another connection while one is busy, and takes the last one used first', async () => {
    const { stage, one, two } = await warmTwo();
    one.client.write(request('/3'));
    await two.peer.until('GET /3 ');
    expect(stage.backend.connections()).toBe(2);
  });

  it('does not use a connection again that the server wants closed', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(request('/1'));
    peer.write(OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    await client.until('ok');
    await peer.closed();
    client.write(request('/2'));
    const next = await stage.backend.next();
    await next.until('GET /2 ');
  });

  it.each(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])(
    '5: a kept connection that is reset before the answer: a %s without a body is sent again, once',
    async (method) => {
      const stage = await warm();
      const framing = method === 'PUT' ? 'Content-Length: 0\r\n' : '';
      stage.first.write(`${method} /second HTTP/1.1\r\nHost: a\r\n${framing}\r\n`);
      await stage.peer.until('/second');
      stage.peer.socket.resetAndDestroy();
      const fresh = await stage.backend.next();
      expect(readMessage(await fresh.until('\r\n\r\n')).startLine).toBe(`${method} /second HTTP/1.1`);
      fresh.socket.resetAndDestroy();
      await stage.first.until('HTTP/1.1 502 Bad Gateway');
      expect((await stage.front.ending()).code).toBe('backend_refused');
      expect(stage.backend.connections()).toBe(2);
    },
  );

  it('the request that was sent again is answered', async () => {
    const stage = await warm();
    stage.first.write(request('/second'));
    await stage.peer.until('/second');
    stage.peer.socket.end();
    const fresh = await stage.backend.next();
    await fresh.until('GET /second ');
    fresh.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain');
    await stage.first.until('again');
    expect((await stage.front.ending()).code).toBe('answered');
  });

  it('5: a request is sent again over a fresh connection, and not over another kept one', async () => {
    const { stage, one, two } = await warmTwo();
    one.client.write(request('/3'));
    await two.peer.until('GET /3 ');
    two.peer.socket.resetAndDestroy();
    await (await stage.backend.next()).until('GET /3 ');
    expect(one.peer.received()).not.toContain('GET /3 ');
  });

  it.each([
    ['a POST', request('/second', 'POST').replace('\r\n\r\n', '\r\nContent-Length: 0\r\n\r\n'), ''],
    ['a PUT with a body', 'PUT /second HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi', ''],
    ['an answer that has begun', request('/second'), 'HTTP/1.1 2'],
    ['an interim answer', request('/second'), 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ])('5: nothing is sent again after %s (RFC 9112 §9.3.1)', async (_, text, begun) => {
    const stage = await warm();
    stage.first.write(text);
    await stage.peer.until('/second');
    if (begun !== '') stage.peer.write(begun);
    stage.peer.socket.end();
    await stage.first.until('HTTP/1.1 502 Bad Gateway');
    expect((await stage.front.ending()).code).toBe('backend_refused');
    expect(stage.backend.connections()).toBe(1);
  });

  it('close() ends idle connections at once and busy ones when they are done, of its own engine only', async () => {
    const stage = await stages.set();
    const idle = await stage.ask(request('/1'));
    const busy = await stage.ask(request('/2'));
    const other = await stages.set({ backend: stage.backend });
    const kept = await other.ask(request('/3'));
    for (const { peer, client } of [idle, kept]) {
      peer.write(OK);
      await client.until('ok');
    }
    await stage.front.ending();
    stage.engine.close();
    await idle.peer.closed();
    busy.peer.write(OK);
    await busy.client.until('ok');
    await busy.peer.closed();
    kept.client.write(request('/4'));
    await kept.peer.until('GET /4 ');
    // Whoever still has the engine can use it.
    busy.client.write(request('/5'));
    await (await stage.backend.next()).until('GET /5 ');
    expect(stage.backend.connections()).toBe(4);
  });

  const PREAMBLE = Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n');

  it('13: gives each request a connection of its own where it begins with a preamble, and ends it', async () => {
    const stage = await stages.set({ preamble: PREAMBLE });
    for (let i = 1; i <= 3; i++) {
      const { client, peer } = await stage.ask(request(`/${i}`));
      expect(await peer.until('\r\n\r\n')).toMatch(
        new RegExp(`^${PREAMBLE}GET /${i} HTTP/1\\.1\r\n(?:[^]*\r\n)?Connection: close\r\n`),
      );
      peer.write(OK);
      await client.until('ok');
      expect(await stage.front.ending()).toMatchObject({ code: 'answered' });
      // The server would keep it.
      await peer.closed();
    }
    expect(stage.backend.connections()).toBe(3);
  });

  it('sends a body behind a preamble, and takes an answer that ends with its connection', async () => {
    const stage = await stages.set({ preamble: PREAMBLE });
    const client = await stage.client();
    client.write(`POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n`);
    const peer = await stage.backend.next();
    await peer.until('one');
    client.write('3\r\ntwo\r\n0\r\n\r\n');
    await peer.until('two\r\n0\r\n\r\n');
    peer.write('HTTP/1.1 200 OK\r\n\r\nuntil the end');
    peer.socket.end();
    await client.until('until the end');
    expect(await stage.front.ending()).toMatchObject({ code: 'answered' });
  });

  it('ends a connection with a preamble when the client leaves', async () => {
    const stage = await stages.set({ preamble: PREAMBLE });
    const { client, peer } = await stage.ask(request('/a'));
    client.reset();
    await peer.closed();
    expect(await stage.front.ending()).toMatchObject({ code: 'client_gone' });
  });

  it('says that a server is not there, or does not speak TLS behind a preamble, with nothing sent', async () => {
    const refused = await stages.set({ preamble: PREAMBLE, port: 1 });
    (await refused.client()).write(request('/a'));
    expect(await refused.front.ending()).toMatchObject({ code: 'backend_refused', progress: 'unsent' });
    const stage = await stages.set({
      preamble: PREAMBLE,
      secure: true,
      host: 'localhost',
      timeouts: { connect: 2000 },
    });
    (await stage.client()).write(request('/a'));
    expect(await stage.front.ending()).toMatchObject({ code: 'backend_timeout', progress: 'unsent' });
    const peer = await stage.backend.next();
    await peer.closed();
    expect(peer.received().startsWith(`${PREAMBLE}\x16\x03`)).toBe(true);
  });

  it('leaves nothing behind after 10000 requests on one connection', { timeout: 120_000 }, async () => {
    const warning = vi.fn();
    process.on('warning', warning);
    const sockets = new Set<Socket>();
    const rest = createServer((_, res) => res.end('ok')).on('connection', (socket) => sockets.add(socket));
    await once(rest.listen(0, '127.0.0.1'), 'listening');
    stages.keep(rest);
    const stage = await stages.set({ port: (rest.address() as AddressInfo).port });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = async (path: string) => {
      const [res] = (await once(get({ port: stage.front.port, path, agent }), 'response')) as [IncomingMessage];
      res.resume();
      await once(res, 'end');
      await stage.front.ending();
      return res.statusCode;
    };
    const count = (socket: Socket) =>
      Object.fromEntries(socket.eventNames().map((name) => [String(name), socket.listenerCount(name)]));
    expect(await ask('/')).toBe(200);
    const [socket] = stage.front.sockets;
    const before = count(socket!);
    for (let i = 0; i < 10_000; i++) await ask('/');
    expect(count(socket!)).toEqual(before);
    expect([...stage.front.sockets]).toEqual([socket]);
    expect(sockets.size).toBe(1);
    const [upstream] = sockets;
    expect(upstream?.destroyed).toBe(false);
    agent.destroy();
    process.off('warning', warning);
    expect(warning).not.toHaveBeenCalled();
  });
}
