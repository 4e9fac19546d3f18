// WebSockets over HTTP/2 (RFC 8441) at the built gateway: spliced, terminated, refused, drained, and what a client of HTTP/2
// may do that one of HTTP/1.1 can't. Real browsers are http2-browsers.test.ts.
import { once } from 'node:events';
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type net from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { buildClose, buildFrame, type Frame, MASK, OPCODE, parseFrames, readClose } from '../support/frames.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { http2Config } from '../support/http2-config.ts';
import { CODE, FRAME, getFields, headers, RawHttp2, frame as rawFrame, uint32 } from '../support/http2-raw.ts';
import { type RestServer, startRest } from '../support/rest.ts';

let echo: EchoServer;
let rest: RestServer;
let gateway: Gateway;

const config = () => http2Config({ echo, rest, maxStreams: 4 });

beforeAll(async () => {
  echo = await startEcho();
  rest = await startRest();
  gateway = await startGateway(config());
});

afterAll(async () => {
  expect(await gateway?.stop()).toBe(0);
  echo?.close();
  rest?.close();
});

const sessions: ClientHttp2Session[] = [];
afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
});

const toLoopback: net.LookupFunction = (_host, _options, callback) =>
  callback(null, [{ address: '127.0.0.1', family: 4 }]);

async function connect(port = gateway.port): Promise<ClientHttp2Session> {
  const session = http2.connect(`https://localhost:${port}`, { rejectUnauthorized: false, lookup: toLoopback });
  sessions.push(session);
  session.on('error', () => {});
  await once(session, 'remoteSettings');
  return session;
}

/** A WebSocket client over one stream, frame by frame. */
class StreamSocket {
  readonly stream: ClientHttp2Stream;
  readonly answer: Promise<http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader>;
  readonly frames: Frame[] = [];
  #rest = Buffer.alloc(0);
  #news: (() => void)[] = [];
  over = false;

  constructor(session: ClientHttp2Session, path: string, fields: Readonly<Record<string, string>> = {}) {
    this.stream = session.request(
      {
        ...{
          ':method': 'CONNECT',
          ':protocol': 'websocket',
          ':path': path,
          ':authority': 'localhost',
          ':scheme': 'https',
        },
        ...{ 'sec-websocket-version': '13', origin: 'https://app.example', ...fields },
      },
      { endStream: false },
    );
    this.stream.on('error', () => {});
    this.answer = once(this.stream, 'response').then(([headers]) => headers as never);
    this.answer.catch(() => {});
    this.stream.on('data', (chunk: Buffer) => {
      const parsed = parseFrames(Buffer.concat([this.#rest, chunk]));
      this.frames.push(...parsed.frames);
      this.#rest = Buffer.from(parsed.rest);
      this.#wake();
    });
    const end = () => {
      this.over = true;
      this.#wake();
    };
    this.stream.on('end', end).on('close', end);
  }

  send(payload: string | Buffer, opcode: number = OPCODE.text): void {
    this.stream.write(buildFrame({ opcode, payload, mask: MASK }));
  }

  /** The frame at this place, once it has come. */
  async frame(at: number): Promise<Frame> {
    while (this.frames[at] === undefined) {
      if (this.over) throw new Error(`the stream ended after ${this.frames.length} frames`);
      await new Promise<void>((resolve) => this.#news.push(resolve));
    }
    return this.frames[at]!;
  }

  #wake(): void {
    for (const wake of this.#news.splice(0)) wake();
  }
}

describe('a stream that its client resets', () => {
  const cases = ['/splice', '/echo', '/strict', '/nowhere'].flatMap((path) =>
    [CODE.none, CODE.cancel, CODE.internal].flatMap((code) =>
      (['with its head', 'behind the answer'] as const).map((when) => ({ path, code, when })),
    ),
  );

  it.each(cases)('$path, code $code, $when, costs nothing else', async ({ path, code, when }) => {
    const client = await (await RawHttp2.tls(gateway.port)).begin();
    const pseudo = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': path };
    const head = headers(1, getFields(path, [['sec-websocket-version', '13']], pseudo), 0);
    const reset = rawFrame(FRAME.reset, 0, 1, uint32(code));
    if (when === 'with its head') client.write(head, reset);
    else {
      client.write(head);
      await client.outcome(1);
      client.write(reset);
    }
    client.write(headers(3, getFields('/page')));
    expect(await client.outcome(3)).toBe('200');
    client.socket.destroy();
    expect(await gateway.metric('internal_errors_total', { where: 'process' })).toBe(0);
    expect(gateway.stderr()).not.toContain('Error');
  });
});

const text = (frame: Frame): string => frame.payload.toString();

describe.each(['splice', 'echo'])('%s', (route) => {
  it('carries messages both ways, and ends with a Close and a clean end of the stream', async () => {
    const socket = new StreamSocket(await connect(), `/${route}`);
    const answer = await socket.answer;
    expect(answer[':status']).toBe(200);
    expect(answer['sec-websocket-accept']).toBeUndefined();
    for (const [at, message] of ['one', 'two', 'x'.repeat(100_000)].entries()) {
      socket.send(message);
      expect(text(await socket.frame(at))).toBe(message);
    }
    socket.stream.write(buildClose(1000, 'bye', MASK));
    expect(readClose(await socket.frame(3))).toMatchObject({ code: 1000 });
    socket.stream.end();
    await once(socket.stream, 'close');
    expect(socket.stream.rstCode).toBe(0);
    await gateway.log({ event: 'session_closed', route, protocol: '2', close_code: 1000 });
  });

  it('takes what is sent before the answer', async () => {
    const socket = new StreamSocket(await connect(), `/${route}`);
    socket.send('early');
    expect(text(await socket.frame(0))).toBe('early');
  });

  it('has many on one connection, and one that is reset costs no other', async () => {
    const session = await connect();
    const sockets = Array.from({ length: 12 }, () => new StreamSocket(session, `/${route}`));
    await Promise.all(sockets.map((socket) => socket.answer));
    sockets[0]!.stream.close(http2.constants.NGHTTP2_CANCEL);
    for (const [i, socket] of sockets.slice(1).entries()) {
      socket.send(`message ${i}`);
      expect(text(await socket.frame(0))).toBe(`message ${i}`);
    }
    await gateway.log({ event: 'session_closed', route, protocol: '2', closed_by: 'client', reason: 'reset' });
  });

  it('does not count against the requests of the page', async () => {
    const session = await connect();
    const sockets = Array.from({ length: 10 }, () => new StreamSocket(session, `/${route}`));
    await Promise.all(sockets.map((socket) => socket.answer));
    const stream = session.request({ ':path': '/seen/page', ':authority': 'localhost' });
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(200);
    stream.resume();
  });
});

describe('refusals', () => {
  it.each([
    ['an Origin that is not let in', '/strict', { origin: 'https://evil.example' }, 403, 'origin'],
    ['a version that is not spoken', '/splice', { 'sec-websocket-version': '7' }, 426, 'version'],
    ['a path without a route', '/nowhere', {}, 404, 'no_route'],
    ['a room without a name', '/room/%20', {}, 400, 'name'],
    ['a key of the client', '/splice', { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }, 400, 'malformed'],
  ])('%s', async (_name, path, fields, status, reason) => {
    const session = await connect();
    const socket = new StreamSocket(session, path, fields as Record<string, string>);
    const answer = await socket.answer;
    expect([answer[':status'], answer['x-gateway-reason']]).toEqual([status, reason]);
    // The connection goes on.
    expect((await new StreamSocket(session, '/echo').answer)[':status']).toBe(200);
  });

  it('is no protocol of a listener where it is off', async () => {
    const session = await connect(gateway.ports[1]);
    expect(session.remoteSettings.enableConnectProtocol).toBeFalsy();
  });

  it('a message over the limit is 1009', async () => {
    const socket = new StreamSocket(await connect(), '/small');
    await socket.answer;
    socket.send('x'.repeat(2000));
    expect(readClose(await socket.frame(0))).toMatchObject({ code: 1009 });
  });
});

it('a client that reads nothing stops its own server, and no other socket', async () => {
  const session = await connect();
  const stalled = new StreamSocket(session, '/splice');
  await stalled.answer;
  stalled.stream.pause();
  for (let i = 0; i < 64; i++) stalled.send(Buffer.alloc(65_536), OPCODE.binary);
  const other = new StreamSocket(session, '/splice');
  await other.answer;
  other.send('goes on');
  expect(text(await other.frame(0))).toBe('goes on');
});

it('a drain closes every socket in order, and then the connection', async () => {
  const own = await startGateway(config());
  const session = await connect(own.port);
  const sockets = ['/splice', '/echo', '/splice'].map((path) => new StreamSocket(session, path));
  await Promise.all(sockets.map((socket) => socket.answer));
  own.signal('SIGTERM');
  for (const socket of sockets) {
    expect(readClose(await socket.frame(0))).toMatchObject({ code: 1001 });
    socket.stream.write(buildClose(1001, '', MASK));
    socket.stream.end();
    await once(socket.stream, 'close');
    expect(socket.stream.rstCode).toBe(0);
  }
  expect(await own.exited).toBe(0);
});
