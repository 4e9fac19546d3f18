// Splicing through the built gateway, byte for byte: when a tunnel opens, when it must not, and what is left of one that
// broke. A raw client and a scripted backend stand on either side. With the native engine the backend is dialled natively
// too; with the js engine node does both.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDON } from '../../src/relay/native/addon.ts';
import { buildClose } from '../support/frames.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { acceptOf, connectRaw, exchange, handshake, KEY, type RawConnection, readAnswer } from '../support/raw.ts';
import { closedPort, type Scripted, startScripted } from '../support/scripted.ts';

/** A valid 101, with a line changed. */
const switching = (accept: string, ...lines: readonly string[]): string =>
  [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
    ...lines,
    '',
    '',
  ].join('\r\n');

const plain = (...lines: readonly string[]): string => `${lines.join('\r\n')}`;

const SCRIPTS = {
  '/ws': (_: string, accept: string) => switching(accept),
  '/glued': (_: string, accept: string) => `${switching(accept)}\x81\x05hello`,
  '/odd': (_: string, accept: string) =>
    `HTTP/1.1 101 WebSocket Protocol Hybi-10\r\nUPGRADE: WebSocket\r\nconnection: keep-alive, upgrade\r\nsec-websocket-accept:${accept}\r\n\r\n`,
  '/no-phrase': (_: string, accept: string) => switching(accept).replace(' Switching Protocols', ''),
  '/early': (_: string, accept: string) =>
    `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${switching(accept)}`,
  '/fields': (_: string, accept: string) =>
    switching(
      accept,
      'Set-Cookie: a=1',
      'Set-Cookie: b=2',
      'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10',
      'Keep-Alive: timeout=5',
      'Content-Length: 0',
      'X-Gateway-Reason: fake',
      'Connection: X-Secret',
      'X-Secret: 1',
    ),
  '/chosen': (_: string, accept: string) => switching(accept, 'Sec-WebSocket-Protocol: chat.v1'),
  '/wrong-accept': () => switching('AAAAAAAAAAAAAAAAAAAAAAAAAAA='),
  '/no-accept': () => plain('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', '', ''),
  '/two-accepts': (_: string, accept: string) => switching(accept, `Sec-WebSocket-Accept: ${accept}`),
  '/no-upgrade': (_: string, accept: string) => switching(accept).replace('Upgrade: websocket\r\n', ''),
  '/other-upgrade': (_: string, accept: string) => switching(accept).replace('websocket', 'h2c'),
  '/no-connection': (_: string, accept: string) =>
    switching(accept).replace('Connection: Upgrade', 'Connection: close'),
  '/http-1.0': (_: string, accept: string) => switching(accept).replace('HTTP/1.1', 'HTTP/1.0'),
  '/not-offered': (_: string, accept: string) => switching(accept, 'Sec-WebSocket-Protocol: chat.v9'),
  '/bare-lf': (_: string, accept: string) => switching(accept).replaceAll('\r\n', '\n').concat('\r\n\r\n'),
  '/folded': (_: string, accept: string) => switching(accept, 'X-A: 1\r\n 2'),
  '/garbage': () => 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
  '/large': () => `HTTP/1.1 101 Switching Protocols\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`,
  '/length': () =>
    plain(
      'HTTP/1.1 403 Nope',
      'Content-Length: 4',
      'Keep-Alive: timeout=5',
      'Connection: keep-alive',
      '',
      'no!\nHTTP/1.1 200 smuggled',
    ),
  '/chunked': () =>
    plain(
      'HTTP/1.1 401 Unauthorized',
      'Transfer-Encoding: chunked',
      'WWW-Authenticate: Basic',
      '',
      '3',
      'abc',
      '4;x=y',
      'defg',
      '0',
      'X-Trailer: 1',
      '',
      'behind the end',
    ),
  '/both-framings': () => plain('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Content-Length: 4', '', '0', '', ''),
  '/426': () =>
    plain(
      'HTTP/1.1 426 Upgrade Required',
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 8',
      'Content-Length: 0',
      '',
      '',
    ),
  '/204': () => plain('HTTP/1.1 204 No Content', '', 'what is no body'),
  '/silent': () => null,
};

const route = (name: string, path: string, upstream: string, timeouts: object = {}) => ({
  name,
  match: { path },
  websocket: {
    mode: 'splice' as const,
    upstream,
    origins: 'any' as const,
    timeouts: { connect: '2s', handshake: '2s', ...timeouts },
  },
});

describe.each(existsSync(ADDON) ? (['native', 'js'] as const) : (['js'] as const))('with the %s engine', (engine) => {
  let backend: Scripted;
  let second: Scripted;
  let gateway: Gateway;
  /** Ends its side only when told to. */
  const halfOpen = createServer({ allowHalfOpen: true });
  /** Answers a plain request only when told to. */
  const slow = createHttpServer((_, res) => void answers.push(res));
  const answers: ServerResponse[] = [];
  /** Backend's sockets in the order they came. */
  const sockets: Socket[] = [];

  beforeAll(async () => {
    backend = await startScripted(SCRIPTS);
    second = await startScripted({
      '/retry/ws': (_, accept) => switching(accept),
      '/retry/reversed': () => 'HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n',
      '/retry/busy': () => 'HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n',
    });
    const refusing = await closedPort();
    await once(halfOpen.listen(0, '127.0.0.1'), 'listening');
    await once(slow.listen(0, '127.0.0.1'), 'listening');
    gateway = await startGateway({
      relay: { engine },
      listeners: [{ host: '127.0.0.1', port: 0 }],
      trusted_proxies: ['127.0.0.9'],
      upstreams: {
        slow: { servers: [`http://127.0.0.1:${(slow.address() as AddressInfo).port}`] },
        scripted: { servers: [`ws://127.0.0.1:${backend.port}`] },
        refusing: { servers: [`ws://127.0.0.1:${refusing}`] },
        half: { servers: [`ws://127.0.0.1:${(halfOpen.address() as AddressInfo).port}`] },
        reversed: { servers: [`ws://127.0.0.1:${second.port}`, `ws://127.0.0.1:${refusing}`] },
        mixed: { servers: [`ws://127.0.0.1:${refusing}`, `ws://127.0.0.1:${second.port}`] },
      },
      routes: [
        { name: 'slow', match: { path: '/slow' }, http: { upstream: 'slow' } },
        route('refusing', '/refused', 'refusing'),
        route('half', '/half', 'half'),
        route('reversed', '/retry/reversed', 'reversed'),
        route('retry', '/retry/*', 'mixed'),
        route('idle', '/idle', 'scripted', { idle: '300ms' }),
        {
          name: 'chosen',
          match: { path: '/chosen' },
          websocket: { mode: 'splice', upstream: 'scripted', origins: 'any', subprotocols: ['chat.v2', 'chat.v1'] },
        },
        route('scripted', '/*', 'scripted'),
      ],
    });
  });

  afterAll(async () => {
    expect(await gateway.stop()).toBe(0);
    backend.close();
    second.close();
    halfOpen.close();
    slow.close();
  });

  const ask = (path: string, changes: Parameters<typeof handshake>[0] = {}) =>
    exchange(gateway.port, handshake(changes, `GET ${path} HTTP/1.1`));

  async function open(
    path: string,
    changes: Parameters<typeof handshake>[0] = {},
  ): Promise<{ client: RawConnection; server: Socket; head: string }> {
    const before = backend.sockets.size;
    const client = await connectRaw(gateway.port);
    client.write(handshake(changes, `GET ${path} HTTP/1.1`));
    const bytes = await client.until('\r\n\r\n');
    const server = [...backend.sockets][before]!;
    sockets.push(server);
    return { client, server, head: bytes.toString('latin1') };
  }

  /** Resolves when the gateway counts no session and no connection to the scripted backend any more. */
  async function settled(): Promise<void> {
    const labels = { upstream: 'scripted', server: `ws://127.0.0.1:${backend.port}` };
    await expect.poll(() => gateway.metric('upstream_connections', labels), { interval: 20 }).toBe(0);
    await expect
      .poll(() => gateway.metric('websocket_connections', { route: 'scripted', mode: 'splice' }), { interval: 20 })
      .toBe(0);
  }

  describe('a tunnel opens only after a real 101', () => {
    it('with the 101 rebuilt for the client', async () => {
      const { client, head } = await open('/ws');
      expect(head).toBe(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(KEY)}\r\n\r\n`,
      );
      client.socket.destroy();
    });

    it.each(['/odd', '/no-phrase', '/early'])('%s is one too', async (path) => {
      const { client, head } = await open(path);
      expect(head).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n/);
      client.socket.destroy();
    });

    it('keeps end-to-end fields of the 101 and drops the rest', async () => {
      const { client, head } = await open('/fields', {
        'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
      });
      expect(head.split('\r\n').slice(3)).toEqual([
        `Sec-WebSocket-Accept: ${acceptOf(KEY)}`,
        'Set-Cookie: a=1',
        'Set-Cookie: b=2',
        'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10',
        '',
        '',
      ]);
      client.socket.destroy();
    });

    it.each([
      '/wrong-accept',
      '/no-accept',
      '/two-accepts',
      '/no-upgrade',
      '/other-upgrade',
      '/no-connection',
      '/http-1.0',
      '/not-offered',
      '/bare-lf',
      '/folded',
      '/garbage',
      '/large',
      '/both-framings',
    ])('%s is 502 bad_accept and nothing of the backend', async (path) => {
      const answer = readAnswer(await ask(path));
      expect(answer.status).toBe(502);
      expect(answer.fields).toContainEqual(['X-Gateway-Reason', 'bad_accept']);
      expect(JSON.parse(answer.body)).toMatchObject({ status: 502, reason: 'bad_accept' });
      await settled();
    });
  });

  describe('any other answer is passed on as what it is', () => {
    it('with a length, to its end and no further', async () => {
      const bytes = (await ask('/length')).toString('latin1');
      expect(bytes).toBe('HTTP/1.1 403 Nope\r\nContent-Length: 4\r\nConnection: close\r\n\r\nno!\n');
    });

    it('chunked, with its trailers', async () => {
      const bytes = (await ask('/chunked')).toString('latin1');
      expect(bytes).toBe(
        'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Trailer: 1\r\n\r\n',
      );
    });

    it('without a body', async () => {
      expect((await ask('/204')).toString('latin1')).toBe('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n');
    });

    it('a 426 says what to upgrade to', async () => {
      const { status, fields } = readAnswer(await ask('/426'));
      expect(status).toBe(426);
      expect(fields).toEqual([
        ['Sec-WebSocket-Version', '8'],
        ['Content-Length', '0'],
        ['Upgrade', 'websocket'],
        ['Connection', 'Upgrade, close'],
      ]);
    });

    it('until the backend closes', async () => {
      const before = backend.sockets.size;
      const client = await connectRaw(gateway.port);
      client.write(handshake({}, 'GET /silent HTTP/1.1'));
      await expect.poll(() => backend.sockets.size).toBe(before + 1);
      const server = [...backend.sockets][before]!;
      server.write('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst,');
      await client.until('first,');
      server.end('last');
      const { bytes, how } = await client.closed();
      expect(how).toBe('fin');
      expect(bytes.toString()).toBe(
        'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nfirst,last',
      );
    });

    it('and broken off where the backend breaks it off', async () => {
      const before = backend.sockets.size;
      const client = await connectRaw(gateway.port);
      client.write(handshake({}, 'GET /silent HTTP/1.1'));
      await expect.poll(() => backend.sockets.size).toBe(before + 1);
      [...backend.sockets][before]!.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
      const { bytes } = await client.closed();
      expect(bytes.toString()).toContain('half');
      await settled();
    });

    it('and what the client sends behind its handshake never reaches the backend', async () => {
      const before = backend.sockets.size;
      const client = await connectRaw(gateway.port);
      client.write(`${handshake({}, 'GET /length HTTP/1.1')}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
      await client.closed();
      expect(backend.heads.some((head) => head.includes('smuggled'))).toBe(false);
      expect([...backend.sockets][before]!.bytesRead).toBe(Buffer.byteLength(`${backend.heads.at(-1)!}\r\n\r\n`));
    });
  });

  describe('the handshake that the backend gets', () => {
    it('is the client’s, less what is its connection’s own, and says where it comes from', async () => {
      const { client } = await open('/ws?a=1%2f&b', {
        Connection: 'keep-alive, Upgrade, X-Mine',
        Upgrade: 'WebSocket',
        'X-Mine': '1',
        'Keep-Alive': '5',
        'Proxy-Authorization': 'secret',
        TE: 'trailers',
        'X-Forwarded-For': '6.6.6.6',
        X_Forwarded_For: '6.6.6.6',
        Forwarded: 'for=6.6.6.6',
        'X-Real-IP': '6.6.6.6',
        'X-Request-Id': 'mine',
        Origin: 'https://a.example',
        Cookie: ['a=1', 'b=2'],
        'sec-websocket-extensions': 'permessage-deflate',
      });
      const lines = backend.heads.at(-1)!.split('\r\n');
      expect(lines.map((line) => line.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, 'ID'))).toEqual([
        'GET /ws?a=1%2f&b HTTP/1.1',
        'Host: gateway.test',
        `Sec-WebSocket-Key: ${KEY}`,
        'Sec-WebSocket-Version: 13',
        'Origin: https://a.example',
        'Cookie: a=1',
        'Cookie: b=2',
        'sec-websocket-extensions: permessage-deflate',
        'X-Forwarded-For: 127.0.0.1',
        'X-Forwarded-Proto: http',
        'X-Forwarded-Host: gateway.test',
        'X-Request-Id: ID',
        'Upgrade: websocket',
        'Connection: Upgrade',
      ]);
      client.socket.destroy();
    });

    it('appends to what a trusted proxy says', async () => {
      const client = await connectRaw({ port: gateway.port, host: '127.0.0.1', localAddress: '127.0.0.9' });
      client.write(
        handshake({ 'X-Forwarded-For': '203.0.113.7', 'X-Forwarded-Proto': 'https', 'X-Request-Id': 'abc-1' }),
      );
      await client.until('\r\n\r\n');
      const head = backend.heads.at(-1)!;
      expect(head).toContain('X-Forwarded-For: 203.0.113.7, 127.0.0.9\r\nX-Forwarded-Proto: https\r\n');
      expect(head).toContain('X-Request-Id: abc-1\r\n');
      expect(await gateway.log({ event: 'session_opened', id: 'abc-1' })).toMatchObject({ client: '203.0.113.7' });
      client.socket.destroy();
    });

    it('offers only the route’s subprotocols', async () => {
      const { client, head } = await open('/chosen', { 'Sec-WebSocket-Protocol': ['x, chat.v1', 'y'] });
      expect(backend.heads.at(-1)).toContain('\r\nSec-WebSocket-Protocol: chat.v1\r\n');
      expect(head).toContain('Sec-WebSocket-Protocol: chat.v1\r\n');
      client.socket.destroy();
    });
  });

  describe('bytes', () => {
    it('of an earlier answer on the connection come first, and the backend is not dialled before', async () => {
      const before = backend.sockets.size;
      const client = await connectRaw(gateway.port);
      client.write(`GET /slow HTTP/1.1\r\nHost: gateway.test\r\n\r\n${handshake({}, 'GET /glued HTTP/1.1')}`);
      await expect.poll(() => answers.length).toBe(1);
      expect(backend.sockets.size).toBe(before);
      answers.pop()!.end('slow but first');
      const text = (await client.until('hello')).toString('latin1');
      expect(text.indexOf('slow but first')).toBeGreaterThan(0);
      expect(text.indexOf('slow but first')).toBeLessThan(text.indexOf('HTTP/1.1 101'));
      client.socket.destroy();
    });

    it('glued behind the handshake and behind the 101 are delivered', async () => {
      const before = backend.sockets.size;
      const client = await connectRaw(gateway.port);
      client.write(
        Buffer.concat([
          Buffer.from(handshake({}, 'GET /glued HTTP/1.1')),
          Buffer.from('\x81\x82abcd\x00\x01', 'latin1'),
        ]),
      );
      const bytes = await client.until('hello');
      expect(bytes.subarray(-7)).toEqual(Buffer.from('\x81\x05hello', 'latin1'));
      const server = [...backend.sockets][before]!;
      await expect.poll(() => server.bytesRead).toBe(Buffer.byteLength(`${backend.heads.at(-1)!}\r\n\r\n`) + 8);
      client.socket.destroy();
    });

    it('pass both ways untouched, and a half-closed side goes on reading', async () => {
      const client = await connectRaw(gateway.port);
      const accepted = once(halfOpen, 'connection') as Promise<[Socket]>;
      client.write(handshake({}, 'GET /half HTTP/1.1'));
      const [server] = await accepted;
      const chunks: Buffer[] = [];
      server.on('data', (chunk) => chunks.push(chunk));
      server.write(switching(acceptOf(KEY)));
      await client.until('\r\n\r\n');
      const sent = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i & 0xff));
      const ended = once(server, 'end');
      client.write(sent);
      client.end();
      await ended;
      const got = Buffer.concat(chunks);
      expect(got.subarray(got.indexOf('\r\n\r\n') + 4).equals(sent)).toBe(true);
      server.end(sent);
      const { bytes, how } = await client.closed();
      expect(how).toBe('fin');
      expect(bytes.subarray(bytes.indexOf('\r\n\r\n') + 4).equals(sent)).toBe(true);
      expect(await gateway.log({ event: 'session_closed', route: 'half' })).toMatchObject({
        bytes_in: sent.length,
        bytes_out: sent.length,
        closed_by: 'client',
        reason: 'closed',
      });
    });

    it('wait in bounded memory while the other side does not read', async () => {
      const { client, server } = await open('/ws');
      client.socket.pause();
      const block = Buffer.alloc(1 << 20);
      let taken = 0;
      // Writes until nothing has gone out for a while: the whole path is full then.
      for (let last = -1; last !== taken; ) {
        last = taken;
        for (let i = 0; i < 64 && server.writableLength < block.length; i++) {
          server.write(block);
          await new Promise((resolve) => setTimeout(resolve, 5));
          taken = server.bytesWritten - server.writableLength;
        }
      }
      // Kernel buffers of two connections on loopback hold a few MiB each; the gateway itself may add far less.
      expect(taken).toBeLessThan(32 << 20);
      let seen = 0;
      client.socket.on('data', (chunk) => {
        seen += chunk.length;
      });
      client.socket.resume();
      server.end();
      await client.closed(20_000);
      client.end();
      // And the Close that tells of a backend that left without one.
      const lost = buildClose(1011, 'backend_lost').length;
      expect(seen).toBe(server.bytesWritten - Buffer.byteLength(switching(acceptOf(KEY))) + lost);
      await settled();
    });
  });

  describe('what breaks is cleaned up on both sides', () => {
    it('the client resets before the 101', async () => {
      const before = backend.sockets.size;
      const client = await connectRaw(gateway.port);
      client.write(handshake({}, 'GET /silent HTTP/1.1'));
      await expect.poll(() => backend.sockets.size).toBe(before + 1);
      const server = [...backend.sockets][before]!;
      const closed = once(server, 'close');
      client.reset();
      await closed;
      await gateway.log({ event: 'handshake_failed', reason: 'client_gone' });
      await settled();
    });

    it('the backend resets before the 101', async () => {
      const before = backend.sockets.size;
      const client = await connectRaw(gateway.port);
      client.write(handshake({}, 'GET /silent HTTP/1.1'));
      await expect.poll(() => backend.sockets.size).toBe(before + 1);
      [...backend.sockets][before]!.resetAndDestroy();
      const answer = readAnswer((await client.closed()).bytes);
      expect(answer.status).toBe(502);
      expect(answer.fields).toContainEqual(['X-Gateway-Reason', 'backend_refused']);
      await settled();
    });

    it('the client resets after the 101', async () => {
      const { client, server } = await open('/ws');
      const closed = once(server, 'close');
      client.reset();
      await closed;
      await settled();
    });

    it('the backend resets after the 101', async () => {
      const { client, server } = await open('/ws');
      server.resetAndDestroy();
      await client.closed();
      // The gateway waits five seconds for the FIN of a client that it has sent one.
      client.end();
      await settled();
    });

    it('a refused connection is 502', async () => {
      const answer = readAnswer(await ask('/refused'));
      expect(answer.status).toBe(502);
      expect(answer.fields).toContainEqual(['X-Gateway-Reason', 'backend_refused']);
    });

    it('a backend that does not answer is 504', async () => {
      const answer = readAnswer(await ask('/silent'));
      expect(answer.status).toBe(504);
      expect(answer.fields).toContainEqual(['X-Gateway-Reason', 'backend_timeout']);
      await settled();
    });

    it('an idle tunnel ends', async () => {
      const before = backend.sockets.size;
      const client = await connectRaw(gateway.port);
      client.write(handshake({}, 'GET /idle HTTP/1.1'));
      await expect.poll(() => backend.sockets.size).toBe(before + 1);
      // The script knows no /idle: the answer comes from here.
      [...backend.sockets][before]!.write(switching(acceptOf(KEY)));
      await client.until('\r\n\r\n');
      await client.closed();
      expect(await gateway.log({ event: 'session_closed', route: 'idle' })).toMatchObject({
        reason: 'idle',
        closed_by: 'gateway',
      });
    });
  });

  describe('another server is tried', () => {
    it('where one refuses the connection', async () => {
      for (let i = 0; i < 2; i++) {
        const client = await connectRaw(gateway.port);
        client.write(handshake({}, 'GET /retry/ws HTTP/1.1'));
        await client.until('101 Switching Protocols');
        client.socket.destroy();
      }
      await gateway.log({ event: 'upstream_failed', reason: 'backend_refused' });
    });

    it('and what the last one said is the answer', async () => {
      expect(readAnswer(await ask('/retry/busy')).status).toBe(503);
      expect(readAnswer(await ask('/retry/reversed')).status).toBe(502);
    });
  });
});
