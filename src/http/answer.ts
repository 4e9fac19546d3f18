// A backend's answer as bytes: reading its head strictly, and finding where its body ends (RFC 9112 §2-§7). Pure. For
// handshakes and plain requests alike; how the head is collected is answer-reader.ts.
import { type FieldSection, pushFieldLine, valuesOf } from './fields.ts';
import type { Fault } from './target.ts';

/** Most bytes of an answer's head, interim answers included. */
export const LARGEST_ANSWER_HEAD = 64 * 1024;

/** Status line and fields of a backend's answer. */
export interface AnswerHead extends FieldSection {
  /** `1.0` or `1.1`. */
  readonly version: string;
  readonly status: number;
  readonly phrase: string;
}

// Within a line only HTAB, visible characters and octets beyond ASCII may stand (RFC 9110 §5.5); a bare CR or LF, a NUL
// or another control character means that two readers could see different lines.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const FORBIDDEN = /[\x00-\x08\x0a-\x1f\x7f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same
const STATUS_LINE = /^HTTP\/1\.[01] [1-9]\d\d(?: [^\x00-\x08\x0a-\x1f\x7f]*)?$/;

const CRLF = '\r\n';

/** Parses a head, given as latin1 without the empty line at its end. */
export function parseAnswerHead(text: string): AnswerHead | Fault {
  const end = text.indexOf(CRLF);
  const first = end === -1 ? text : text.slice(0, end);
  if (!STATUS_LINE.test(first)) return { fault: 'the status line is malformed' };
  const fields: string[] = [];
  const names: string[] = [];
  for (let at = end; at !== -1; ) {
    const start = at + CRLF.length;
    at = text.indexOf(CRLF, start);
    const line = at === -1 ? text.slice(start) : text.slice(start, at);
    if (!pushFieldLine(line, fields, names)) return { fault: 'a field of the answer is malformed' };
  }
  // Each part of a status line but the phrase has its place.
  return { version: first.slice(5, 8), status: Number(first.slice(9, 12)), phrase: first.slice(13), fields, names };
}

/** How the end of a body is found (RFC 9112 §6.3). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' };

/** The framing of an answer to this method, or a fault where two readers could disagree about it. */
export function answerFraming(head: AnswerHead, method = 'GET'): Framing | Fault {
  const codings = valuesOf(head, 'transfer-encoding');
  const lengths = valuesOf(head, 'content-length');
  if (codings.length > 0) {
    if (lengths.length > 0) return { fault: 'the answer has both Content-Length and Transfer-Encoding' };
    if (codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked')
      return { fault: 'the answer has an unknown Transfer-Encoding' };
    if (head.version === '1.0') return { fault: 'an HTTP/1.0 answer has no Transfer-Encoding' };
  }
  // Handed on twice, even the same number is refused by strict clients (RFC 9110 §8.6).
  if (lengths.length > 1) return { fault: 'the answer has more than one Content-Length' };
  if (lengths[0] !== undefined && !/^\d{1,15}$/.test(lengths[0])) return { fault: 'Content-Length is malformed' };
  if (method === 'HEAD' || head.status === 204 || head.status === 304) return { kind: 'none' };
  if (codings.length > 0) return { kind: 'chunked' };
  return lengths[0] === undefined ? { kind: 'close' } : { kind: 'length', length: Number(lengths[0]) };
}

/** Is given the content of a body, without its framing: at most one part of the bytes that were given. */
export type OnContent = (part: Buffer) => void;

/** Follows a body to its end. */
export interface BodyCursor {
  /** How many of these bytes belong to the body; the rest stands behind its end. A fault where it can't be followed. */
  take(chunk: Buffer, onContent?: OnContent): number | Fault;
  /** Whether the end was reached. A body until close has none of its own. */
  readonly done: boolean;
  /** The trailer fields, flat, once the end was reached. */
  readonly trailers: readonly string[];
}

/** A cursor for a framing; `close` takes everything. */
export function followBody(framing: Framing): BodyCursor {
  if (framing.kind === 'chunked') return new ChunkCursor();
  return new LengthCursor(
    framing.kind === 'none' ? 0 : framing.kind === 'length' ? framing.length : Number.POSITIVE_INFINITY,
  );
}

const NO_TRAILERS: readonly string[] = [];

class LengthCursor implements BodyCursor {
  readonly trailers = NO_TRAILERS;
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get done(): boolean {
    return this.#left === 0;
  }

  take(chunk: Buffer, onContent?: OnContent): number {
    const taken = Math.min(chunk.length, this.#left);
    this.#left -= taken;
    if (onContent !== undefined && taken > 0) onContent(taken === chunk.length ? chunk : chunk.subarray(0, taken));
    return taken;
  }
}

/** Longest line between chunks, extensions and trailers included. */
const MAX_LINE = 4096;
/** Most bytes of the extensions of a body, which nobody sees, and of its trailers. */
const MAX_BESIDE = 16 * 1024;
const MAX_TRAILERS = 100;
/**
 * No blank behind the size: readers differ over it (RFC 9112 §7.1.1 speaks of bad white space). Nor a quoted string in an
 * extension that its line does not end: a reader may go on with it behind the line.
 */
const CHUNK_LINE = /^([0-9A-Fa-f]{1,12})(?:;(?:[^"]|"(?:[^"\\]|\\.)*")*)?$/;
/** The beginning of a line that may become one; its first octets tell. */
const SIZE_SO_FAR = /^(?:[0-9A-Fa-f]{0,12}\r?$|[0-9A-Fa-f]{1,12};)/;
const TELLING = 14;

/** What no trailer may be (RFC 9110 §6.5.1): a receiver that merges it into the head would look for another end. */
const FRAMING_FIELD = /^(?:content-length|transfer-encoding)$/;

const [CR, LF] = [0x0d, 0x0a];
/** By octet the value of a hexadecimal digit, else -1. */
const DIGITS = Int8Array.from({ length: 256 }, (_, octet) => {
  const text = String.fromCharCode(octet);
  return /[0-9A-Fa-f]/.test(text) ? Number.parseInt(text, 16) : -1;
});
/** Of a size that is read without making a text of it: 256 MiB less one octet. */
const PLAIN_DIGITS = 7;

const MALFORMED_CHUNKS: Fault = { fault: 'the chunked body is malformed' };

/** The content of the chunks that stand in some bytes, as one part: each that is passed on costs some writes, and a chunk may be an octet. */
class Content {
  readonly #bytes: Buffer;
  #from = 0;
  #to = 0;
  /** Once there is more than one piece. */
  #copy: Buffer | null = null;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get length(): number {
    return this.#to - this.#from;
  }

  /** Adds what stands from `from` to `to`. */
  add(from: number, to: number): void {
    if (this.length === 0) {
      [this.#from, this.#to] = [from, to];
      return;
    }
    if (this.#copy === null) {
      this.#copy = Buffer.allocUnsafe(this.#bytes.length);
      this.#to = this.#bytes.copy(this.#copy, 0, this.#from, this.#to);
      this.#from = 0;
    }
    this.#to += this.#bytes.copy(this.#copy, this.#to, from, to);
  }

  joined(): Buffer {
    return (this.#copy ?? this.#bytes).subarray(this.#from, this.#to);
  }
}

/** Follows chunks (RFC 9112 §7.1): size line, data, CRLF, …, a chunk of size 0, trailer lines, an empty line. */
class ChunkCursor implements BodyCursor {
  readonly trailers: string[] = [];
  readonly #trailerNames: string[] = [];
  done = false;
  #state: 'size' | 'data' | 'data-end' | 'trailer' = 'size';
  #left = 0;
  /** What of a line has come; its end may be in the next bytes. */
  #line = '';
  #beside = 0;

  take(chunk: Buffer, onContent?: OnContent): number | Fault {
    const content = onContent === undefined ? null : new Content(chunk);
    const taken = this.#follow(chunk, content);
    if (content !== null && content.length > 0) onContent?.(content.joined());
    return taken;
  }

  #follow(chunk: Buffer, content: Content | null): number | Fault {
    let at = 0;
    while (at < chunk.length && !this.done) {
      const plain = this.#state === 'data' ? this.#takeData(chunk, at, content) : this.#takePlain(chunk, at);
      at += plain;
      if (plain > 0) continue;
      const lf = chunk.indexOf(0x0a, at);
      const end = lf === -1 ? chunk.length : lf + 1;
      const last = Math.min(end, at + MAX_LINE - this.#line.length);
      this.#line += chunk.toString('latin1', at, last);
      at = end;
      // What could never be a line is malformed, and not too long, in one piece as in many.
      if (lf === -1 || last < end ? !this.#maybeLine() : !this.#endLine()) return MALFORMED_CHUNKS;
      if (last < end) return { fault: 'a line between chunks is too long' };
      if (this.#beside > MAX_BESIDE) return { fault: 'what stands between chunks is too large' };
    }
    return at;
  }

  #takeData(chunk: Buffer, at: number, content: Content | null): number {
    const taken = Math.min(chunk.length - at, this.#left);
    content?.add(at, at + taken);
    this.#left -= taken;
    if (this.#left === 0) this.#state = 'data-end';
    return taken;
  }

  /** Takes a line as nearly all are, without making a text of it: a size alone, or the end of a chunk. 0: it is not such a one. */
  #takePlain(chunk: Buffer, at: number): number {
    if (this.#line !== '' || this.#state === 'trailer') return 0;
    const wanted = this.#state === 'size';
    let end = at;
    let size = 0;
    for (let digit = 0; wanted && end - at < PLAIN_DIGITS; end++) {
      digit = DIGITS[chunk[end] ?? 0] as number;
      if (digit < 0) break;
      size = size * 16 + digit;
    }
    if (chunk[end] !== CR || chunk[end + 1] !== LF || (wanted && end === at)) return 0;
    if (wanted) this.#startData(size);
    else this.#state = 'size';
    return end + 2 - at;
  }

  /** Whether the line may become one: its sender may wait for an answer, and never end it. */
  #maybeLine(): boolean {
    if (this.#state === 'data-end') return this.#line === '\r';
    return this.#state !== 'size' || SIZE_SO_FAR.test(this.#line.slice(0, TELLING));
  }

  /** Judges a whole line; false where it is none that may stand here. */
  #endLine(): boolean {
    if (!this.#line.endsWith('\r\n')) return false;
    const line = this.#line.slice(0, -2);
    this.#line = '';
    if (FORBIDDEN.test(line)) return false;
    if (this.#state === 'size') return this.#startChunk(line);
    if (this.#state === 'data-end') {
      this.#state = 'size';
      return line === '';
    }
    this.done = line === '';
    return this.done || this.#addTrailer(line);
  }

  #startChunk(line: string): boolean {
    const size = CHUNK_LINE.exec(line)?.[1];
    if (size === undefined) return false;
    this.#beside += line.length - size.length;
    this.#startData(Number.parseInt(size, 16));
    return true;
  }

  #startData(size: number): void {
    this.#left = size;
    this.#state = size === 0 ? 'trailer' : 'data';
  }

  #addTrailer(line: string): boolean {
    this.#beside += line.length;
    if (!pushFieldLine(line, this.trailers, this.#trailerNames)) return false;
    const { length } = this.#trailerNames;
    return !FRAMING_FIELD.test(this.#trailerNames[length - 1] as string) && length <= MAX_TRAILERS;
  }
}
