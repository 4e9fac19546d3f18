// That the suite can fail: a server that does one thing wrong is found out, by its verdict or by the inflater.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { constants, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { buildClose, buildFrame, MASK, OPCODE } from '../../support/frames.ts';
import { ACCEPT } from '../../support/raw.ts';
import { Codec, readAgreed } from './codec.ts';
import { runCase, type Verdict } from './driver.ts';
import { SIMPLEST } from './groups.ts';
import { noise } from './limits.ts';

const RIGHT = buildFrame({ payload: '*'.repeat(125) });
const CLOSE = buildClose(1000);

/** Plays one answer to whatever comes, behind a valid 101. */
async function judged(parts: readonly Buffer[], ...fields: readonly string[]): Promise<Verdict> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      const head = ['HTTP/1.1 101 x', 'Upgrade: websocket', `Sec-WebSocket-Accept: ${ACCEPT}`, ...fields, '', ''];
      socket.end(Buffer.concat([Buffer.from(head.join('\r\n')), ...parts]));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { verdict } = await runCase(SIMPLEST, { port: (server.address() as AddressInfo).port, path: '/' });
  server.close();
  return verdict;
}

describe('a server', () => {
  it('that does all right is found right', async () => {
    expect(await judged([RIGHT, CLOSE])).toEqual({ behaviour: 'OK', close: 'OK', why: '' });
  });
  it.each<[string, readonly Buffer[], Partial<Verdict>]>([
    ['another echo', [buildFrame({ payload: '+'.repeat(125) }), CLOSE], { behaviour: 'FAILED' }],
    ['another type', [buildFrame({ opcode: OPCODE.binary, payload: '*'.repeat(125) }), CLOSE], { behaviour: 'FAILED' }],
    ['two echoes', [RIGHT, RIGHT, CLOSE], { behaviour: 'FAILED' }],
    ['no echo', [CLOSE], { behaviour: 'FAILED' }],
    ['a mask', [buildFrame({ payload: '*'.repeat(125), mask: MASK }), CLOSE], { behaviour: 'FAILED' }],
    ['a reserved bit', [buildFrame({ payload: '*'.repeat(125), rsv: 4 }), CLOSE], { behaviour: 'FAILED' }],
    ['an orphan', [RIGHT, buildFrame({ opcode: OPCODE.continuation }), CLOSE], { behaviour: 'FAILED' }],
    ['something behind its Close', [RIGHT, CLOSE, CLOSE], { behaviour: 'FAILED' }],
    ['no Close', [RIGHT], { behaviour: 'OK', close: 'UNCLEAN' }],
    ['another code', [RIGHT, buildClose(1002)], { behaviour: 'OK', close: 'WRONG CODE' }],
  ])('that sends %s is found out', async (_what, parts, wrong) => {
    const verdict = await judged(parts);
    expect(verdict).toMatchObject(wrong);
    expect(verdict.why).not.toBe('');
  });
  it('that agrees on what was not offered is found out', async () => {
    const field = 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10';
    expect((await judged([RIGHT, CLOSE], field)).why).toMatch(/did not offer/);
  });
});

describe('the codec', () => {
  const agreed = (answer: string) => readAgreed(answer, 'permessage-deflate; client_max_window_bits')!;
  const pack = (payload: Buffer, windowBits: number) =>
    deflateRawSync(payload, { windowBits, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
  const far = Buffer.concat([noise('text', 2000), noise('text', 2000)]);
  it('takes what keeps to the window agreed on, and nothing that reaches further', () => {
    const codec = new Codec(agreed('permessage-deflate; server_max_window_bits=10'));
    expect(codec.inflate(pack(far, 10))).toEqual(far);
    expect(() => new Codec(agreed('permessage-deflate; server_max_window_bits=10')).inflate(pack(far, 15))).toThrow();
  });
  it('keeps a window from one message to the next only where that was agreed on', () => {
    const second = (answer: string) => {
      const codec = new Codec(agreed(answer));
      codec.compress(far);
      return codec.compress(far).length;
    };
    expect(second('permessage-deflate')).toBeLessThan(second('permessage-deflate; client_no_context_takeover') / 2);
  });
});
