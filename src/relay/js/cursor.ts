// The frame cursor: follows the frame headers of RFC 6455 §5.2 in one direction of a stream, however it is split. It says
// where frames and messages end; it never judges what is in them, never changes a byte, and allocates nothing per chunk.
// relay/native/c/cursor.c is the same state machine; test/fixtures/cursor-vectors.json drives both.

/** What step() stopped at. */
export const MORE = 0;
/** Right behind a frame's header; its fields can be read. */
export const HEADER = 1;
/** Right behind a frame's last byte. */
export const FRAME = 2;
/** The stream cannot be followed any further; step() must not be called again. */
export const LOST = 3;
export type Step = typeof MORE | typeof HEADER | typeof FRAME | typeof LOST;

/** Why a direction was lost: a 64-bit length with its top bit set, a control frame over 125 bytes, or one with FIN=0. */
export type LossReason = 'length' | 'control_length' | 'control_fragment';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The longest header: two bytes, a 64-bit length, a masking key. */
export const MAX_HEADER = 14;

/** Lengths saturate here; no stream gets that far. */
const MAX_LENGTH = Number.MAX_SAFE_INTEGER;

export class FrameCursor {
  /** What the last step() stopped at. */
  event: Step = MORE;

  // The frame whose header passed last.
  opcode = 0;
  fin = true;
  masked = false;
  /** Payload bytes by its header. */
  length = 0;
  headerLength = 0;
  /** How many of its header's bytes came in earlier chunks; headerBytes() has them. */
  carried = 0;
  /** A data frame that starts a message. */
  starts = false;

  /** Inside a frame: its header is whole, its payload is not. */
  inFrame = false;
  /** A message has started and not ended; control frames may stand inside (RFC 6455 §5.4). */
  inMessage = false;
  /** The opcode the present or last message started with. */
  messageOpcode = 0;
  /** Payload bytes of the present or last message over all fragments, by their headers. */
  messageLength = 0;

  /** The code of the last Close frame that ended, or null where it had none. */
  closeCode: number | null = null;
  lost: LossReason | null = null;

  /** Bytes of an incomplete header, kept since step() returned. */
  held = 0;
  #header: Buffer | null = null;
  #left = 0;
  /** Two bytes of the masking key and then the two of the code, while a Close passes. */
  #closeKey = 0;
  #closeRead = 0;

  /** Between two frames; bytes of the next one's header may be held. */
  get atFrame(): boolean {
    return !this.inFrame && this.lost === null;
  }

  /** Between two messages. */
  get atMessage(): boolean {
    return !this.inFrame && !this.inMessage && this.lost === null;
  }

  /**
   * Goes on from `at` and returns how far it came, with the reason in `event`. MORE means that the chunk is used up;
   * the last `held` bytes of it then belong to an incomplete header.
   */
  step(chunk: Buffer, at: number): number {
    if (this.inFrame) return this.#payload(chunk, at);
    if (this.held > 0) return this.#resume(chunk, at);
    const there = chunk.length - at;
    if (there >= 2) {
      const size = headerSize(chunk[at + 1] as number);
      if (there >= size) {
        this.carried = 0;
        this.#read(chunk, at, size);
        return at + size;
      }
    }
    if (there > 0) {
      this.#header ??= Buffer.allocUnsafeSlow(MAX_HEADER);
      chunk.copy(this.#header, 0, at);
      this.held = there;
    }
    this.event = MORE;
    return chunk.length;
  }

  /** A copy of the first `count` bytes of the header that came in pieces: `held` or `carried` of them. */
  headerBytes(count: number): Buffer {
    return this.#header === null ? Buffer.alloc(0) : Buffer.from(this.#header.subarray(0, count));
  }

  #resume(chunk: Buffer, at: number): number {
    const header = this.#header as Buffer;
    let to = at;
    let size = this.held >= 2 ? headerSize(header[1] as number) : 2;
    const carried = this.held;
    while (this.held < size && to < chunk.length) {
      header[this.held++] = chunk[to++] as number;
      if (this.held === 2) size = headerSize(header[1] as number);
    }
    if (this.held < size) {
      this.event = MORE;
      return to;
    }
    this.held = 0;
    this.carried = carried;
    this.#read(header, 0, size);
    return to;
  }

  /** Reads the whole header at `at`. */
  #read(bytes: Buffer, at: number, size: number): void {
    const first = bytes[at] as number;
    const second = bytes[at + 1] as number;
    const short = second & 0x7f;
    this.opcode = first & 0x0f;
    this.fin = first >= 0x80;
    this.masked = second >= 0x80;
    this.headerLength = size;
    this.length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : longLength(bytes, at + 2);
    this.lost = this.#check(short, bytes, at);
    if (this.lost !== null) {
      this.event = LOST;
      return;
    }
    this.starts = false;
    if (this.opcode < 8) this.#data();
    else if (this.opcode === OPCODE.close) this.#close(bytes, at + size);
    this.#left = this.length;
    this.inFrame = true;
    this.event = HEADER;
  }

  #check(short: number, bytes: Buffer, at: number): LossReason | null {
    if (this.opcode >= 8) {
      if (short > 125) return 'control_length';
      if (!this.fin) return 'control_fragment';
    }
    return short === 127 && (bytes[at + 2] as number) >= 0x80 ? 'length' : null;
  }

  /** A data frame joins the present message whatever its opcode says: the receiver is to judge that. */
  #data(): void {
    this.starts = !this.inMessage;
    if (this.starts) {
      this.inMessage = true;
      this.messageOpcode = this.opcode;
      this.messageLength = 0;
    }
    this.messageLength = Math.min(this.messageLength + this.length, MAX_LENGTH);
  }

  #close(bytes: Buffer, payload: number): void {
    this.closeCode = null;
    this.#closeRead = 0;
    this.#closeKey = this.masked ? bytes.readUInt16BE(payload - 4) : 0;
  }

  #payload(chunk: Buffer, at: number): number {
    const there = chunk.length - at;
    const take = Math.min(this.#left, there);
    if (this.opcode === OPCODE.close) this.#readCode(chunk, at, take);
    this.#left -= take;
    if (this.#left > 0) {
      this.event = MORE;
      return at + take;
    }
    this.inFrame = false;
    if (this.opcode < 8 && this.fin) this.inMessage = false;
    this.event = FRAME;
    return at + take;
  }

  /** Unmasks the first two payload bytes of a Close (RFC 6455 §5.5.1) as they come. */
  #readCode(chunk: Buffer, at: number, take: number): void {
    const done = this.length - this.#left;
    for (let i = done; i < 2 && i < done + take; i++) {
      const shift = i === 0 ? 8 : 0;
      const plain = (chunk[at + i - done] as number) ^ ((this.#closeKey >> shift) & 0xff);
      this.#closeRead |= plain << shift;
      if (i === 1) this.closeCode = this.#closeRead;
    }
  }
}

/** The whole size of a header by its second byte. */
function headerSize(second: number): number {
  const short = second & 0x7f;
  return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (second >= 0x80 ? 4 : 0);
}

function longLength(bytes: Buffer, at: number): number {
  const high = bytes.readUInt32BE(at);
  return high >= 0x200000 ? MAX_LENGTH : high * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
}
