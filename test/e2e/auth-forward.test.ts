// Routes where another server says who a client is, through the built gateway: what that server is asked, what of its
// answer reaches backend and client, and that its silence and its errors keep out. Then live sessions judged again.
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { ADDON } from '../../src/relay/native/addon.ts';
import { openClient, type Refusal } from '../support/client.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { bothListeners, optionsOf, PROTOCOLS, targetOf } from '../support/protocols.ts';
import { connectRaw, exchange, handshake, KEY, readAnswer } from '../support/raw.ts';
import { closedPort } from '../support/scripted.ts';

const ENGINES = existsSync(ADDON) ? (['native', 'js'] as const) : (['js'] as const);

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly fields: readonly string[];
  readonly body: string;
}

/** Head as one text, a line for each field. */
const textOf = ({ method, url, fields }: Asked): string =>
  [`${method} ${url}`, ...fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${fields[i + 1]}`] : []))].join('\n');

/** A server that keeps what it is asked, and answers as a test says; WebSockets are echoed. */
async function startServer(first: (req: IncomingMessage, res: ServerResponse) => void) {
  const asked: Asked[] = [];
  let answer = first;
  const note = ({ method = '', url = '', rawHeaders: fields }: IncomingMessage, body: string) =>
    asked.push({ method, url, fields, body });
  const server = createServer((req, res) => {
    let body = '';
    req.on('data', (chunk) => (body += chunk));
    req.on('end', () => {
      note(req, body);
      answer(req, res);
    });
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, req) => {
    note(req, '');
    socket.on('message', (data) => socket.send(data));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    answer: (next: typeof answer) => (answer = next),
    close: () => {
      for (const client of sockets.clients) client.terminate();
      server.close();
      server.closeAllConnections();
    },
  };
}

const good = (_: IncomingMessage, res: ServerResponse): void => void res.writeHead(204, { 'X-User': 'ada' }).end();
const say =
  (status: number, fields: Record<string, string | string[]> = {}, body = '') =>
  (_: IncomingMessage, res: ServerResponse): void =>
    void res.writeHead(status, fields).end(body);

let auth: Awaited<ReturnType<typeof startServer>>;
let backend: Awaited<ReturnType<typeof startServer>>;
let gateway: Gateway;

function config(
  own: { authServers?: string[]; recheck?: { every: string; grace?: string }; engine?: 'native' | 'js' } = {},
): GatewayFile {
  const { authServers = [`http://127.0.0.1:${auth.port}`], recheck, engine = 'js' } = own;
  const forward = { upstream: 'auth', path: '/verify?by=gateway', timeout: '2s', headers: ['X-User', 'X-Role'] };
  const kind = { forward: { ...forward, user: 'X-User' }, ...(recheck === undefined ? {} : { recheck }) };
  return {
    listeners: bothListeners(),
    relay: { engine },
    upstreams: {
      auth: { servers: authServers },
      backend: { servers: [`http://127.0.0.1:${backend.port}`] },
    },
    routes: [
      {
        name: 'splice',
        match: { path: '/splice' },
        auth: kind,
        websocket: { mode: 'splice', upstream: 'backend', origins: 'any' },
      },
      {
        name: 'echo',
        match: { path: '/echo' },
        auth: kind,
        websocket: { mode: 'terminate', handler: 'echo', origins: 'any' },
      },
      { name: 'api', match: { path: '/api/*' }, auth: kind, http: { upstream: 'backend' } },
      {
        name: 'moved',
        match: { path: '/fw/*' },
        auth: kind,
        rewrite: { prefix: '/', encoded_slashes: 'decode' },
        http: { upstream: 'backend' },
        websocket: { mode: 'splice', upstream: 'backend', origins: 'any' },
      },
    ],
  };
}

beforeAll(async () => {
  [auth, backend] = await Promise.all([startServer(good), startServer((_, res) => void res.end('of the backend'))]);
  gateway = await startGateway(config());
});
beforeEach(() => {
  auth.answer(good);
  auth.asked.length = 0;
  backend.asked.length = 0;
});
afterAll(async () => {
  await gateway?.stop();
  auth?.close();
  backend?.close();
});

const urlOf = (path: string, own = gateway) => `ws://127.0.0.1:${own.port}${path}`;
const field = (answer: ReturnType<typeof readAnswer>, name: string) =>
  answer.fields.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);

describe.each(PROTOCOLS)('by HTTP/%s', (protocol) => {
  const plain = async (lines: string[] = [], { own = gateway, start = 'GET /api/a?q=1', body = '' } = {}) => {
    const head = [`${start} HTTP/1.1`, 'Host: app.test', 'Connection: close', ...lines, '', body].join('\r\n');
    return readAnswer(await exchange(targetOf(own, protocol), head));
  };
  const upgrade = async (path: string, fields: Record<string, string> = {}, own = gateway) =>
    readAnswer(await exchange(targetOf(own, protocol), handshake(fields, `GET ${path} HTTP/1.1`)));
  const urlOf = (path: string, own = gateway) => `ws://127.0.0.1:${targetOf(own, protocol).port}${path}`;
  const openBy = (url: string, options = {}) => openClient(url, { ...options, ...optionsOf(protocol) });
  /** A line of the client's as it goes on: HTTP/2 has names in lower case only. */
  const sent = (line: string) => (protocol === '2' ? line.replace(/^[^:]+/, (name) => name.toLowerCase()) : line);
  describe('what the server is asked', () => {
    it('a GET that tells of the request, with its credentials and without its body and its handshake', async () => {
      const answer = await plain(
        [
          'Cookie: s=1',
          'Authorization: Basic abc',
          'Content-Type: text/plain',
          'Content-Length: 5',
          'If-None-Match: "a"',
          'Range: bytes=0-1',
          'X-Forwarded-Uri: /else',
          'X-Forwarded-Method: PUT',
          'Keep-Alive: 5',
        ],
        { start: 'POST /api/a?q=1', body: 'hello' },
      );
      expect(answer).toMatchObject({ status: 200, body: expect.stringContaining('of the backend') });
      const [question] = auth.asked;
      expect(question).toMatchObject({ method: 'GET', url: '/verify?by=gateway', body: '' });
      const text = textOf(question!);
      for (const line of [
        'Host: app.test',
        sent('Cookie: s=1'),
        sent('Authorization: Basic abc'),
        'X-Forwarded-Method: POST',
        'X-Forwarded-Uri: /api/a?q=1',
        'X-Forwarded-For: 127.0.0.1',
        'X-Forwarded-Proto: http',
        'X-Forwarded-Host: app.test',
      ])
        expect(text.split('\n')).toContain(line);
      expect(text).not.toMatch(/content-type|if-none-match|range|\/else|PUT|Keep-Alive: 5/i);
      expect(text).toContain('Content-Length: 0');
      expect(backend.asked[0]).toMatchObject({ method: 'POST', url: '/api/a?q=1', body: 'hello' });
    });

    it('of a body in chunks, without what announces its trailers', async () => {
      const fields = ['Transfer-Encoding: chunked', 'Trailer: X-Sum', 'TE: trailers'];
      const answer = await plain(fields, { start: 'POST /api/a', body: '5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n' });
      expect(answer.status).toBe(200);
      expect(textOf(auth.asked[0]!)).not.toMatch(/trailer:|transfer-encoding/i);
      expect(backend.asked[0]).toMatchObject({ method: 'POST', body: 'hello' });
      expect(await gateway.metric('internal_errors_total', { where: 'upstream' })).toBe(0);
    });

    it('of a handshake, without the key, and with the Origin', async () => {
      const client = await openBy(urlOf('/splice'), { origin: 'https://app.test' });
      const text = textOf(auth.asked[0]!);
      expect(text).not.toMatch(/sec-websocket-(key|version|extensions)|upgrade/i);
      expect(text).toContain(sent('Origin: https://app.test'));
      expect(text).toContain('X-Forwarded-Uri: /splice');
      client.socket.send('hello');
      expect(String(await client.next())).toBe('hello');
      await client.close();
      expect(await gateway.log({ event: 'session_closed', route: 'splice', protocol })).toMatchObject({ user: 'ada' });
    });
  });

  describe('which request the server is asked about', () => {
    const uriOf = (question: Asked | undefined) => /^X-Forwarded-Uri: (.*)$/m.exec(textOf(question!))?.[1];

    it.each([
      ['/fw/admin%2Fx', '/fw/admin/x', '/admin/x'],
      ['/fw/admin%2Fx?next=%2Fa', '/fw/admin/x?next=%2Fa', '/admin/x?next=%2Fa'],
      ['/fw/?q', '/fw/?q', '/?q'],
      ['/api/%61dmin', '/api/admin', '/api/%61dmin'],
      ['/api/x/../admin?q=1', '/api/admin?q=1', '/api/x/../admin?q=1'],
      ['/api/admin%2Fx', '/api/admin%2Fx', '/api/admin%2Fx'],
    ])('%s is asked about as %s and sent as %s', async (target, asked, sent) => {
      expect((await plain([], { start: `GET ${target}` })).status).toBe(200);
      expect([uriOf(auth.asked[0]), backend.asked[0]?.url]).toEqual([asked, sent]);
    });

    it('the same for a handshake, and when its session is judged again', async () => {
      const own = await startGateway(config({ recheck: { every: '200ms' } }));
      const client = await openBy(urlOf('/fw/admin%2Fx', own));
      expect(backend.asked[0]?.url).toBe('/admin/x');
      await expect.poll(() => auth.asked.length).toBeGreaterThan(1);
      expect(new Set(auth.asked.map(uriOf))).toEqual(new Set(['/fw/admin/x']));
      await client.close();
      await own.stop();
    });

    it('whatever the client says of another one', async () => {
      const names = [
        ...['X-Original-URI', 'X-Original-URL', 'X-Original-Method', 'X_Original_Url', 'X-Envoy-Original-Path'],
        ...['X-Rewrite-URL', 'X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'X_HTTP_METHOD_OVERRIDE'],
        ...['X-Forwarded-Uri', 'X-Forwarded-Method', 'X_Forwarded_Uri'],
      ];
      await plain([...names.map((name) => `${name}: /forged`), 'X-Origin: mine']);
      expect(textOf(auth.asked[0]!)).not.toContain('/forged');
      expect(textOf(auth.asked[0]!)).toContain(sent('X-Origin: mine'));
    });
  });

  describe('a 2xx', () => {
    const forged = ['X-User: root', 'X_User: root', 'x-role: admin', 'X_ROLE: admin'];

    it('sets its fields in place of the client’s own, which never pass, as an alias neither', async () => {
      await plain(forged);
      expect(textOf(backend.asked[0]!)).toContain('X-User: ada');
      expect(textOf(backend.asked[0]!)).not.toMatch(/root|admin/);
    });

    it('without them lets none through', async () => {
      auth.answer(say(200, {}, 'body of no interest'));
      await plain(forged);
      expect(textOf(backend.asked[0]!)).not.toMatch(/root|admin|x.user|x.role/i);
      await openBy(urlOf('/splice'), { headers: { 'X-User': 'root', X_User: 'root' } }).then((one) => one.close());
      expect(textOf(backend.asked[1]!)).not.toMatch(/root|x.user/i);
    });
  });

  describe('a no', () => {
    const fields = {
      'WWW-Authenticate': 'Bearer realm="sso"',
      'Set-Cookie': ['a=1', 'b=2'],
      'X-Gateway-Reason': 'fake',
    };

    it.each(['plain', '/splice', '/echo'])('of 401 reaches the client whole: %s', async (path) => {
      auth.answer(say(401, fields, 'log in first'));
      const answer = path === 'plain' ? await plain() : await upgrade(path);
      expect(answer).toMatchObject({ status: 401, body: 'log in first' });
      expect(field(answer, 'www-authenticate')).toEqual(['Bearer realm="sso"']);
      expect(field(answer, 'set-cookie')).toEqual(['a=1', 'b=2']);
      expect(field(answer, 'x-gateway-reason')).toEqual([]);
      expect(field(answer, 'content-length')).toEqual(['12']);
      expect(field(answer, 'transfer-encoding')).toEqual([]);
      expect(backend.asked).toEqual([]);
    });

    it('of 403, and a redirect, too', async () => {
      auth.answer(say(403, {}, 'not you'));
      expect(await plain()).toMatchObject({ status: 403, body: 'not you' });
      auth.answer(say(302, { Location: 'https://login.test/?next=1' }));
      const answer = await plain();
      expect([answer.status, field(answer, 'location')]).toEqual([302, ['https://login.test/?next=1']]);
      expect(backend.asked).toEqual([]);
    });
  });

  describe('keeps out where nobody answers', () => {
    const answers: [string, Parameters<typeof auth.answer>[0], number][] = [
      ['404', say(404), 503],
      ['304', say(304), 503],
      ['500', say(500), 503],
      ['503 with fields', say(503, { 'X-User': 'ada' }), 503],
      ['no HTTP', (_, res) => void res.socket!.end('200 come in\r\n\r\n'), 503],
      ['a reset', (_, res) => void res.socket!.resetAndDestroy(), 503],
      [
        'half an answer',
        (_, res) => void res.writeHead(200, { 'Content-Length': 9 }).write('x', () => void res.destroy()),
        503,
      ],
      ['too large a body', say(200, { 'X-User': 'ada' }, 'x'.repeat(70_000)), 503],
      ['silence', () => {}, 503],
    ];
    it.each(answers)('keeps out where nobody answers: %s', async (_, answer, status) => {
      auth.answer(answer);
      for (const path of ['plain', '/splice', '/echo']) {
        const refused = path === 'plain' ? await plain() : await upgrade(path);
        expect([path, refused.status]).toEqual([path, status]);
        expect(field(refused, 'x-gateway-reason')).toEqual(['auth_unavailable']);
      }
      expect(backend.asked).toEqual([]);
    });

    it('or where there is no server at all; a second one is asked', async () => {
      const nowhere = `http://127.0.0.1:${await closedPort()}`;
      const own = await startGateway(config({ authServers: [nowhere] }));
      expect((await plain([], { own })).status).toBe(503);
      expect((await upgrade('/splice', {}, own)).status).toBe(503);
      await own.stop();
      const two = await startGateway(config({ authServers: [nowhere, `http://127.0.0.1:${auth.port}`] }));
      for (let i = 0; i < 3; i++) expect((await plain([], { own: two })).status).toBe(200);
      await two.stop();
    });

    it('and holds nothing of a client that leaves meanwhile', async () => {
      auth.answer(() => {});
      const connection = await connectRaw(targetOf(gateway, protocol));
      connection.write(handshake({ 'Sec-WebSocket-Key': KEY }, 'GET /splice HTTP/1.1'));
      await expect.poll(() => auth.asked.length).toBe(1);
      connection.reset();
      await gateway.log({ event: 'handshake_failed', reason: 'client_gone', route: 'splice', protocol });
      expect(gateway.logs().filter(({ level }) => level === 'error')).toEqual([]);
    });
  });
});

describe.each(ENGINES)('live sessions are judged again, engine %s', (engine) => {
  const recheck = { every: '200ms', grace: '600ms' };
  let own: Gateway;
  beforeAll(async () => {
    own = await startGateway(config({ recheck, engine }));
  });
  afterAll(async () => void (await own?.stop()));
  const open = (path: string) => openClient(urlOf(path, own), { headers: { Cookie: 's=1' } });

  it.each(['/splice', '/echo'])('%s: good goes on, with what it came with', async (path) => {
    const client = await open(path);
    await expect.poll(() => auth.asked.length).toBeGreaterThan(3);
    expect(textOf(auth.asked.at(-1)!)).toContain('Cookie: s=1');
    client.socket.send('still here');
    expect(String(await client.next())).toBe('still here');
    await client.close();
  });

  it.each([
    ['/splice', 401, 4401],
    ['/echo', 401, 4401],
    ['/splice', 403, 4403],
    ['/echo', 403, 4403],
  ])('%s: %i closes with %i', async (path, status, code) => {
    const client = await open(path);
    auth.answer(say(status));
    expect(await client.closed).toEqual({ code, reason: 'credentials are refused' });
    await own.log({ event: 'session_closed', close_code: code, closed_by: 'gateway', path });
  });

  it.each(['/splice', '/echo'])('%s: nobody to ask closes with 4401, and not before the grace', async (path) => {
    const client = await open(path);
    const from = performance.now();
    auth.answer(say(500));
    expect(await client.closed).toEqual({ code: 4401, reason: 'credentials could not be checked' });
    expect(performance.now() - from).toBeGreaterThan(550);
    expect(auth.asked.length).toBeGreaterThan(2);
  });

  it('somebody else’s credentials are not the session’s', async () => {
    const client = await open('/splice');
    auth.answer(say(200, { 'X-User': 'eve' }));
    expect(await client.closed).toEqual({ code: 4401, reason: 'credentials are of another' });
  });
});

it('a reload takes the judging away, and brings whom it asks then', async () => {
  const own = await startGateway(config({ recheck: { every: '200ms' } }));
  const client = await openClient(urlOf('/echo', own));
  const strict = await startServer(say(401));
  const next = config({ authServers: [`http://127.0.0.1:${strict.port}`], recheck: { every: '200ms' } });
  writeFileSync(own.file, JSON.stringify({ admin: { port: 0 }, ...next }));
  own.signal('SIGHUP');
  expect(await client.closed).toMatchObject({ code: 4401 });
  const refused = (await openClient(urlOf('/echo', own)).catch((error: unknown) => error)) as Refusal;
  expect(refused.status).toBe(401);
  await own.stop();
  strict.close();
});
