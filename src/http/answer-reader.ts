// The start of a server's answer, collected from the bytes as they come and read strictly: for handshakes and for plain
// requests alike, so that no two readers can disagree about one. Pure.
import { type AnswerHead, answerFraming, LARGEST_ANSWER_HEAD, parseAnswerHead } from './answer.ts';
import { foreignStart } from './foreign.ts';
import type { Fault } from './target.ts';

const NOTHING = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');
const CR = 0x0d;
const LF = 0x0a;

/** A final head, or a 101, and the bytes that were read behind it. */
export interface AnswerStart {
  readonly head: AnswerHead;
  readonly rest: Buffer;
}

/** Called with each interim answer (1xx other than 101). */
export type OnInterim = (head: AnswerHead) => void;

/** Collects an answer's head from chunks. */
export class AnswerReader {
  readonly #onInterim: OnInterim | null;
  /** What has come of a head, and behind it room for more where the space is our own. */
  #space: Buffer = NOTHING;
  #length = 0;
  #seen = 0;

  /**
   * `onInterim` is called with each interim answer, and bounds their number. Without it they are dropped, and count in the
   * size of the head.
   */
  constructor(onInterim: OnInterim | null = null) {
    this.#onInterim = onInterim;
  }

  /** How many bytes it would hold without an answer before they are too many. */
  get room(): number {
    return LARGEST_ANSWER_HEAD + 3 - this.#seen;
  }

  /** Gives back what it holds of an answer, which then has to come again. */
  unread(): Buffer {
    const held = this.#held();
    this.#space = NOTHING;
    this.#length = 0;
    return held;
  }

  #held(): Buffer {
    return this.#length === this.#space.length ? this.#space : this.#space.subarray(0, this.#length);
  }

  /** The head and what stands behind it, a fault, or null while more is needed. */
  take(chunk: Buffer): AnswerStart | Fault | null {
    // The blank line may straddle two chunks: look again from three bytes before the chunk.
    let from = Math.max(0, this.#length - 3);
    this.#hold(chunk);
    for (;;) {
      const held = this.#held();
      const end = held.indexOf(HEAD_END, from);
      const fault = this.#fault(held, from, end);
      if (fault !== null) return { fault };
      if (end === -1) return null;
      const head = parseAnswerHead(held.toString('latin1', 0, end));
      if ('fault' in head) return head;
      this.#space = this.#space.subarray(end + HEAD_END.length);
      this.#length -= end + HEAD_END.length;
      if (head.status >= 200 || head.status === 101) return { head, rest: this.unread() };
      // HTTP/1.0 knows none (RFC 9110 §15.2), and other readers take its end for the connection's.
      if (head.version === '1.0') return { fault: 'an interim answer of HTTP/1.0' };
      // It has no body, whatever it says; another reader may look for one where it can't understand what it says.
      const framing = answerFraming(head);
      if ('fault' in framing) return framing;
      if (this.#onInterim === null) this.#seen += end + HEAD_END.length;
      else this.#onInterim(head);
      from = 0;
    }
  }

  /** The first bytes stay where they are; what comes behind them is copied into space that doubles, so that copying is linear. */
  #hold(chunk: Buffer): void {
    const length = this.#length + chunk.length;
    if (this.#length === 0) {
      this.#space = chunk;
    } else {
      if (length > this.#space.length) {
        const space = Buffer.allocUnsafe(2 * length);
        this.#space.copy(space, 0, 0, this.#length);
        this.#space = space;
      }
      chunk.copy(this.#space, this.#length);
    }
    this.#length = length;
  }

  /** What can't become a head is refused at once: such a peer may wait for ever for us to send. */
  #fault(held: Buffer, from: number, end: number): string | null {
    // Up to three bytes of the blank line may be here already; they are not the head's.
    if (this.#seen + (end === -1 ? held.length - 3 : end) > LARGEST_ANSWER_HEAD)
      return 'the head of the answer is too large';
    return foreignStart(held) ?? (end === -1 ? lineFault(held, from) : null);
  }
}

/** A line that ends with a bare LF, from `from` on: its head will never end (RFC 9112 §2.2). */
function lineFault(bytes: Buffer, from: number): string | null {
  for (let at = bytes.indexOf(LF, from); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at - 1] !== CR) return 'a line of the answer ends without CR';
  }
  return null;
}
