// The fragments of messages as they come: how many of them are empty, which cost a parser as much as any other, and what of
// the present message has come. ws keeps each fragment with the chunk that it came in until the message is whole, and has
// no way to ask for it.
import { FRAME, FrameCursor, HEADER, LOST, MORE, OPCODE } from '../../relay/js/cursor.ts';

/** What a message that is not whole keeps of memory. */
export interface Held {
  /** Bytes of all chunks so far that the present message has been in. */
  readonly bytes: number;
  readonly chunks: number;
  /** Payload bytes of its fragments that have come whole. */
  readonly fragments: number;
}

export class Fragments {
  readonly #cursor = new FrameCursor();
  readonly #held = { bytes: 0, chunks: 0, fragments: 0 };

  /** Of the message that is under way; the same object each time. */
  get held(): Held {
    return this.#held;
  }

  /** Follows one chunk; returns how many empty continuations are in it. */
  read(chunk: Buffer): number {
    const cursor = this.#cursor;
    const held = this.#held;
    let empty = 0;
    // Where it is lost ws sees the same, and ends the session.
    for (let at = 0; cursor.event !== LOST; ) {
      at = cursor.step(chunk, at);
      if (cursor.event === MORE) break;
      if (cursor.event === HEADER && cursor.opcode === OPCODE.continuation && cursor.length === 0) empty++;
      if (!cursor.inMessage) this.#clear();
      else if (cursor.event === FRAME && cursor.opcode < OPCODE.close) held.fragments += cursor.length;
    }
    if (!cursor.inMessage) this.#clear();
    else {
      held.bytes += chunk.length;
      held.chunks++;
    }
    return empty;
  }

  #clear(): void {
    this.#held.bytes = 0;
    this.#held.chunks = 0;
    this.#held.fragments = 0;
  }
}
