// Each row: bytes in, and how a connection of HTTP/2 answers them. What is answered by nghttp2 itself differs from one
// version of node to the next where RFC 9113 leaves it open; such rows name each outcome.
import type { ServerHttp2Stream } from 'node:http2';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Http2Reason } from '../../../../src/events/connection.ts';
import type { Http2Settings } from '../../../../src/listen/http2/connection.ts';
import { Http2Server, type StreamHandler } from '../../../../src/listen/http2/server.ts';
import {
  ACK,
  block,
  CODE,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  getFields,
  headers,
  PREFACE,
  RawHttp2,
  settings,
  uint32,
} from '../../../support/http2-raw.ts';

const SETTINGS: Http2Settings = {
  extendedConnect: false,
  maxStreams: 10,
  window: 65_536,
  maxHead: 32_768,
  headMs: 10_000,
  keepAliveMs: 10_000,
  silentMs: 10_000,
  closingSilentMs: 10_000,
};

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

type Seen = { method: string; url: string; fields: readonly string[] };

interface Started {
  readonly port: number;
  readonly http2: Http2Server;
  readonly ended: Http2Reason[];
  readonly seen: Seen[];
}

/** A server that answers each request with 204 once its content has come. */
async function start(
  changed: Partial<Http2Settings> = {},
  answer: (stream: ServerHttp2Stream) => void = (stream) => stream.respond({ ':status': 204 }, { endStream: true }),
): Promise<Started> {
  const ended: Http2Reason[] = [];
  const seen: Seen[] = [];
  const handler: StreamHandler = {
    onStream(stream, { message }, connection) {
      seen.push({ method: message.method ?? '', url: message.url ?? '', fields: message.rawHeaders });
      const state = { whole: false };
      stream.once('close', () => {
        if (!state.whole) connection.wasReset();
      });
      stream.resume().once('end', () => {
        // node says `end` for a stream that was reset, too.
        if (stream.aborted || stream.destroyed || stream.closed) return;
        state.whole = true;
        answer(stream);
      });
    },
    onRefused(stream, { status }) {
      stream.respond({ ':status': status }, { endStream: true });
    },
  };
  const http2 = new Http2Server({ ...SETTINGS, ...changed }, handler, (event) => {
    if (event.type === 'http2_session_closed') ended.push(event.reason);
  });
  const server = net.createServer((socket) => http2.take(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    http2.cut();
    server.close();
  });
  return { port: (server.address() as net.AddressInfo).port, http2, ended, seen };
}

const many = (count: number, make: (i: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));

/** Odd ids in their order. */
const id = (i: number): number => 2 * i + 1;

const HEADS: [name: string, fields: [string, string][], outcome: string][] = [
  ['a request', getFields('/'), '204'],
  ['a target without a slash', getFields('x'), `RST ${CODE.protocol}`],
  ['an empty path', getFields(''), `RST ${CODE.protocol}`],
  ['a blank in the path', getFields('/a b'), `RST ${CODE.protocol}`],
  ['an upper-case name', getFields('/', [['X-A', '1']]), `RST ${CODE.protocol}`],
  ['Connection', getFields('/', [['connection', 'close']]), `RST ${CODE.protocol}`],
  ['Transfer-Encoding', getFields('/', [['transfer-encoding', 'chunked']]), `RST ${CODE.protocol}`],
  ['Upgrade', getFields('/', [['upgrade', 'websocket']]), `RST ${CODE.protocol}`],
  ['TE other than trailers', getFields('/', [['te', 'gzip']]), `RST ${CODE.protocol}`],
  ['TE trailers', getFields('/', [['te', 'trailers']]), '204'],
  ['a pseudo-field behind a field', [...getFields('/', [['a', 'b']]), [':path', '/']], `RST ${CODE.protocol}`],
  ['an unknown pseudo-field', [[':a', 'b'], ...getFields('/')], `RST ${CODE.protocol}`],
  ['a pseudo-field of answers', [[':status', '200'], ...getFields('/')], `RST ${CODE.protocol}`],
  ['a pseudo-field twice', [[':path', '/'], ...getFields('/')], `RST ${CODE.protocol}`],
  ['no method', getFields('/').filter(([name]) => name !== ':method'), `RST ${CODE.protocol}`],
  ['no authority and no Host', getFields('/').filter(([name]) => name !== ':authority'), `RST ${CODE.protocol}`],
  ['Host that differs', getFields('/', [['host', 'other']]), '400'],
  ['another scheme', getFields('/', [], { ':scheme': 'ftp' }), '400'],
  [
    ':protocol where it was not offered',
    getFields('/', [], { ':method': 'CONNECT', ':protocol': 'websocket' }),
    `RST ${CODE.protocol}`,
  ],
  ['a negative length', getFields('/', [['content-length', '-1']]), `RST ${CODE.protocol}`],
  [
    'two lengths',
    getFields('/', [
      ['content-length', '0'],
      ['content-length', '0'],
    ]),
    `RST ${CODE.protocol}`,
  ],
  ['a length and no content', getFields('/', [['content-length', '1']]), `RST ${CODE.protocol}`],
  ['a list of fields above the limit', getFields('/', [['a', 'b'.repeat(60_000)]]), `RST ${CODE.calm}`],
];

describe('heads', () => {
  it.each(HEADS)('%s', async (_name, fields, outcome) => {
    const { port } = await start();
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(...inFrames(1, fields));
    expect(await client.outcome(1)).toBe(outcome);
    // The connection, and its next stream, are as before.
    client.write(headers(3, getFields('/next')));
    expect(await client.outcome(3)).toBe('204');
    client.socket.destroy();
  });
});

/** A head in as many frames as it needs. */
function inFrames(stream: number, fields: [string, string][]): Buffer[] {
  const bytes = block(fields);
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 16_384) {
    const last = at + 16_384 >= bytes.length;
    const [type, ends] = at === 0 ? [FRAME.headers, END_STREAM] : [FRAME.continuation, 0];
    frames.push(frame(type, ends | (last ? END_HEADERS : 0), stream, bytes.subarray(at, at + 16_384)));
  }
  return frames;
}

/** Floods: the connection ends, with one of these codes where there is one. */
const FLOODS: [name: string, bytes: () => Buffer, codes: (number | null)[]][] = [
  [
    'CONTINUATION without an end',
    () =>
      Buffer.concat([
        frame(FRAME.headers, END_STREAM, 1, block(getFields('/'))),
        many(5000, () => frame(FRAME.continuation, 0, 1)),
      ]),
    [CODE.protocol, CODE.internal, CODE.calm],
  ],
  [
    'SETTINGS of a thousand entries',
    () => settings(...Array.from({ length: 1000 }, (): [number, number] => [4, 65_535])),
    [CODE.calm],
  ],
  [
    'empty DATA',
    () =>
      Buffer.concat([
        headers(1, getFields('/', [], { ':method': 'POST' }), 0),
        many(30_000, () => frame(FRAME.data, 0, 1)),
      ]),
    [CODE.internal, CODE.protocol, CODE.calm, null],
  ],
  [
    'WINDOW_UPDATE of zero on the connection',
    () => frame(FRAME.window, 0, 0, uint32(0)),
    [CODE.protocol, CODE.internal],
  ],
  ['a window that overflows', () => frame(FRAME.window, 0, 0, uint32(0x7fffffff)), [CODE.flow, CODE.internal]],
  ['a frame larger than allowed', () => frame(FRAME.data, 0, 1, Buffer.alloc(20_000)), [CODE.protocol, 6]],
  ['DATA on stream 0', () => frame(FRAME.data, 0, 0, Buffer.alloc(1)), [CODE.protocol]],
  ['an even stream', () => headers(2, getFields('/')), [CODE.protocol, CODE.internal]],
  [
    'PUSH_PROMISE',
    () => frame(FRAME.push, END_HEADERS, 1, Buffer.concat([uint32(2), block(getFields('/'))])),
    [CODE.protocol, CODE.internal],
  ],
];

describe('floods and malformed frames', () => {
  it.each(FLOODS)('%s end the connection', async (_name, bytes, codes) => {
    // node 20 says GOAWAY and goes on reading: the time of a head ends that.
    const { port, ended } = await start({ headMs: 500 });
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(bytes());
    expect(codes).toContain(await client.ended());
    await expect.poll(() => ended).toHaveLength(1);
  });

  it.each([
    [
      'by the client',
      (i: number) =>
        Buffer.concat([
          headers(id(i), getFields('/', [], { ':method': 'POST' }), 0),
          frame(FRAME.reset, 0, id(i), uint32(CODE.cancel)),
        ]),
    ],
    [
      // Made you reset: the content is shorter than announced.
      'that the client makes node send',
      (i: number) =>
        Buffer.concat([
          headers(id(i), getFields('/', [['content-length', '5']], { ':method': 'POST' }), 0),
          frame(FRAME.data, END_STREAM, id(i), Buffer.from('abc')),
        ]),
    ],
  ])('resets %s end the connection once they are more than its budget', async (_name, one) => {
    const { port, ended, seen } = await start();
    const client = await (await RawHttp2.plain(port)).begin();
    const from = performance.now();
    // So many at a time as streams may be open.
    for (let i = 0; i < 5000 && !client.closed; i += 10) {
      client.write(many(10, (n) => one(i + n)));
      client.write(frame(FRAME.ping, 0, 0, uint32(0, i)));
      await client.next(
        ({ type, flags, payload }) => type === FRAME.ping && (flags & ACK) !== 0 && payload.readUInt32BE(4) === i,
      );
    }
    // What the client still sends may turn the end into a reset, and that takes the GOAWAY away.
    expect([CODE.calm, null]).toContain(await client.ended());
    await expect.poll(() => ended).toEqual(['resets']);
    // The burst, what a second gives, and what was under way.
    expect(seen.length).toBeLessThan(800 + 30 * Math.ceil((performance.now() - from) / 1000) + 20);
  });

  it('are tolerated where they cost nothing: PRIORITY, unknown frames, padding', async () => {
    const { port } = await start();
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(
      many(200, (i) => frame(FRAME.priority, 0, id(i), Buffer.concat([uint32(0), Buffer.from([15])]))),
      many(200, () => frame(0xbb, 0, 0, Buffer.alloc(8))),
      headers(1001, getFields('/', [], { ':method': 'POST' }), 0),
      frame(FRAME.data, 0x8 | END_STREAM, 1001, Buffer.concat([Buffer.from([9]), Buffer.alloc(9)])),
    );
    expect(await client.outcome(1001)).toBe('204');
    client.socket.destroy();
  });

  it('streams above the limit are refused, and no other', async () => {
    const { port } = await start({ maxStreams: 2 });
    const client = await (await RawHttp2.plain(port)).begin();
    const open = (i: number) => headers(id(i), getFields('/', [], { ':method': 'POST' }), 0);
    client.write(open(0), open(1));
    client.write(frame(FRAME.data, END_STREAM, 1, Buffer.alloc(1)));
    expect(await client.outcome(1)).toBe('204');
    client.write(frame(FRAME.data, END_STREAM, 3, Buffer.alloc(1)));
    expect(await client.outcome(3)).toBe('204');
    client.socket.destroy();
  });
});

describe('the life of a connection', () => {
  it('says what it allows', async () => {
    const { port } = await start({ extendedConnect: true, maxStreams: 7, window: 100_000 });
    const client = await (await RawHttp2.plain(port)).begin();
    const [first] = client.frames.filter(({ type, flags }) => type === FRAME.settings && (flags & ACK) === 0);
    const pairs = new Map<number, number>();
    for (let at = 0; at < (first?.payload.length ?? 0); at += 6)
      pairs.set(first!.payload.readUInt16BE(at), first!.payload.readUInt32BE(at + 2));
    expect(Object.fromEntries(pairs)).toMatchObject({ 3: 7, 4: 100_000, 6: 32_768, 8: 1 });
    client.socket.destroy();
  });

  it.each([
    ['nothing at all', () => Buffer.alloc(0)],
    ['half a preface', () => PREFACE.subarray(0, 10)],
    [
      'a head without an end',
      () => Buffer.concat([PREFACE, settings(), frame(FRAME.headers, 0, 1, block(getFields('/')))]),
    ],
  ])('ends for a client that sends %s within the time of a head', async (_name, bytes) => {
    const { port, ended } = await start({ headMs: 200 });
    const client = await RawHttp2.plain(port);
    client.write(bytes());
    await client.ended();
    await expect.poll(() => ended).toEqual(['idle']);
  });

  it('ends without a stream for longer than keep_alive, by GOAWAY', async () => {
    const { port, ended } = await start({ keepAliveMs: 200 });
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(headers(1, getFields('/')));
    expect(await client.outcome(1)).toBe('204');
    expect(await client.ended()).toBe(CODE.none);
    await expect.poll(() => ended).toEqual(['idle']);
  });

  it('does not end with a quiet stream', async () => {
    const { port, ended } = await start({ headMs: 100, keepAliveMs: 100 }, () => {});
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(headers(1, getFields('/')));
    const other = await (await RawHttp2.plain(port)).begin();
    expect(await other.ended()).toBe(CODE.none);
    await expect.poll(() => ended).toEqual(['idle']);
    expect(client.closed).toBe(false);
    client.socket.destroy();
  });

  it.each([
    ['answers no PING', Buffer.alloc(0)],
    // nghttp2 gives the session up at a frame of a wrong size, and node reads it no further.
    ['was given up', frame(FRAME.ping, 0, 0, Buffer.alloc(7))],
  ])('ends with its streams where nothing moves and the client %s', async (_name, bytes) => {
    const { port, ended, http2 } = await start({ headMs: 100, silentMs: 200 }, () => {});
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(headers(1, getFields('/')));
    await expect.poll(() => http2.count()).toEqual({ connections: 1, streams: 1 });
    client.write(bytes);
    await client.ended();
    await expect.poll(() => http2.count()).toEqual({ connections: 0, streams: 0 });
    expect(ended).toEqual([expect.stringMatching(/^(silent|closed)$/)]);
  });

  it.each([
    // nghttp2 gives the session up, and node, where it is closing, does not end it.
    [
      'is given up while it closes',
      Buffer.concat([frame(FRAME.goaway, 0, 0, uint32(0, 0)), frame(FRAME.ping, 0, 0, Buffer.alloc(7))]),
    ],
    ['answers no PING while it closes', frame(FRAME.goaway, 0, 0, uint32(0, 0))],
  ])('a client that %s is not waited for as long as others', async (_name, bytes) => {
    const { port, ended, http2 } = await start({ headMs: 100, silentMs: 60_000, closingSilentMs: 100 }, () => {});
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(headers(1, getFields('/')));
    await expect.poll(() => http2.count()).toEqual({ connections: 1, streams: 1 });
    client.write(bytes);
    await client.ended();
    await expect.poll(() => ended).toEqual([expect.stringMatching(/^(silent|closed)$/)]);
  });

  it('a drain does not wait for a client that answers no PING', async () => {
    const { port, ended, http2 } = await start({ headMs: 100, silentMs: 60_000, closingSilentMs: 100 }, () => {});
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(headers(1, getFields('/')));
    await expect.poll(() => http2.count()).toEqual({ connections: 1, streams: 1 });
    http2.close();
    await client.ended();
    await expect.poll(() => ended).toEqual(['silent']);
  });

  it('does not end with a quiet stream while its client answers PINGs', async () => {
    const { port, ended, http2 } = await start({ headMs: 100, silentMs: 100 }, () => {});
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(headers(1, getFields('/')));
    for (let asked = 0, seen = 0; asked < 3; seen++) {
      const ping = await client.next((one) => one.type === FRAME.ping && client.frames.indexOf(one) >= seen);
      expect(ping).not.toBeNull();
      seen = client.frames.indexOf(ping!);
      client.write(frame(FRAME.ping, ACK, 0, ping!.payload));
      asked++;
    }
    expect(http2.count()).toEqual({ connections: 1, streams: 1 });
    expect(ended).toEqual([]);
    client.socket.destroy();
  });

  it('closes in order: what is under way is answered, then it ends', async () => {
    const { port, http2, ended } = await start();
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(headers(1, getFields('/', [], { ':method': 'POST' }), 0));
    await expect.poll(() => http2.count()).toEqual({ connections: 1, streams: 1 });
    http2.close();
    await client.next(({ type }) => type === FRAME.goaway);
    client.write(frame(FRAME.data, END_STREAM, 1, Buffer.alloc(1)));
    expect(await client.next(({ type, stream }) => type === FRAME.headers && stream === 1)).not.toBeNull();
    expect(await client.ended()).toBe(CODE.none);
    await expect.poll(() => ended).toEqual(['drain']);
  });

  it('closes the ones without a stream alone', async () => {
    const { port, http2 } = await start({}, () => {});
    const busy = await (await RawHttp2.plain(port)).begin();
    busy.write(headers(1, getFields('/')));
    const idle = await (await RawHttp2.plain(port)).begin();
    await expect.poll(() => http2.count()).toEqual({ connections: 2, streams: 1 });
    http2.closeIdle();
    expect(await idle.ended()).toBe(CODE.none);
    expect(busy.closed).toBe(false);
    busy.socket.destroy();
  });

  it('is told what a reload changes, as far as that may change', async () => {
    const { port, http2 } = await start({ maxStreams: 10 });
    const client = await (await RawHttp2.plain(port)).begin();
    const told = () => {
      const pairs: [number, number][] = [];
      for (const { type, flags, payload } of client.frames.slice(known)) {
        if (type !== FRAME.settings || (flags & ACK) !== 0) continue;
        for (let at = 0; at < payload.length; at += 6)
          pairs.push([payload.readUInt16BE(at), payload.readUInt32BE(at + 2)]);
      }
      return Object.fromEntries(pairs);
    };
    const known = client.frames.length;
    http2.update({ ...SETTINGS, extendedConnect: true, maxStreams: 20, window: 100_000, maxHead: 40_000 });
    await expect.poll(told).toEqual({ 3: 20, 4: 100_000, 6: 40_000, 8: 1 });
    http2.update({ ...SETTINGS, extendedConnect: false, maxStreams: 5, window: 70_000, maxHead: 40_000 });
    client.write(headers(1, getFields('/')));
    expect(await client.outcome(1)).toBe('204');
    expect(told()).toEqual({ 3: 20, 4: 100_000, 6: 40_000, 8: 1 });
    client.socket.destroy();
  });

  it('raises its limit of streams for WebSockets', async () => {
    const opened: (() => void)[] = [];
    const handler: StreamHandler = {
      onStream(stream, { websocket }, connection) {
        if (websocket) opened.push(connection.webSocketOpened());
        stream.respond({ ':status': 200 }, { endStream: !websocket });
      },
      onRefused: () => {},
    };
    const http2 = new Http2Server({ ...SETTINGS, extendedConnect: true, maxStreams: 4 }, handler, () => {});
    const server = net.createServer((socket) => http2.take(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ends.push(() => {
      http2.cut();
      server.close();
    });
    const client = await (await RawHttp2.plain((server.address() as net.AddressInfo).port)).begin();
    client.write(headers(1, getFields('/', [], { ':method': 'CONNECT', ':protocol': 'websocket' }), 0));
    expect(await client.outcome(1)).toBe('200');
    const raised = await client.next(
      ({ type, flags, payload }) => type === FRAME.settings && flags === 0 && payload.length === 6,
    );
    expect(raised?.payload.readUInt32BE(2)).toBe(36);
    client.socket.destroy();
  });

  it('survives a reset of the connection at any moment', async () => {
    const { port, ended } = await start();
    for (let i = 0; i < 20; i++) {
      const client = await RawHttp2.plain(port);
      client.write(PREFACE, settings(), headers(1, getFields('/')));
      client.socket.resetAndDestroy();
    }
    await expect.poll(() => ended.length).toBe(20);
  });
});
