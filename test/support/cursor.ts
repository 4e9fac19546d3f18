// Follows a stream with the TypeScript cursor, and tells of it in the words of test/fixtures/cursor-vectors.json, in which
// the C cursor's program tells of it too.
import { FRAME, FrameCursor, HEADER, LOST, MORE } from '../../src/relay/js/cursor.ts';

export interface Told {
  events: Record<string, unknown>[];
  end: Record<string, unknown>;
}

/** What the cursor tells of a stream that comes in pieces, cut at these places. */
export function follow(stream: Buffer, cuts: readonly number[]): Told {
  const cursor = new FrameCursor();
  const events: Told['events'] = [];
  let start = 0;
  for (const cut of [...cuts, stream.length]) {
    const chunk = Buffer.from(stream.subarray(start, cut));
    for (let at = 0; cursor.lost === null; ) {
      at = cursor.step(chunk, at);
      if (cursor.event === MORE) break;
      events.push(eventOf(cursor, start + at));
      if (at === chunk.length && cursor.event === FRAME) break;
    }
    start = cut;
  }
  const { held, atFrame, atMessage, lost, closeCode } = cursor;
  return { events, end: { held, atFrame, atMessage, lost, closeCode } };
}

function eventOf(cursor: FrameCursor, at: number): Record<string, unknown> {
  const { opcode, fin, masked, length, starts, messageLength, inMessage, closeCode, lost } = cursor;
  if (cursor.event === HEADER) return { at, event: 'header', opcode, fin, masked, length, starts, messageLength };
  if (cursor.event === LOST) return { at, event: 'lost', because: lost };
  return { at, event: 'frame', endsMessage: opcode < 8 && fin && !inMessage, closeCode };
}
