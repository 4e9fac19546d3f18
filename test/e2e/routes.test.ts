// What a route changes on the way, and what it answers itself, through the whole built gateway: redirects, fixed answers,
// paths, fields, Host, the largest body; for plain requests and for spliced sessions alike.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, type Peer, readMessage, startBackend } from '../support/forwarding.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { bothListeners, PROTOCOLS, targetOf } from '../support/protocols.ts';
import {
  acceptOf,
  connectRaw,
  exchange,
  handshake,
  type RawAnswer,
  type RawConnection,
  readAnswer,
} from '../support/raw.ts';

/** Of one, two, three and four octets in UTF-8. */
const BEYOND = 'e\xe9\u20ac\u{1f600}';
const OCTETS = Buffer.from(BEYOND).toString('latin1');

let backend: Backend;
let gateway: Gateway;

beforeAll(async () => {
  backend = await startBackend();
  const server = `127.0.0.1:${backend.port}`;
  gateway = await startGateway({
    listeners: [...bothListeners(), { host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] } }],
    upstreams: { rest: { servers: [`http://${server}`] }, chat: { servers: [`ws://${server}`] } },
    http: { forwarding: 'both', via: 'edge' },
    routes: [
      { name: 'tls', match: { host: 'secure.example', scheme: 'http' }, redirect: { scheme: 'https' } },
      { name: 'gone', match: { path: '/old/*' }, respond: { status: 410, body: 'gone\n' } },
      {
        name: 'beyond-ascii',
        match: { path: '/beyond/*' },
        respond: { body: BEYOND, content_type: `text/plain; title="${BEYOND}"`, headers: { 'X-Title': BEYOND } },
      },
      {
        name: 'api',
        match: { path: '/api/{version}/*' },
        http: { upstream: 'rest', max_body: '1KiB' },
        websocket: { mode: 'splice', upstream: 'chat', origins: 'any' },
        rewrite: { prefix: '/', host: 'upstream', encoded_slashes: 'reject' },
        headers: {
          request: { set: { 'X-Client': '{client_ip} {version}' }, remove: ['Cookie'] },
          response: { set: { 'X-Served-By': 'upgate {request_id}' }, remove: ['X-Powered-By'] },
        },
      },
      {
        name: 'sockets',
        match: { path: ['/ws', '/ws/*'] },
        websocket: { mode: 'splice', upstream: 'chat', origins: ['file://'] },
        http: { upstream: 'rest' },
        rewrite: { prefix: '/' },
      },
      { name: 'one', match: { path: '/one/*' }, http: { upstream: 'rest' }, rewrite: { path: '/only' } },
      {
        name: 'admin',
        match: { host: ['admin.example', '*.admin.example'] },
        deny: ['127.0.0.1'],
        http: { upstream: 'rest' },
      },
      { name: 'guarded', match: { path: '/guarded/*' }, deny: ['127.0.0.1'], http: { upstream: 'rest' } },
      { name: 'rest', http: { upstream: 'rest' } },
    ],
  });
});

afterAll(async () => {
  expect(await gateway?.stop()).toBe(0);
  backend?.close();
});

const open: RawConnection[] = [];
const peers: Peer[] = [];
afterEach(async () => {
  for (const connection of open.splice(0)) connection.socket.destroy();
  for (const peer of peers.splice(0)) {
    peer.socket.end();
    await peer.closed();
  }
});

describe.each(PROTOCOLS)('by HTTP/%s', (protocol) => {
  /** The gateway's own, toward the server: the protocol that the request came by (RFC 9110 §7.6.3). */
  const via = `Via: ${protocol === '2' ? '2.0' : '1.1'} edge`;
  /** What Connection says where HTTP/1.1 ends the connection; HTTP/2 has none. */
  const closing = protocol === '2' ? undefined : 'close';
  async function send(text: string): Promise<RawConnection> {
    const client = await connectRaw(targetOf(gateway, protocol));
    open.push(client);
    client.write(text);
    return client;
  }

  /** Sends a request that reaches the backend. */
  async function reach(text: string): Promise<{ client: RawConnection; peer: Peer }> {
    const client = await send(text);
    const peer = await backend.next();
    peers.push(peer);
    await peer.until('\r\n\r\n');
    return { client, peer };
  }

  const field = ({ fields }: RawAnswer, name: string) => fields.find(([key]) => key.toLowerCase() === name)?.[1];

  const get = (target: string, ...lines: readonly string[]) =>
    [`GET ${target} HTTP/1.1`, 'Host: app.example:81', ...lines, '', ''].join('\r\n');

  describe('what the gateway answers itself', () => {
    it('a redirect to TLS, with host, path and query; the connection goes on', async () => {
      const request = 'GET /a%2Fb?c=%20 HTTP/1.1\r\nHost: secure.example:80\r\n';
      const answer = readAnswer(
        await exchange(targetOf(gateway, protocol), `${request}\r\n${request}Connection: close\r\n\r\n`),
      );
      expect(answer).toMatchObject({ status: 308 });
      expect(field(answer, 'location')).toBe('https://secure.example/a%2Fb?c=%20');
      expect(field(answer, 'content-length')).toBe('0');
      await gateway.log({ event: 'request_completed', route: 'tls', status: 308 });
    });

    it('what is written in the config; a HEAD gets its head', async () => {
      const close = 'Host: a\r\nConnection: close\r\n\r\n';
      const answer = readAnswer(await exchange(targetOf(gateway, protocol), `GET /old/x HTTP/1.1\r\n${close}`));
      expect([answer.status, answer.body]).toEqual([410, 'gone\n']);
      const head = readAnswer(await exchange(targetOf(gateway, protocol), `HEAD /old/x HTTP/1.1\r\n${close}`));
      expect([field(head, 'content-length'), head.body.length]).toEqual(['5', 0]);
    });

    it.each([
      ['a plain request', get('/beyond/x', 'Connection: close')],
      ['a handshake', handshake({}, 'GET /beyond/x HTTP/1.1')],
    ])('what is beyond ASCII in octets of UTF-8, to %s', async (_, request) => {
      const answer = readAnswer(await exchange(targetOf(gateway, protocol), request));
      // To an extended CONNECT a 2xx would be a WebSocket that is open.
      const status = protocol === '2' && request.includes('Upgrade') ? 502 : 200;
      expect([answer.status, answer.body]).toEqual([status, OCTETS]);
      expect(field(answer, 'content-length')).toBe('10');
      expect([field(answer, 'x-title'), field(answer, 'content-type')]).toEqual([
        OCTETS,
        `text/plain; title="${OCTETS}"`,
      ]);
    });

    it('an unread body ends the connection, and does not take the answer along', async () => {
      const asked = protocol === '2' ? 'Connection: close\r\n' : '';
      const head = `POST /old/x HTTP/1.1\r\nHost: a\r\n${asked}Content-Length: 100000\r\n\r\n`;
      const answer = readAnswer(await exchange(targetOf(gateway, protocol), `${head}${'x'.repeat(100_000)}`));
      expect([answer.status, field(answer, 'connection')]).toEqual([410, closing]);
    });

    it.each([
      ['an encoded slash that the route refuses', get('/api/v1/a%2fb', 'Connection: close'), 400, 'malformed'],
      [
        'a body that is announced too large, before it is sent',
        'PUT /api/v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n',
        413,
        'body_too_large',
      ],
    ])('%s', async (_, text, status, reason) => {
      const answer = readAnswer(await exchange(targetOf(gateway, protocol), text));
      expect([answer.status, field(answer, 'x-gateway-reason')]).toEqual([status, reason]);
      await gateway.log({ event: 'request_completed', route: 'api', status, reason });
    });

    it('a body in chunks that becomes too large', async () => {
      const { client, peer } = await reach(
        'PUT /api/v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      );
      client.write(`400\r\n${'x'.repeat(1024)}\r\n0\r\n\r\n`);
      const { bytes } = await client.closed();
      expect(readAnswer(bytes)).toMatchObject({ status: 413 });
      await peer.closed();
      await gateway.log({ event: 'request_completed', route: 'api', status: 413, reason: 'body_too_large' });
    });
  });

  describe('a handshake that such a route takes', () => {
    const ask = (target: string, changes: Parameters<typeof handshake>[0]) =>
      exchange(targetOf(gateway, protocol), handshake(changes, `GET ${target} HTTP/1.1`)).then(readAnswer);

    it('is redirected to TLS, and counted as the request that it was', async () => {
      const answer = await ask('/ws/a?b', { Host: 'secure.example:80' });
      expect([answer.status, field(answer, 'location')]).toEqual([308, 'https://secure.example/ws/a?b']);
      expect([field(answer, 'connection'), field(answer, 'content-length')]).toEqual(['close', '0']);
      await gateway.log({ event: 'request_completed', route: 'tls', status: 308, path: '/ws/a' });
    });
    it('gets what is written in the config, whole', async () => {
      const answer = await ask('/old/ws', {});
      expect([answer.status, answer.body]).toEqual([410, 'gone\n']);
    });
    it('is none of theirs where it comes over TLS', async () => {
      const answer = readAnswer(
        await exchange(
          { port: gateway.ports[2]!, tls: true, rejectUnauthorized: false },
          handshake({ Host: 'secure.example', Origin: 'https://evil.test' }, 'GET /ws HTTP/1.1'),
        ),
      );
      expect([answer.status, field(answer, 'x-gateway-reason')]).toEqual([403, 'origin']);
    });
  });

  describe('one form of names', () => {
    const status = async (target: string, Host: string) =>
      readAnswer(
        await exchange(
          targetOf(gateway, protocol),
          `GET ${target} HTTP/1.1\r\nHost: ${Host}\r\nConnection: close\r\n\r\n`,
        ),
      ).status;
    it.each(['admin.example', 'ADMIN.example.', 'admin.example.:80', 'a.admin.example.', 'x.Admin.Example'])(
      'Host %s is refused by the route for it',
      async (host) => expect(await status('/', host)).toBe(403),
    );
    it.each(['/guarded/x', '//guarded/x', '///guarded//x', '/guarded//', '/./guarded/x', '//%67uarded/x'])(
      '%s is refused by the route for it',
      async (target) => expect(await status(target, 'a')).toBe(403),
    );
    it('a Host with an empty label is none', async () => expect(await status('/', 'admin.example..')).toBe(400));
  });

  describe('what a route changes', () => {
    it.each([
      ['/ws', '/'],
      ['/ws?x', '/?x'],
      ['/ws/a//b', '/a//b'],
      ['//ws//a', '/a'],
      ['/one/two?x', '/only?x'],
      ['//rest//a', '//rest//a'],
    ])('the path: %s is sent as %s', async (target, sent) => {
      const { client, peer } = await reach(get(target));
      expect(peer.received().split('\r\n')[0]).toBe(`GET ${sent} HTTP/1.1`);
      peer.write(
        'HTTP/1.1 302 Found\r\nLocation: //evil.test/\r\nContent-Location: /next\r\nContent-Length: 0\r\n\r\n',
      );
      const shown = target.includes('ws') ? '/ws/next' : '/next';
      await client.until(`Content-Location: ${shown}\r\n`);
    });
    it('the path of a session, with an Origin that is listed as text', async () => {
      const { client, peer } = await reach(handshake({ Origin: 'file://' }, 'GET /ws HTTP/1.1'));
      expect(peer.received()).toMatch(/^GET \/ HTTP\/1\.1\r\n/);
      const key = /^Sec-WebSocket-Key: (.*)$/im.exec(peer.received())?.[1] ?? '';
      peer.write(
        `HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`,
      );
      await client.until('HTTP/1.1 101');
    });

    it('of a plain request and its answer', async () => {
      const lines = ['Cookie: a=b', 'X-Client: forged', 'TE: trailers, gzip', 'Range: bytes=0-1', 'Via: 1.1 cdn'];
      const { client, peer } = await reach(get('/api/v1/x/?y=/api/', ...lines));
      const request = readMessage(peer.received());
      const id = request.lines.find((line) => line.startsWith('X-Request-Id: '))?.slice(14);
      expect(request.startLine).toBe('GET /x/?y=/api/ HTTP/1.1');
      expect(request.lines).toEqual([
        `Host: 127.0.0.1:${backend.port}`,
        ...(protocol === '2' ? ['range: bytes=0-1', 'via: 1.1 cdn'] : ['Range: bytes=0-1', 'Via: 1.1 cdn']),
        'X-Forwarded-For: 127.0.0.1',
        'X-Forwarded-Proto: http',
        'X-Forwarded-Host: app.example:81',
        'Forwarded: for=127.0.0.1;host="app.example:81";proto=http',
        `X-Request-Id: ${id}`,
        via,
        'X-Client: 127.0.0.1 v1',
        'TE: trailers',
        'Connection: TE',
      ]);
      peer.write('HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n');
      peer.write('X-Powered-By: x\r\nLocation: /y?z\r\nSet-Cookie: a=b; Path=/; Domain=127.0.0.1\r\n\r\nok');
      const answer = readMessage(await client.until('\r\n\r\nok'));
      expect(answer).toMatchObject({ startLine: 'HTTP/1.1 206 Partial Content', body: 'ok' });
      expect(answer.lines).toEqual([
        'Content-Range: bytes 0-1/9',
        'Content-Length: 2',
        'Location: /api/v1/y?z',
        'Set-Cookie: a=b; Path=/api/v1/',
        'Via: 1.1 edge',
        `X-Served-By: upgate ${id}`,
      ]);
    });

    it('of a session that is spliced, and of its 101', async () => {
      const text = handshake({ Cookie: 'a=b' }, 'GET /api/v2/ws?x HTTP/1.1');
      const { client, peer } = await reach(text);
      const request = readMessage(peer.received());
      expect(request.startLine).toBe('GET /ws?x HTTP/1.1');
      expect(request.lines).toEqual(
        expect.arrayContaining([`Host: 127.0.0.1:${backend.port}`, via, 'X-Client: 127.0.0.1 v2']),
      );
      expect(request.lines.join()).not.toContain('Cookie');
      const key = /^Sec-WebSocket-Key: (.*)$/im.exec(peer.received())?.[1] ?? '';
      peer.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Powered-By: x\r\n',
      );
      peer.write(`Sec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`);
      const answer = readMessage(await client.until('\r\n\r\n'));
      expect(answer.startLine).toBe('HTTP/1.1 101 Switching Protocols');
      expect(answer.lines).toEqual(
        expect.arrayContaining(['Via: 1.1 edge', expect.stringMatching(/^X-Served-By: upgate .+/)]),
      );
      expect(answer.lines.join()).not.toContain('X-Powered-By');
    });
  });
});
