// Following fragments: what is empty, and what a message that is not whole has kept so far.
import { expect, it } from 'vitest';
import { Fragments } from '../../../../src/websocket/connection/fragments.ts';
import { buildFrame, MASK, OPCODE } from '../../../support/frames.ts';

const frame = (opcode: number, payload: string, fin = true) => buildFrame({ opcode, payload, fin, mask: MASK });

it('counts empty continuations, however the stream is cut, and nothing else', () => {
  const stream = Buffer.concat([
    frame(OPCODE.text, '', false),
    frame(OPCODE.continuation, '', false),
    frame(OPCODE.ping, ''),
    frame(OPCODE.continuation, 'x', false),
    frame(OPCODE.continuation, '', false),
    frame(OPCODE.continuation, '', true),
    frame(OPCODE.text, ''),
  ]);
  for (let cut = 1; cut < stream.length; cut++) {
    const fragments = new Fragments();
    const first = fragments.read(stream.subarray(0, cut));
    expect(first + fragments.read(stream.subarray(cut))).toBe(3);
  }
});

it('holds the chunks since the message began, pings between its fragments among them, until it is whole', () => {
  const fragments = new Fragments();
  const begin = frame(OPCODE.text, 'x', false);
  const ping = frame(OPCODE.ping, 'x'.repeat(125));
  const held = (chunk: Buffer) => {
    fragments.read(chunk);
    return { ...fragments.held };
  };
  expect(held(begin)).toEqual({ bytes: begin.length, chunks: 1, fragments: 1 });
  expect(held(ping)).toEqual({ bytes: begin.length + ping.length, chunks: 2, fragments: 1 });
  expect(held(frame(OPCODE.continuation, 'x'))).toEqual({ bytes: 0, chunks: 0, fragments: 0 });
  expect(held(ping)).toEqual({ bytes: 0, chunks: 0, fragments: 0 });
});

it('of a frame that is not whole holds what has come of it, and nothing of a message that came in one chunk', () => {
  const fragments = new Fragments();
  const whole = frame(OPCODE.binary, 'x'.repeat(1000));
  fragments.read(Buffer.concat([whole, whole.subarray(0, 300)]));
  // ws may have kept the chunk for the sake of its end.
  expect(fragments.held).toEqual({ bytes: whole.length + 300, chunks: 1, fragments: 0 });
  fragments.read(Buffer.concat([whole.subarray(300), whole]));
  expect(fragments.held).toEqual({ bytes: 0, chunks: 0, fragments: 0 });
});

it("what cannot be followed is ws's to judge", () => {
  const fragments = new Fragments();
  const broken = frame(OPCODE.ping, 'x', false);
  expect(fragments.read(broken)).toBe(0);
  expect(fragments.read(frame(OPCODE.continuation, ''))).toBe(0);
  expect(fragments.held.bytes).toBe(0);
});
