// Whether the frames of a client are formed as RFC 9113 §4 and §6 want them: their lengths, their padding, the streams they
// may be of, and no frame within a head. Pure, and in time linear in the bytes. For an nghttp2 that a client can end by a
// frame of a wrong size (checked-connection.ts): of what is malformed in this way it sees nothing.

/** What may come from a client: SETTINGS_MAX_FRAME_SIZE is never raised (RFC 9113 §4.2). */
const MAX_FRAME = 16_384;
const PREFACE = 24;
const HEAD = 9;

const DATA = 0;
const HEADERS = 1;
const SETTINGS = 4;
const PUSH_PROMISE = 5;
const GOAWAY = 7;
const CONTINUATION = 9;

const ACK = 0x1;
const END_HEADERS = 0x4;
const PADDED = 0x8;
const PRIORITY = 0x20;
/** Octets of a priority in HEADERS. */
const PRIORITY_BYTES = 5;
const SETTING_BYTES = 6;

/** Error codes of RFC 9113 §7. */
export const PROTOCOL_ERROR = 1;
export const FRAME_SIZE_ERROR = 6;

/** By types of frames whose length is one: that length. PRIORITY, RST_STREAM, PING, WINDOW_UPDATE. */
const LENGTHS: ReadonlyMap<number, number> = new Map([
  [2, 5],
  [3, 4],
  [6, 8],
  [8, 4],
]);
/** Types of frames that are always of a stream: DATA, HEADERS, PRIORITY, RST_STREAM, CONTINUATION. */
const OF_STREAM: ReadonlySet<number> = new Set([0, 1, 2, 3, 9]);
/** Those that never are: SETTINGS, PING, GOAWAY. */
const OF_CONNECTION: ReadonlySet<number> = new Set([4, 6, 7]);

interface FrameHead {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

/** Reads what one client sends, from its preface on. */
export class FrameCheck {
  /** An error code, once a frame was malformed; nothing is read behind that. */
  fault: number | null = null;
  readonly #head = new Uint8Array(HEAD);
  /** Octets of the next frame's head that have come. */
  #headBytes = 0;
  /** Octets left of the preface, then of each frame's payload. */
  #left = PREFACE;
  /** What an octet of padding that is still to come may be at most, or -1. */
  #mostPadding = -1;
  #first = true;
  /** The stream whose head goes on in a CONTINUATION frame, or 0. */
  #continued = 0;

  /** The end of the frame in `bytes` that goes on or begins at `from`: behind it, or where `bytes` end. Sets `fault`. */
  next(bytes: Uint8Array, from: number): number {
    let at = from;
    if (this.#left === 0) {
      const taken = Math.min(HEAD - this.#headBytes, bytes.length - at);
      this.#head.set(bytes.subarray(at, at + taken), this.#headBytes);
      this.#headBytes += taken;
      at += taken;
      if (this.#headBytes < HEAD) return at;
      this.#headBytes = 0;
      this.fault = this.#begin(headOf(this.#head));
    }
    if (this.#mostPadding >= 0 && this.fault === null && at < bytes.length) {
      if ((bytes[at] as number) > this.#mostPadding) this.fault = PROTOCOL_ERROR;
      this.#mostPadding = -1;
    }
    const taken = Math.min(this.#left, bytes.length - at);
    this.#left -= taken;
    return at + taken;
  }

  #begin(head: FrameHead): number | null {
    const { length, type, flags, stream } = head;
    if (length > MAX_FRAME) return FRAME_SIZE_ERROR;
    if (this.#first && (type !== SETTINGS || (flags & ACK) !== 0)) return PROTOCOL_ERROR;
    this.#first = false;
    if (this.#continued !== 0 ? type !== CONTINUATION || stream !== this.#continued : type === CONTINUATION) {
      return PROTOCOL_ERROR;
    }
    const fault = wrongLength(head) ?? wrongStream(type, stream);
    if (fault !== null) return fault;
    if (type === HEADERS || type === CONTINUATION) this.#continued = (flags & END_HEADERS) === 0 ? stream : 0;
    this.#left = length;
    if (isPadded(type, flags)) this.#mostPadding = length - 1 - priorityBytes(type, flags);
    return null;
  }
}

function headOf(bytes: Uint8Array): FrameHead {
  const [a, b, c, type, flags, d, e, f, g] = bytes as unknown as FrameHeadOctets;
  return { length: (a << 16) | (b << 8) | c, type, flags, stream: ((d & 0x7f) << 24) | (e << 16) | (f << 8) | g };
}
type FrameHeadOctets = [number, number, number, number, number, number, number, number, number];

function wrongLength({ length, type, flags }: FrameHead): number | null {
  const wrong = (is: boolean): number | null => (is ? FRAME_SIZE_ERROR : null);
  const one = LENGTHS.get(type);
  if (one !== undefined) return wrong(length !== one);
  if (type === SETTINGS) return wrong(length % SETTING_BYTES !== 0 || ((flags & ACK) !== 0 && length > 0));
  if (type === GOAWAY) return wrong(length < 8);
  return wrong(length < (isPadded(type, flags) ? 1 : 0) + priorityBytes(type, flags));
}

function wrongStream(type: number, stream: number): number | null {
  // A client pushes nothing (RFC 9113 §8.4).
  const wrong = type === PUSH_PROMISE || (stream === 0 ? OF_STREAM : OF_CONNECTION).has(type);
  return wrong ? PROTOCOL_ERROR : null;
}

function isPadded(type: number, flags: number): boolean {
  return (type === DATA || type === HEADERS) && (flags & PADDED) !== 0;
}

function priorityBytes(type: number, flags: number): number {
  return type === HEADERS && (flags & PRIORITY) !== 0 ? PRIORITY_BYTES : 0;
}
