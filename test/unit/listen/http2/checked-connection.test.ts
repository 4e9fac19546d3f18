// Sequences of frames that end a process whose nghttp2 is before 1.68.1 (CVE-2026-27135), or that come near: each ends its own
// connection, and the server serves on.
import net from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { CheckedConnection } from '../../../../src/listen/http2/checked-connection.ts';
import type { Http2Settings } from '../../../../src/listen/http2/connection.ts';
import { Http2Server, type StreamHandler } from '../../../../src/listen/http2/server.ts';
import { begin, goaway, request, SEQUENCES, upload, wrongPing, zeros } from '../../../support/http2-malformed.ts';
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  getFields,
  headers,
  RawHttp2,
  settings,
} from '../../../support/http2-raw.ts';

const SETTINGS: Http2Settings = {
  extendedConnect: false,
  maxStreams: 10,
  window: 65_536,
  maxHead: 32_768,
  headMs: 60_000,
  keepAliveMs: 60_000,
  silentMs: 60_000,
  closingSilentMs: 60_000,
};

const HANDLER: StreamHandler = {
  onStream(stream, { message: { method } }) {
    // A POST is never answered: its stream stays.
    stream.resume();
    if (method === 'GET') stream.respond({ ':status': 204 }, { endStream: true });
  },
  onRefused: () => {},
};

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function start(): Promise<{ port: number; http2: Http2Server }> {
  const http2 = new Http2Server(SETTINGS, HANDLER, () => {}, '1.61.0');
  const server = net.createServer({ allowHalfOpen: true }, (socket) => http2.take(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    http2.cut();
    server.close();
  });
  return { port: (server.address() as net.AddressInfo).port, http2 };
}

describe('a connection that sends', () => {
  it.each(SEQUENCES)('%s is ended alone, in one piece and octet by octet', async (_name, frames) => {
    const { port, http2 } = await start();
    const bytes = Buffer.concat([begin, ...frames]);
    const whole = await RawHttp2.plain(port);
    whole.write(bytes);
    await whole.ended();
    const apart = await RawHttp2.plain(port);
    apart.socket.setNoDelay();
    for (const octet of bytes) {
      apart.write(Buffer.from([octet]));
      await new Promise(setImmediate);
    }
    await apart.ended();
    await expect.poll(() => http2.count()).toEqual({ connections: 0, streams: 0 });
    const other = await (await RawHttp2.plain(port)).begin();
    other.write(request);
    expect(await other.outcome(1)).toBe('204');
    other.socket.destroy();
  });

  it.each([
    ['FRAME_SIZE_ERROR', 6, wrongPing],
    ['PROTOCOL_ERROR', 1, frame(FRAME.ping, 0, 1, zeros(8))],
  ])('a malformed frame is told by GOAWAY %s', async (_name, code, malformed) => {
    const { port } = await start();
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(upload, malformed, request);
    expect(await client.ended()).toBe(code);
    expect(client.frames.filter(({ type }) => type === FRAME.goaway)).toHaveLength(1);
  });

  it('a malformed frame with its first ones is told so too, while node writes its SETTINGS', async () => {
    const { port } = await start();
    const client = await RawHttp2.plain(port);
    client.write(Buffer.concat([begin, wrongPing]));
    expect(await client.ended()).toBe(6);
  });

  it('many small frames at once has them read some a turn, whole and in their order', async () => {
    const socket = new PassThrough();
    const checked = new CheckedConnection(socket as unknown as net.Socket);
    checked.session = { over: false, malformed: () => expect.unreachable(), gaveUp: () => expect.unreachable() };
    const read: Buffer[] = [];
    checked.on('data', (part: Buffer) => void read.push(part));
    const bytes = Buffer.concat([begin, ...Array.from({ length: 200 }, () => frame(FRAME.ping, 0, 0, zeros(8)))]);
    const lengths: number[] = [];
    socket.write(bytes);
    for (let length = -1; length < bytes.length && lengths.length < 20; ) {
      await new Promise(setImmediate);
      length = Buffer.concat(read).length;
      if (length !== lengths.at(-1)) lengths.push(length);
    }
    const steps = lengths.map((length, i) => length - (lengths[i - 1] ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(64 * 17 + begin.length);
    expect(Buffer.concat(read)).toEqual(bytes);
    checked.destroy();
  });

  it.each([
    ['DATA of a stream that is over', 5, frame(FRAME.data, END_STREAM, 1, zeros(1))],
    ['a head that is none', 9, frame(FRAME.headers, END_HEADERS | END_STREAM, 3, Buffer.alloc(5, 0xff))],
    ['SETTINGS of a thousand entries', 11, settings(...Array.from({ length: 1000 }, (): [number, number] => [3, 100]))],
  ])('%s, which nghttp2 ends by GOAWAY, is ended at once with its streams', async (_name, code, frames) => {
    const { port, http2 } = await start();
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(headers(1, getFields('/', [], { ':method': 'PUT' })));
    await expect.poll(() => http2.count()).toEqual({ connections: 1, streams: 1 });
    client.write(frames);
    expect(await client.ended()).toBe(code);
    expect(client.frames.filter(({ type }) => type === FRAME.goaway)).toHaveLength(1);
    await expect.poll(() => http2.count()).toEqual({ connections: 0, streams: 0 });
  });

  it('GOAWAY still gets the answers that are under way', async () => {
    const { port } = await start();
    const client = await (await RawHttp2.plain(port)).begin();
    client.write(Buffer.concat([request, goaway(0)]));
    expect(await client.next(({ type, stream }) => type === FRAME.headers && stream === 1)).not.toBeNull();
    expect(await client.ended()).toBe(0);
  });
});
