// The fragments of messages as they come: how many of them are empty, which cost a parser as much as any other, and how much
// has come since the message began. ws keeps each fragment with the chunk that it came in until the message is whole.
import { FrameCursor, HEADER, LOST, MORE, OPCODE } from '../../relay/js/cursor.ts';

export class Fragments {
  readonly #cursor = new FrameCursor();
  #held = 0;
  readonly #seen = { empty: 0, held: 0 };

  /**
   * Follows one chunk: the empty continuations in it, and the bytes of all chunks so far that the present message has been
   * in. The result is the same object each time.
   */
  read(chunk: Buffer): { readonly empty: number; readonly held: number } {
    const cursor = this.#cursor;
    const seen = this.#seen;
    seen.empty = 0;
    // Where it is lost ws sees the same, and ends the session.
    for (let at = 0; cursor.event !== LOST; ) {
      at = cursor.step(chunk, at);
      if (cursor.event === MORE) break;
      if (cursor.event === HEADER && cursor.opcode === OPCODE.continuation && cursor.length === 0) seen.empty++;
      if (!cursor.inMessage) this.#held = 0;
    }
    this.#held = cursor.inMessage ? this.#held + chunk.length : 0;
    seen.held = this.#held;
    return seen;
  }
}
