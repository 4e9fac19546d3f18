import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { beginsHttp2, PriorKnowledge } from '../../../../src/listen/http2/prior-knowledge.ts';
import { PREFACE } from '../../../support/http2-raw.ts';

describe('the preface of HTTP/2', () => {
  it('is known at its last octet, and anything else at its first', () => {
    for (let i = 0; i < PREFACE.length; i++) {
      expect(beginsHttp2(PREFACE.subarray(0, i))).toBe(null);
      const other = Buffer.from(PREFACE.subarray(0, i + 1));
      other[i]! ^= 1;
      expect(beginsHttp2(other)).toBe(false);
    }
    expect(beginsHttp2(PREFACE)).toBe(true);
    expect(beginsHttp2(Buffer.concat([PREFACE, Buffer.from('x')]))).toBe(true);
    expect(beginsHttp2(Buffer.from('GET / HTTP/1.1\r\n'))).toBe(false);
  });
});

describe('the first bytes of a connection', () => {
  const read = (socket: PassThrough): Promise<boolean> =>
    new Promise((resolve) => new PriorKnowledge().read(socket as unknown as Socket, 60_000, resolve));

  it.each([
    ['HTTP/2', Buffer.concat([PREFACE, Buffer.from('frames')]), true],
    ['HTTP/1.1', Buffer.from('PRI * HTTP/1.1\r\n\r\n'), false],
  ])('are put back, split at each octet: %s', async (_name, bytes, http2) => {
    for (let at = 0; at < bytes.length; at++) {
      const socket = new PassThrough();
      const known = read(socket);
      socket.write(bytes.subarray(0, at));
      socket.end(bytes.subarray(at));
      expect(await known).toBe(http2);
      const parts: Buffer[] = [];
      for await (const part of socket) parts.push(part as Buffer);
      expect(Buffer.concat(parts)).toEqual(bytes);
    }
  });

  it('end it where they do not come', async () => {
    const socket = new PassThrough();
    const closed = new Promise<void>((resolve) => socket.once('close', resolve));
    new PriorKnowledge().read(socket as unknown as Socket, 10, () => expect.unreachable());
    socket.write(PREFACE.subarray(0, 5));
    await closed;
  });

  it('end with all that wait', async () => {
    const socket = new PassThrough();
    const closed = new Promise<void>((resolve) => socket.once('close', resolve));
    const waiting = new PriorKnowledge();
    waiting.read(socket as unknown as Socket, 60_000, () => expect.unreachable());
    waiting.cut();
    await closed;
  });
});
