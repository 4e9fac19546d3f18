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
    const first = fragments.read(stream.subarray(0, cut)).empty;
    expect(first + fragments.read(stream.subarray(cut)).empty).toBe(3);
  }
});

it('holds the chunks since the message began, pings between its fragments among them, until it is whole', () => {
  const fragments = new Fragments();
  const begin = frame(OPCODE.text, 'x', false);
  const ping = frame(OPCODE.ping, 'x'.repeat(125));
  expect(fragments.read(begin).held).toBe(begin.length);
  expect(fragments.read(ping).held).toBe(begin.length + ping.length);
  expect(fragments.read(frame(OPCODE.continuation, 'x')).held).toBe(0);
  expect(fragments.read(ping).held).toBe(0);
});

it("what cannot be followed is ws's to judge", () => {
  const fragments = new Fragments();
  const broken = frame(OPCODE.ping, 'x', false);
  expect(fragments.read(broken)).toEqual({ empty: 0, held: 0 });
  expect(fragments.read(frame(OPCODE.continuation, ''))).toEqual({ empty: 0, held: 0 });
});
