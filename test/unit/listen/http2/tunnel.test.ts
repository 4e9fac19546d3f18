import http2, { type ClientHttp2Stream } from 'node:http2';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Http2Server } from '../../../../src/listen/http2/server.ts';
import { Http2Tunnel } from '../../../../src/listen/http2/tunnel.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Pair {
  readonly tunnel: Http2Tunnel;
  readonly client: ClientHttp2Stream;
  /** What the tunnel told of. */
  readonly told: string[];
  /** The stream's answer. */
  readonly answer: Promise<http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader>;
}

async function open(): Promise<Pair> {
  let opened: (tunnel: Http2Tunnel) => void = () => {};
  const tunnel = new Promise<Http2Tunnel>((resolve) => {
    opened = resolve;
  });
  const told: string[] = [];
  const events = { onOpened: () => void told.push('opened'), onReset: () => void told.push('reset') };
  const server = new Http2Server(
    {
      extendedConnect: true,
      maxStreams: 10,
      window: 65_535,
      maxHead: 32_768,
      headMs: 10_000,
      keepAliveMs: 10_000,
      silentMs: 10_000,
      closingSilentMs: 10_000,
    },
    { onStream: (stream, _head, { socket }) => opened(new Http2Tunnel(stream, socket, events)), onRefused: () => {} },
    () => {},
  );
  const listener = net.createServer((socket) => server.take(socket));
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const session = http2.connect(`http://127.0.0.1:${(listener.address() as net.AddressInfo).port}`);
  session.on('error', () => {});
  ends.push(() => {
    session.destroy();
    server.cut();
    listener.close();
  });
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  const client = session.request(
    { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/', ':scheme': 'http', ':authority': 'a' },
    { endStream: false },
  );
  client.on('error', () => {});
  const answer = new Promise<http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader>((resolve) =>
    client.once('response', resolve),
  );
  const made = await tunnel;
  made.on('error', () => {});
  return { tunnel: made, client, answer, told };
}

async function bytesOf(stream: NodeJS.ReadableStream): Promise<string> {
  const parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  await new Promise((resolve) => stream.once('end', resolve));
  return Buffer.concat(parts).toString('latin1');
}

const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\nX-A: 1\r\n';

describe('the stream of a WebSocket over HTTP/2', () => {
  it('answers 200 for 101, without what belongs to HTTP/1.1', async () => {
    const { tunnel, answer } = await open();
    tunnel.write(`${SWITCHING}\r\n`);
    const { ':status': status, date, ...fields } = await answer;
    expect(status).toBe(200);
    expect(date).toBeDefined();
    expect(Object.fromEntries(Object.entries(fields))).toEqual({ 'x-a': '1' });
  });

  it('takes the head in pieces, and what stands behind it for the WebSocket', async () => {
    const { tunnel, client, answer } = await open();
    for (const octet of SWITCHING) tunnel.write(octet);
    tunnel.write('\r\nHTTP/1.1 200 OK\r\n\r\n');
    tunnel.end();
    expect((await answer)[':status']).toBe(200);
    expect(await bytesOf(client)).toBe('HTTP/1.1 200 OK\r\n\r\n');
  });

  it('carries octets both ways, and ends each direction by itself', async () => {
    const { tunnel, client, answer } = await open();
    tunnel.write(`${SWITCHING}\r\n`);
    await answer;
    client.end('from the client');
    expect(await bytesOf(tunnel)).toBe('from the client');
    expect(tunnel.bytesRead).toBe(15);
    tunnel.end('from the server');
    expect(await bytesOf(client)).toBe('from the server');
    expect(client.rstCode).toBe(0);
  });

  it('counts what was written as a socket does', async () => {
    const { tunnel, answer } = await open();
    tunnel.write(`${SWITCHING}\r\n`);
    expect(tunnel.bytesWritten).toBe(SWITCHING.length + 2);
    await answer;
    tunnel.write('abc');
    expect(tunnel.bytesWritten).toBe(SWITCHING.length + 5);
  });

  it.each([
    ['a length', 'Content-Length: 2\r\n\r\nno'],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n1\r\nn\r\n1;x=y\r\no\r\n0\r\n\r\n'],
    ['its end', '\r\nno'],
  ])('answers a refusal whose content ends by %s', async (_name, rest) => {
    const { tunnel, client, answer } = await open();
    tunnel.end(`HTTP/1.1 403 Forbidden\r\nConnection: close\r\nX-A: 1\r\nX-A: 2\r\n${rest}`);
    expect(await answer).toMatchObject({ ':status': 403, 'x-a': '1, 2' });
    expect(await bytesOf(client)).toBe('no');
    expect(client.rstCode).toBe(0);
  });

  it.each([
    ['before an answer', null],
    ['behind the answer', `${SWITCHING}\r\nhalf`],
  ])('is reset with an error where it is cut %s', async (_name, written) => {
    const { tunnel, client, answer } = await open();
    if (written !== null) {
      tunnel.write(written);
      await answer;
    }
    const ended = { whole: false };
    client.once('end', () => {
      ended.whole = !client.aborted && client.rstCode === 0;
    });
    client.resume();
    tunnel.destroy();
    await new Promise((resolve) => client.once('close', resolve));
    expect(client.rstCode).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR);
    expect(ended.whole).toBe(false);
  });

  it('opens no WebSocket by a success that is no 101', async () => {
    const { tunnel, client, answer } = await open();
    tunnel.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    expect(await answer).toMatchObject({ ':status': 502 });
    expect(await bytesOf(client)).toBe('hi');
  });

  it.each([http2.constants.NGHTTP2_CANCEL, http2.constants.NGHTTP2_NO_ERROR])(
    'ends with ECONNRESET where the client resets it by %i',
    async (code) => {
      const { tunnel, client, answer } = await open();
      tunnel.write(`${SWITCHING}\r\n`);
      await answer;
      tunnel.resume();
      const failed = new Promise<NodeJS.ErrnoException>((resolve) => tunnel.once('error', resolve));
      client.close(code);
      expect((await failed).code).toBe('ECONNRESET');
      expect(tunnel.destroyed).toBe(true);
    },
  );

  it('tells of a 101, and of a reset before the answer, and of nothing else', async () => {
    const [accepted, refused, reset] = [await open(), await open(), await open()];
    accepted.tunnel.write(`${SWITCHING}\r\n`);
    refused.tunnel.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
    await Promise.all([accepted.answer, refused.answer]);
    for (const { client, tunnel } of [accepted, refused, reset]) {
      const closed = new Promise((resolve) => tunnel.once('close', resolve));
      tunnel.resume();
      client.close(http2.constants.NGHTTP2_CANCEL);
      await closed;
    }
    expect([accepted.told, refused.told, reset.told]).toEqual([['opened'], [], ['reset']]);
  });

  it('does not read faster than it is read', async () => {
    const { tunnel, client, answer } = await open();
    tunnel.write(`${SWITCHING}\r\n`);
    await answer;
    const part = Buffer.alloc(16_384);
    for (let i = 0; i < 64; i++) client.write(part);
    tunnel.read(0);
    await expect.poll(() => tunnel.readableLength).toBeGreaterThanOrEqual(tunnel.readableHighWaterMark);
    await new Promise((resolve) => client.session?.ping(Buffer.alloc(8), resolve));
    // The window of a stream, and what two streams of node's may hold before they say that they are full.
    expect(tunnel.bytesRead).toBeLessThanOrEqual(65_535 + 2 * 65_536);
    tunnel.resume();
    await expect.poll(() => tunnel.bytesRead).toBe(64 * 16_384);
  });

  it('says that nothing moves after as long as it is told to', async () => {
    const { tunnel, answer } = await open();
    tunnel.write(`${SWITCHING}\r\n`);
    await answer;
    await new Promise<void>((resolve) => tunnel.setTimeout(20, resolve));
    tunnel.setTimeout(0);
  });
});
