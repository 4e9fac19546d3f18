// The frame cursor against the shared vectors at every split, and against a slow reader over random streams.
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FRAME, FrameCursor, HEADER, LOST, MAX_HEADER, MORE } from '../../../../src/relay/js/cursor.ts';

interface Header {
  at: number;
  event: 'header';
  opcode: number;
  fin: boolean;
  masked: boolean;
  length: number;
  starts: boolean;
  messageLength: number;
}
interface Frame {
  at: number;
  event: 'frame';
  endsMessage: boolean;
  closeCode: number | null;
}
interface Lost {
  at: number;
  event: 'lost';
  because: string;
}
type Event = Header | Frame | Lost;
interface End {
  held: number;
  atFrame: boolean;
  atMessage: boolean;
  lost: string | null;
  closeCode: number | null;
}
interface Vector {
  name: string;
  input: (string | { fill: string; count: number })[];
  events: Event[];
  end: End;
}

const { vectors } = JSON.parse(
  readFileSync(new URL('../../../fixtures/cursor-vectors.json', import.meta.url), 'utf8'),
) as { vectors: Vector[] };

function bytesOf(input: Vector['input']): Buffer {
  return Buffer.concat(
    input.map((part) =>
      typeof part === 'string' ? Buffer.from(part, 'hex') : Buffer.alloc(part.count, part.fill, 'hex'),
    ),
  );
}

/** Drives a cursor over the stream cut at `cuts`, and rebuilds the stream from what a relay would write. */
function follow(stream: Buffer, cuts: readonly number[]): { events: Event[]; end: End; written: Buffer } {
  const cursor = new FrameCursor();
  const events: Event[] = [];
  const written: Buffer[] = [];
  let start = 0;
  for (const cut of [...cuts, stream.length]) {
    const chunk = Buffer.from(stream.subarray(start, cut));
    let at = 0;
    while (cursor.lost === null && (at < chunk.length || (cursor.inFrame && at === chunk.length))) {
      const before = at;
      at = cursor.step(chunk, at);
      if (cursor.event === MORE) {
        written.push(chunk.subarray(before, chunk.length - Math.min(cursor.held, chunk.length - before)));
        break;
      }
      if (cursor.event !== FRAME && cursor.carried > 0) written.push(cursor.headerBytes(cursor.carried));
      written.push(chunk.subarray(before, at));
      events.push(eventOf(cursor, start + at));
    }
    if (cursor.lost !== null) written.push(chunk.subarray(at));
    start = cut;
  }
  if (cursor.held > 0) written.push(cursor.headerBytes(cursor.held));
  const { held, atFrame, atMessage, lost, closeCode } = cursor;
  return { events, end: { held, atFrame, atMessage, lost, closeCode }, written: Buffer.concat(written) };
}

function eventOf(cursor: FrameCursor, at: number): Event {
  if (cursor.event === HEADER) {
    const { opcode, fin, masked, length, starts, messageLength } = cursor;
    return { at, event: 'header', opcode, fin, masked, length, starts, messageLength };
  }
  if (cursor.event === LOST) return { at, event: 'lost', because: String(cursor.lost) };
  return {
    at,
    event: 'frame',
    endsMessage: cursor.opcode < 8 && cursor.fin && !cursor.inMessage,
    closeCode: cursor.closeCode,
  };
}

describe('frame cursor, shared vectors', () => {
  it.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (_name, vector) => {
    const stream = bytesOf(vector.input);
    const near = stream.length > 2_000 ? 24 : stream.length;
    for (let cut = 0; cut <= stream.length; cut++) {
      if (cut > near && cut < stream.length - near) continue;
      const got = follow(stream, [cut]);
      expect(got.events, `cut at ${cut}`).toEqual(vector.events);
      expect(got.end, `cut at ${cut}`).toEqual(vector.end);
      expect(got.written.equals(stream)).toBe(true);
    }
    if (stream.length > 2_000) return;
    const single = follow(
      stream,
      Array.from({ length: stream.length }, (_, i) => i),
    );
    expect(single.events).toEqual(vector.events);
    expect(single.end).toEqual(vector.end);
    expect(single.written.equals(stream)).toBe(true);
  });

  it('has a vector for every lost case', () => {
    const cases = new Set(vectors.map((vector) => vector.end.lost).filter((lost) => lost !== null));
    expect([...cases].sort()).toEqual(['control_fragment', 'control_length', 'length']);
  });
});

/** A slow reader of the whole stream at once, with its lengths as integers of any size. */
function reference(stream: Buffer): { events: Event[]; end: End } {
  const events: Event[] = [];
  let at = 0;
  let open = false;
  let message = 0n;
  let closeCode: number | null = null;
  const cap = (n: bigint) => Number(n > 9007199254740991n ? 9007199254740991n : n);
  const end = (held: number, atFrame: boolean, lost: string | null): { events: Event[]; end: End } => ({
    events,
    end: { held, atFrame, atMessage: atFrame && !open, lost, closeCode },
  });
  for (;;) {
    const rest = stream.subarray(at);
    if (rest.length < 2) return end(rest.length, true, null);
    const opcode = rest[0]! & 15;
    const fin = (rest[0]! & 128) !== 0;
    const masked = (rest[1]! & 128) !== 0;
    const short = rest[1]! & 127;
    const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
    const size = 2 + extra + (masked ? 4 : 0);
    if (rest.length < size) return end(rest.length, true, null);
    let length = BigInt(short);
    if (extra > 0) length = BigInt(`0x${rest.subarray(2, 2 + extra).toString('hex')}`);
    const key = masked ? rest.subarray(size - 4, size) : Buffer.alloc(4);
    at += size;
    let because: string | null = null;
    if (opcode > 7 && short > 125) because = 'control_length';
    else if (opcode > 7 && !fin) because = 'control_fragment';
    else if (length >= 2n ** 63n) because = 'length';
    if (because !== null) {
      events.push({ at, event: 'lost', because });
      return end(0, false, because);
    }
    const starts = opcode < 8 && !open;
    if (starts) message = 0n;
    if (opcode < 8) {
      open = true;
      message += length;
    }
    if (opcode === 8) closeCode = null;
    events.push({ at, event: 'header', opcode, fin, masked, length: cap(length), starts, messageLength: cap(message) });
    const payload = rest.subarray(size);
    if (opcode === 8 && length >= 2n && payload.length >= 2) {
      closeCode = ((payload[0]! ^ key[0]!) << 8) | (payload[1]! ^ key[1]!);
    }
    if (BigInt(payload.length) < length) return end(0, false, null);
    at += Number(length);
    const endsMessage = opcode < 8 && fin;
    if (endsMessage) open = false;
    events.push({ at, event: 'frame', endsMessage, closeCode });
  }
}

const byte = fc.integer({ min: 0, max: 255 });
/** Mostly whole frames of every form, now and then one that cannot be followed. */
const frame = fc
  .record({
    first: fc.oneof({ weight: 9, arbitrary: byte.map((n) => n | 0x80) }, { weight: 2, arbitrary: byte }),
    masked: fc.boolean(),
    form: fc.constantFrom(7, 16, 64),
    payload: fc.uint8Array({ maxLength: 200 }),
    top: fc.integer({ min: 0, max: 60 }).map((n) => (n === 0 ? 0x80 : 0)),
  })
  .map(({ first, masked, form, payload, top }) => {
    const control = (first & 8) !== 0;
    const short = control ? payload.subarray(0, payload.length % 126) : payload;
    const head: number[] = [first];
    const bit = masked ? 128 : 0;
    if (short.length < 126 && (control || form === 7)) head.push(bit | short.length);
    else if (form !== 64) head.push(bit | 126, short.length >> 8, short.length & 255);
    else head.push(bit | 127, top, 0, 0, 0, 0, 0, short.length >> 8, short.length & 255);
    return Buffer.concat([Buffer.from(head), Buffer.from(masked ? [1, 2, 3, 4] : []), short]);
  });
const stream = fc.oneof(
  { weight: 5, arbitrary: fc.array(frame, { maxLength: 12 }).map((frames) => Buffer.concat(frames)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)) },
);

describe('frame cursor, random streams', () => {
  it('agrees with a slow reader, however the stream is split', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 20 }), (bytes, points) => {
        const cuts = points.map((n) => n % (bytes.length + 1)).sort((a, b) => a - b);
        const slow = reference(bytes);
        const got = follow(bytes, cuts);
        expect(got.events).toEqual(slow.events);
        expect(got.end).toEqual(slow.end);
        expect(got.end.held).toBeLessThan(MAX_HEADER);
        expect(got.written.equals(bytes)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
