// Each row: the frames of a client behind its preface, and the error code that they earn; null where they are well formed.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readsOnBehindErrors } from '../../../../src/listen/http2/checked-connection.ts';
import { FRAME_SIZE_ERROR, FrameCheck, PROTOCOL_ERROR } from '../../../../src/listen/http2/frame-check.ts';
import { always } from '../../../support/arbitraries.ts';
import { request, zeros } from '../../../support/http2-malformed.ts';
import { ACK, END_HEADERS, END_STREAM, FRAME, frame, PREFACE, settings } from '../../../support/http2-raw.ts';
import { faultOf } from '../../../support/linear.ts';

const PADDED = 0x8;
const PRIORITY = 0x20;
const octets = (...values: number[]): Buffer => Buffer.from(values);
const first = settings();

/** Reads `bytes` in these parts: the fault, and how many octets came before it. */
function check(...parts: Uint8Array[]): { fault: number | null; passed: number; ends: number[] } {
  const reader = new FrameCheck();
  const ends: number[] = [];
  let passed = 0;
  let offset = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length; ) {
      const end = reader.next(part, at);
      if (reader.fault !== null) return { fault: reader.fault, passed, ends };
      passed += end - at;
      at = end;
      ends.push(offset + end);
    }
    offset += part.length;
  }
  return { fault: null, passed, ends };
}

const WELL_FORMED: [name: string, frames: Buffer[]][] = [
  ['SETTINGS alone', [first]],
  ['SETTINGS with entries, and one acknowledged', [settings([4, 100], [3, 1]), frame(FRAME.settings, ACK, 0)]],
  ['a request', [first, request]],
  ['a head in CONTINUATIONs', [first, frame(1, 0, 1, zeros(3)), frame(9, 0, 1), frame(9, END_HEADERS, 1, zeros(9))]],
  ['HEADERS of nothing but a priority', [first, frame(1, END_HEADERS | PRIORITY, 1, zeros(5))]],
  ['HEADERS of nothing but padding', [first, frame(1, END_HEADERS | PADDED, 1, octets(2, 0, 0))]],
  ['padding behind a priority', [first, frame(1, END_HEADERS | PADDED | PRIORITY, 1, octets(1, 0, 0, 0, 0, 0, 0))]],
  ['DATA of nothing', [first, frame(0, END_STREAM, 1)]],
  ['DATA of nothing but padding', [first, frame(0, PADDED, 1, octets(3, 0, 0, 0))]],
  ['DATA as long as may be', [first, frame(0, 0, 1, zeros(16_384))]],
  [
    'PRIORITY, RST_STREAM, PING, WINDOW_UPDATE',
    [
      first,
      ...[2, 3].map((type) => frame(type, 0, 1, zeros(type === 2 ? 5 : 4))),
      frame(6, 0, 0, zeros(8)),
      frame(8, 0, 0, zeros(4)),
    ],
  ],
  ['GOAWAY, with words in it', [first, frame(7, 0, 0, zeros(8)), frame(7, 0, 0, zeros(30))]],
  ['types that nobody knows', [first, frame(10, 0xff, 1, zeros(3)), frame(0xbb, 0, 0)]],
  ['a reserved bit', [first, frame(6, 0, 0x80000000, zeros(8))]],
];

const MALFORMED: [name: string, frames: Buffer[], fault: number][] = [
  ['no SETTINGS first', [request], PROTOCOL_ERROR],
  ['an acknowledgement first', [frame(4, ACK, 0)], PROTOCOL_ERROR],
  ['a frame too long', [first, frame(0, 0, 1, zeros(16_385))], FRAME_SIZE_ERROR],
  ['an unknown one too long', [first, frame(99, 0, 1, zeros(16_385))], FRAME_SIZE_ERROR],
  ['PRIORITY of 4', [first, frame(2, 0, 1, zeros(4))], FRAME_SIZE_ERROR],
  ['RST_STREAM of 5', [first, frame(3, 0, 1, zeros(5))], FRAME_SIZE_ERROR],
  ['SETTINGS of 5', [first, frame(4, 0, 0, zeros(5))], FRAME_SIZE_ERROR],
  ['an acknowledgement that holds settings', [first, frame(4, ACK, 0, zeros(6))], FRAME_SIZE_ERROR],
  ['PING of 7', [first, frame(6, 0, 0, zeros(7))], FRAME_SIZE_ERROR],
  ['PING of nothing', [first, frame(6, 0, 0)], FRAME_SIZE_ERROR],
  ['GOAWAY of 7', [first, frame(7, 0, 0, zeros(7))], FRAME_SIZE_ERROR],
  ['WINDOW_UPDATE of 3', [first, frame(8, 0, 0, zeros(3))], FRAME_SIZE_ERROR],
  ['a priority of 4 in HEADERS', [first, frame(1, END_HEADERS | PRIORITY, 1, zeros(4))], FRAME_SIZE_ERROR],
  ['a priority and padding of 5', [first, frame(1, END_HEADERS | PADDED | PRIORITY, 1, zeros(5))], FRAME_SIZE_ERROR],
  ['padded HEADERS of nothing', [first, frame(1, END_HEADERS | PADDED, 1)], FRAME_SIZE_ERROR],
  ['padded DATA of nothing', [first, frame(0, PADDED, 1)], FRAME_SIZE_ERROR],
  ['more padding than DATA', [first, frame(0, PADDED, 1, octets(3, 0, 0))], PROTOCOL_ERROR],
  ['more padding than HEADERS', [first, frame(1, PADDED, 1, octets(1))], PROTOCOL_ERROR],
  ['padding over a priority', [first, frame(1, PADDED | PRIORITY, 1, octets(1, 0, 0, 0, 0, 0))], PROTOCOL_ERROR],
  ['PUSH_PROMISE', [first, frame(5, END_HEADERS, 1, zeros(4))], PROTOCOL_ERROR],
  ['CONTINUATION of no head', [first, frame(9, END_HEADERS, 1)], PROTOCOL_ERROR],
  ['CONTINUATION behind the end of a head', [first, request, frame(9, END_HEADERS, 1)], PROTOCOL_ERROR],
  ['CONTINUATION of another stream', [first, frame(1, 0, 1), frame(9, END_HEADERS, 3)], PROTOCOL_ERROR],
  ['a PING within a head', [first, frame(1, 0, 1), frame(6, 0, 0, zeros(8))], PROTOCOL_ERROR],
  ['an unknown frame within a head', [first, frame(1, 0, 1), frame(99, 0, 0)], PROTOCOL_ERROR],
  ...[0, 1, 2, 3].map((type): [string, Buffer[], number] => [
    `type ${type} without a stream`,
    [first, frame(type, 0, 0, zeros(type === 2 ? 5 : 4))],
    PROTOCOL_ERROR,
  ]),
  ['SETTINGS of a stream', [first, frame(4, 0, 1)], PROTOCOL_ERROR],
  ['PING of a stream', [first, frame(6, 0, 1, zeros(8))], PROTOCOL_ERROR],
  ['GOAWAY of a stream', [first, frame(7, 0, 1, zeros(8))], PROTOCOL_ERROR],
];

describe('frames', () => {
  it.each(WELL_FORMED)('pass: %s', (_name, frames) => {
    const lengths = [PREFACE, ...frames].map(({ length }) => length);
    const ends = lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b));
    expect(check(Buffer.concat([PREFACE, ...frames]))).toEqual({ fault: null, passed: ends.at(-1), ends });
  });

  it.each(MALFORMED)('do not pass: %s', (_name, frames, fault) => {
    const sound = Buffer.concat([PREFACE, ...frames.slice(0, -1)]);
    const whole = Buffer.concat([PREFACE, ...frames]);
    expect(check(whole, request)).toMatchObject({ fault, passed: sound.length });
    // One octet at a time no more than the head passes, but for its last octet, or what stands before the padding.
    const apart = check(...[...whole].map((octet) => octets(octet)));
    expect(apart).toMatchObject({ fault });
    expect(apart.passed).toBeGreaterThanOrEqual(sound.length);
    expect(apart.passed).toBeLessThanOrEqual(sound.length + 9);
  });

  const frames = fc.array(
    fc
      .tuple(fc.nat(12), fc.nat(255), fc.nat(3), fc.uint8Array({ maxLength: 12 }))
      .map(([type, flags, stream, payload]) => frame(type, flags, stream, Buffer.from(payload))),
    { maxLength: 8 },
  );

  it('are judged the same in any parts, none but whole ones pass, and nothing behind a fault', () => {
    always(fc.tuple(frames, fc.array(fc.nat(120), { maxLength: 6 })), ([sent, cuts]) => {
      const bytes = Buffer.concat([PREFACE, first, ...sent]);
      const whole = check(bytes);
      const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
      const parts = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      const apart = check(...parts);
      expect(apart.fault).toBe(whole.fault);
      expect(apart.passed - whole.passed).toBeLessThanOrEqual(whole.fault === null ? 0 : 9);
      const bounds = [PREFACE, first, ...sent].map(({ length }) => length);
      const starts = new Set(bounds.map((_, i) => bounds.slice(0, i + 1).reduce((a, b) => a + b)));
      expect(starts).toContain(whole.passed);
    });
  });

  it.each([
    ['frames of nothing', (size: number) => Buffer.alloc(size, frame(99, 0, 0))],
    ['one frame after another', (size: number) => Buffer.alloc(size, frame(6, 0, 0, zeros(8)))],
  ])('are read in linear time: %s', (_name, make) => {
    const run = (bytes: Buffer): unknown => check(PREFACE, first, bytes);
    expect(faultOf(make, run)).toBeNull();
  });
});

it.each([
  ['1.61.0', true],
  ['1.68.0', true],
  ['1.68.1', false],
  ['1.70.0', false],
  ['2.0.0', false],
])('of nghttp2 %s frames are checked: %s', (nghttp2, checked) => {
  expect(readsOnBehindErrors(nghttp2)).toBe(checked);
});
