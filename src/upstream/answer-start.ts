// The start of an answer, looked at before undici's parser gets it. Left alone, undici (7.30) takes a 100 for a broken
// answer, and a 304 with a Content-Length for one that was cut short; it tells no version, and reads a reason phrase as
// UTF-8. Bodies are never looked at.

/** `HTTP/1.1 200` */
const SHORTEST = 12;
const LONGEST = 64 * 1024;
const LINE_END = '\r\n';
const HEAD_END = '\r\n\r\n';
const CONTINUE = /^HTTP\/1\.[01] 100(?: [^\r\n]*)?(?:\r\n[^\r\n]+)*$/;

export class AnswerStart {
  /** Of the final answer, once its status line was seen. */
  version = '';
  phrase = '';
  readonly #onContinue: () => void;
  #held: Buffer | null = null;
  #waiting = false;

  constructor(onContinue: () => void) {
    this.#onContinue = onContinue;
  }

  /** Whether bytes have to go through `take`. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** A request was sent: an answer begins with the next byte. */
  expect(): void {
    this.#waiting = true;
    this.#held = null;
  }

  /**
   * What of the bytes is for the parser; null where more must come first. To be called with null where there are none,
   * until it gives null: it may have kept some.
   */
  take(chunk: Buffer | null): Buffer | null {
    let bytes = joined(this.#held, chunk);
    this.#held = null;
    let at = 0;
    while (at < bytes.length) {
      const isInterim = bytes[at + 9] === 0x31;
      const whole = isInterim || isNotModified(bytes, at);
      const mark = whole ? HEAD_END : LINE_END;
      const end = endOf(bytes, at, mark);
      if (end === -1) return this.#hold(bytes, at, mark);
      if (!isInterim) {
        this.#begin(bytes, at);
        if (whole) hideLength(bytes.subarray(at, end));
        return bytes;
      }
      const next = end + 4;
      if (!CONTINUE.test(bytes.toString('latin1', at, end))) {
        at = next;
        continue;
      }
      // What came before it is told before it.
      if (at > 0) return this.#hold(bytes, at, HEAD_END);
      this.#onContinue();
      bytes = bytes.subarray(next);
    }
    return bytes.length === 0 ? null : bytes;
  }

  #begin(bytes: Buffer, at: number): void {
    this.#waiting = false;
    // undici takes `HTTP/2.0` too.
    const one = bytes[at + 5] === 0x31;
    this.version = bytes[at + 7] === 0x30 ? (one ? '1.0' : '2.0') : '1.1';
    this.phrase = bytes.toString('latin1', at + SHORTEST + 1, endOf(bytes, at, LINE_END));
  }

  /** Keeps what is not a whole status line, or interim head, yet; what can't become one is the parser's to judge. */
  #hold(bytes: Buffer, at: number, mark: string): Buffer | null {
    const bareLf = mark === LINE_END && bytes.includes(0x0a, at);
    if (bareLf || bytes.length - at > LONGEST) {
      this.#waiting = false;
      return bytes;
    }
    this.#held = bytes.subarray(at);
    return at === 0 ? null : bytes.subarray(0, at);
  }
}

function isNotModified(bytes: Buffer, at: number): boolean {
  return bytes[at + 9] === 0x33 && bytes[at + 10] === 0x30 && bytes[at + 11] === 0x34;
}

function joined(held: Buffer | null, chunk: Buffer | null): Buffer {
  if (held === null || chunk === null) return held ?? chunk ?? Buffer.alloc(0);
  return Buffer.concat([held, chunk]);
}

/** Where the line, or the head, that begins here ends; -1 where its end has not come. */
function endOf(bytes: Buffer, at: number, mark: string): number {
  return bytes.length - at < SHORTEST ? -1 : bytes.indexOf(mark, at + SHORTEST, 'latin1');
}

const LENGTH = /\r\ncontent-length(?=:)/gi;
const HIDDEN = /^content-lengti$/i;

/** Changes the last letter of a 304's Content-Length. */
function hideLength(head: Buffer): void {
  for (const { index, 0: found } of head.toString('latin1').matchAll(LENGTH)) {
    const last = index + found.length - 1;
    head[last] = (head[last] as number) ^ 1;
  }
}

/** The name of a 304's field as the server wrote it. */
export function shownName(name: string): string {
  if (!HIDDEN.test(name)) return name;
  return name.slice(0, -1) + (name.endsWith('i') ? 'h' : 'H');
}
