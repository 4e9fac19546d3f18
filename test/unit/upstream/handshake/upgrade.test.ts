// Reading a server's answer to a handshake: the same at every split of its bytes, and nothing left of a connection whose
// answer is not taken. What the answer means is tested in handshake/accept.test.ts.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LARGEST_ANSWER_HEAD } from '../../../../src/http/answer.ts';
import { AnswerReader } from '../../../../src/http/answer-reader.ts';
import { ClientClosed } from '../../../../src/net/client-closed.ts';
import type { Endpoint } from '../../../../src/net/endpoint.ts';
import { requestUpgrade } from '../../../../src/upstream/handshake/upgrade.ts';

type Read = ReturnType<AnswerReader['take']>;

/** What a reader says of these pieces, and how many of them it needed. */
function read(...pieces: readonly (string | Buffer)[]): { read: Read; pieces: number } {
  const reader = new AnswerReader();
  for (const [i, piece] of pieces.entries()) {
    const found = reader.take(Buffer.isBuffer(piece) ? piece : Buffer.from(piece, 'latin1'));
    if (found !== null) return { read: found, pieces: i + 1 };
  }
  return { read: null, pieces: pieces.length };
}

const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n';
const EARLY = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';

describe('an answer', () => {
  it.each([
    ['alone', SWITCHING, 101, ''],
    ['with bytes behind it', `${SWITCHING}\x81\x05hello`, 101, '\x81\x05hello'],
    ['behind interim ones', `${EARLY}${SWITCHING}\r\n\r\n`, 101, '\r\n\r\n'],
    ['that says no', 'HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno', 403, 'no'],
    ['without fields', 'HTTP/1.0 200\r\n\r\n\r\n\r\n', 200, '\r\n\r\n'],
  ])('%s is the same at every split', (_, text, status, rest) => {
    for (let at = 0; at <= text.length; at++) {
      const { read: found } = read(text.slice(0, at), text.slice(at));
      if (found === null || 'fault' in found) throw new Error(`nothing was read, split at ${at}`);
      expect(found.head.status).toBe(status);
      // What a later piece brings is read by whoever takes the socket; the reader gives what came with the head.
      const whole = at >= text.length - rest.length && at < text.length ? text.slice(0, at) : text;
      expect(found.rest.toString('latin1')).toBe(whole.slice(text.length - rest.length));
    }
  });

  it('octet by octet has nothing behind its head, and is there with its last octet', () => {
    const { read: found, pieces } = read(...`${EARLY}${SWITCHING}`);
    expect(found).toMatchObject({ head: { status: 101, fields: ['Upgrade', 'websocket'] } });
    expect(found).toHaveProperty('rest.length', 0);
    expect(pieces).toBe(EARLY.length + SWITCHING.length);
  });

  it('is awaited as long as its head is not whole', () => {
    expect(read(SWITCHING.slice(0, -1)).read).toBeNull();
    expect(read(EARLY).read).toBeNull();
    expect(read('').read).toBeNull();
  });

  it.each(['SSH-2.0-x\r\n\r\n', 'HTTP/1.1 101 x\r\nA : b\r\n\r\n', `HTTP/1.1 100 x\r\n\r\nHTTP/2 200\r\n\r\n`])(
    '%j is a fault at every split',
    (text) => {
      for (let at = 0; at <= text.length; at++) {
        expect(read(text.slice(0, at), text.slice(at)).read).toHaveProperty('fault');
      }
    },
  );
});

describe('the size of a head', () => {
  const FRAME = 'HTTP/1.1 101 x\r\nX: \r\n\r\n'.length - 4;
  const headOf = (octets: number) => `HTTP/1.1 101 x\r\nX: ${'a'.repeat(octets - FRAME)}\r\n\r\n`;

  it('may be 64 KiB and no more, at once or in pieces', () => {
    for (const size of [LARGEST_ANSWER_HEAD, LARGEST_ANSWER_HEAD + 1]) {
      const text = headOf(size);
      expect(text.length).toBe(size + 4);
      const expected = size === LARGEST_ANSWER_HEAD ? 'head' : 'fault';
      expect(read(text).read).toHaveProperty(expected);
      expect(read(text.slice(0, 40_000), text.slice(40_000)).read).toHaveProperty(expected);
      expect(read(text.slice(0, -1), '\n').read).toHaveProperty(expected);
    }
  });

  it('is refused before its end where it has none', () => {
    const endless = read(`HTTP/1.1 101 x\r\nX: `, ...Array.from({ length: 80 }, () => 'a'.repeat(1024)));
    expect(endless.read).toEqual({ fault: 'the head of the answer is too large' });
    expect(endless.pieces).toBe(65);
  });

  it('counts interim answers', () => {
    const interim = `HTTP/1.1 103 x\r\nX: ${'a'.repeat(30_000)}\r\n\r\n`;
    expect(read(`${interim}${interim}${SWITCHING}`).read).toHaveProperty('head');
    expect(read(`${interim}${interim}${interim}${SWITCHING}`).read).toHaveProperty('fault');
    expect(read(interim, interim, interim, SWITCHING).read).toHaveProperty('fault');
  });

  it('does not count what stands behind it', () => {
    const { read: found } = read(`${SWITCHING}${'x'.repeat(2 * LARGEST_ANSWER_HEAD)}`);
    expect(found).toHaveProperty('rest.length', 2 * LARGEST_ANSWER_HEAD);
  });
});

describe('a handshake with a server', () => {
  const HANDSHAKE = 'GET /ws HTTP/1.1\r\nHost: a\r\n\r\n';
  const timeouts = { connect: 2000, handshake: 2000 };
  let listening: NetServer;
  let server: Endpoint;
  const accepted: Socket[] = [];

  beforeEach(async () => {
    listening = createServer({ allowHalfOpen: true }, (socket) => accepted.push(socket.on('error', () => {})));
    await once(listening.listen(0, '127.0.0.1'), 'listening');
    const { port } = listening.address() as AddressInfo;
    server = { url: `ws://127.0.0.1:${port}`, secure: false, host: '127.0.0.1', port };
  });
  afterEach(() => {
    for (const socket of accepted.splice(0)) socket.destroy();
    listening.close();
  });

  /** Starts one; the peer is the server's end, with the handshake read. */
  async function ask(gone: ClientClosed = new ClientClosed(), limits = timeouts) {
    const connection = once(listening, 'connection') as Promise<[Socket]>;
    const outcome = requestUpgrade(server, {
      preamble: null,
      handshake: HANDSHAKE,
      timeouts: limits,
      clientClosed: gone,
    });
    // Each test looks at it later.
    outcome.catch(() => {});
    const [peer] = await connection;
    const [head] = (await once(peer, 'data')) as [Buffer];
    return { outcome, peer, head: head.toString('latin1') };
  }

  it('sends it as it is, and gives head, rest and a socket that waits', async () => {
    const { outcome, peer, head } = await ask();
    expect(head).toBe(HANDSHAKE);
    peer.write(`${EARLY}${SWITCHING}first`);
    const answer = await outcome;
    expect(answer.head.status).toBe(101);
    expect(answer.rest.toString()).toBe('first');
    expect(answer.connectMs).toBeGreaterThanOrEqual(0);
    expect(answer.socket.isPaused()).toBe(true);
    const data = once(answer.socket, 'data');
    peer.write('second');
    answer.socket.resume();
    expect(String((await data)[0])).toBe('second');
    answer.socket.destroy();
  });

  it('takes an answer that ends with its connection', async () => {
    const { outcome, peer } = await ask();
    peer.end('HTTP/1.1 403 No\r\n\r\nno');
    const answer = await outcome;
    expect(answer.head.status).toBe(403);
    answer.socket.destroy();
  });

  it.each([
    ['no HTTP', 'bad_accept', (peer: Socket) => void peer.write('SSH-2.0-x\r\n\r\n')],
    ['an end before the answer', 'backend_refused', (peer: Socket) => void peer.end('HTTP/1.1 101')],
    ['a reset', 'backend_refused', (peer: Socket) => void peer.resetAndDestroy()],
  ])('%s is %s, and the connection is gone', async (_, code, act) => {
    const { outcome, peer } = await ask();
    const closed = once(peer, 'close');
    act(peer);
    await expect(outcome).rejects.toMatchObject({ name: 'GatewayError', code });
    peer.resume();
    if (!peer.writableEnded) peer.end();
    await closed;
  });

  it('a server that says nothing is backend_timeout, and its connection ends', async () => {
    const { outcome, peer } = await ask(undefined, { ...timeouts, handshake: 30 });
    const ended = once(peer.resume(), 'end');
    await expect(outcome).rejects.toMatchObject({ code: 'backend_timeout' });
    await ended;
  });

  it('a client that leaves meanwhile is client_gone, and the connection ends', async () => {
    const gone = new ClientClosed();
    const { outcome, peer } = await ask(gone);
    const ended = once(peer.resume(), 'end');
    gone.notify();
    await expect(outcome).rejects.toMatchObject({ code: 'client_gone' });
    await ended;
  });
});
