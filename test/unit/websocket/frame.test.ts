// The frame that goes to many, against the parser of the tests and at every border of its length forms.
import { expect, it } from 'vitest';
import { prepareText } from '../../../src/websocket/frame.ts';
import { parseFrames } from '../../support/frames.ts';

it.each([0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000])('%i bytes', (length) => {
  const { payload, frame } = prepareText('x'.repeat(length));
  const { frames, rest } = parseFrames(frame);
  expect(frames).toHaveLength(1);
  expect(frames[0]).toMatchObject({ opcode: 1, fin: true });
  expect(frames[0]!.payload.equals(payload)).toBe(true);
  expect([payload.length, rest.length]).toEqual([length, 0]);
  // A server masks nothing (RFC 6455 §5.1), and the shortest form is used (§5.2).
  expect(frame[1]! & 0x80).toBe(0);
  expect(frame.length - length).toBe(length < 126 ? 2 : length < 65_536 ? 4 : 10);
});

it('counts bytes and not characters', () => {
  expect(prepareText('grüße 👋'.repeat(20)).payload.toString()).toBe('grüße 👋'.repeat(20));
});
