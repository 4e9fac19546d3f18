// HTTP engines: a client that leaves, or stops reading, in every state of every kind of answer. The exchange ends, the
// server's connection is given up, and the engine goes on serving others.
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { settled } from '../support/quiet.ts';
import type { Stages } from './http-engine.suite.ts';

const PART = Buffer.alloc(64 * 1024, 'x');
const PARTS = 400;
const CHUNK = Buffer.concat([Buffer.from(`${PART.length.toString(16)}\r\n`), PART, Buffer.from('\r\n')]);

const FRAMINGS = [
  ['of known length', `HTTP/1.1 200 OK\r\nContent-Length: ${PART.length * PARTS}\r\n`, PART],
  ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n', CHUNK],
  ['until close', 'HTTP/1.1 200 OK\r\n', PART],
  ['of HTTP/1.0 until close', 'HTTP/1.0 200 OK\r\n', PART],
  ['of HTTP/1.0 with a length', `HTTP/1.0 200 OK\r\nContent-Length: ${PART.length * PARTS}\r\n`, PART],
] as const;
const CONNECTIONS = ['', 'Connection: close\r\n', 'Connection: keep-alive\r\n'];
/** `paused`: the client does not read, and the gateway has stopped taking the answer; `flowing`: all that came has been read. */
const STATES = ['paused', 'flowing'] as const;
const WAYS = ['FIN', 'RST', 'unread for too long'] as const;

export function describeLeaving(stages: Stages): void {
  const cases = FRAMINGS.flatMap(([framing, head, part]) =>
    CONNECTIONS.flatMap((connection) =>
      STATES.flatMap((state) => WAYS.map((way) => ({ framing, head, part, connection, state, way }))),
    ),
  ).filter(({ state, way }) => state === 'paused' || way !== 'unread for too long');

  it.each(cases)('$way, $state, an answer $framing, $connection', async ({ head, part, connection, state, way }) => {
    const unread = way === 'unread for too long';
    const stage = await stages.set({ timeouts: { idle: unread ? 150 : 10_000 } });
    const { peer, client } = await stage.ask('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    peer.socket.write(`${head}${connection}\r\n`);
    await client.until('\r\n\r\n');
    if (state === 'paused') {
      client.socket.pause();
      for (let i = 0; i < PARTS; i++) peer.socket.write(part);
      // Its connections are full: the gateway reads on no more.
      if (!unread) await settled(() => peer.socket.writableLength, 50);
    } else {
      const before = client.received().length;
      peer.socket.write(part);
      await client.until((bytes) => bytes.length >= before + PART.length);
    }
    if (way === 'FIN') client.socket.destroy();
    if (way === 'RST') client.reset();
    expect(await stage.front.ending()).toMatchObject({ code: 'client_gone' });
    await peer.closed();
    const other = await stage.client();
    other.write('GET /next HTTP/1.1\r\nHost: a\r\n\r\n');
    const next = await stage.backend.next();
    next.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    await other.until('\r\n\r\nok');
  });

  it('a client that reads on after a pause gets all of an answer whose server closes behind it', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    client.socket.pause();
    peer.socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${PART.length * PARTS}\r\n\r\n`);
    for (let i = 0; i < PARTS; i++) peer.socket.write(part(i));
    peer.socket.end();
    await settled(() => peer.socket.writableLength, 50);
    client.socket.resume();
    let length = 0;
    client.socket.on('data', (bytes: Buffer) => {
      length += bytes.length;
    });
    while (length < PART.length * PARTS) await once(client.socket, 'data');
    expect((await stage.front.ending()).code).toBe('answered');
  });
}

const part = (i: number): Buffer => Buffer.alloc(PART.length, i % 256);
