// One direction: bytes from `source` go to `sink` unchanged, while a cursor follows the frames. Incomplete headers and
// incomplete control frames are held back, so that "between frames" is also true for the sink. Only the answers to the
// gateway's own pings and Close are dropped, and everything after the direction is stopped.
import type { DirectionCounters } from '../counters.ts';
import { BLOCK, type Conn } from './conn.ts';
import { FRAME, FrameCursor, HEADER, LOST, MORE, OPCODE } from './cursor.ts';
import { countsAsMessage, type FlowLimits, REFUSAL, type Violation } from './limits.ts';

/** What is to be sent at the next boundary toward the sink: bits of `wants`. */
export const WANT = { close: 1, ping: 2 } as const;

/** The counters and limits of a direction. */
interface FlowSettings {
  readonly counters: DirectionCounters;
  readonly limits: FlowLimits | null;
  readonly inspect: boolean;
}

export class Flow {
  readonly source: Conn;
  readonly sink: Conn;
  readonly limits: FlowLimits | null;
  /** Null: opaque from the start. */
  readonly cursor: FrameCursor | null;
  readonly #counters: DirectionCounters;

  bytes = 0;
  messages = 0;
  discarded = 0;
  /** Bytes of pongs for the gateway's own pings. */
  swallowed = 0;

  /** Nothing more goes to the sink; further bytes are followed and discarded. */
  stopped = false;
  wants = 0;
  /** A Close may be sent at the end of any frame, not only of a message. */
  anyFrame = false;
  /** A header was read that is not forwarded, so the sink is between two frames and the cursor is not. */
  #withheld: Violation | null = null;
  /** The part of an incomplete control frame from earlier chunks. */
  #hold: Buffer | null = null;
  /** In the chunk at hand: the first byte that has neither passed nor been dropped, and where a control frame starts. */
  #from = 0;
  #frame = 0;

  constructor(source: Conn, sink: Conn, { counters, limits, inspect }: FlowSettings) {
    this.source = source;
    this.sink = sink;
    this.limits = limits;
    this.cursor = inspect ? new FrameCursor() : null;
    this.#counters = counters;
  }

  /** Its frames are known. */
  get followed(): boolean {
    return this.cursor !== null && this.cursor.lost === null;
  }

  /** Whether the sink has received complete frames only. */
  get atFrame(): boolean {
    const { cursor } = this;
    if (this.#withheld !== null) return true;
    return cursor !== null && cursor.lost === null && (!cursor.inFrame || cursor.opcode >= 8);
  }

  /** Takes the first bytes; a head of `headLength` is neither followed nor counted. */
  begin(first: Buffer, headLength: number): void {
    this.bytes -= headLength;
    this.#counters.bytes -= headLength;
    if (first.length > 0) this.carry(first, headLength);
  }

  /** Takes read bytes; the first `at` of them are forwarded without being followed. */
  carry(chunk: Buffer, at: number): void {
    const { cursor, sink } = this;
    if (this.limits !== null && !this.stopped) this.#meterBytes(chunk.length - at);
    if (this.stopped) this.#discard(chunk, at);
    else if (cursor === null || cursor.lost !== null) this.#pass(chunk, 0, chunk.length);
    else this.#follow(chunk, at, cursor);
    if (!this.stopped && sink.full) this.source.block(BLOCK.peerFull);
  }

  #follow(chunk: Buffer, start: number, cursor: FrameCursor): void {
    let at = start;
    let goesOn = true;
    this.#from = 0;
    do {
      const before = at;
      at = cursor.step(chunk, before);
      if (cursor.event === HEADER) goesOn = this.#header(chunk, before, at);
      else if (cursor.event === FRAME) goesOn = this.#frameEnd(chunk, at);
      else if (cursor.event === LOST) this.#lose(chunk, before, at);
      else this.#pass(chunk, this.#from, this.#endOf(chunk, before));
      if (!goesOn || cursor.event === MORE || cursor.event === LOST) return;
    } while (at < chunk.length || cursor.event === HEADER);
    this.#pass(chunk, this.#from, chunk.length);
  }

  /** Behind a header that started at `before`. False: the direction was stopped, and nothing is left to do for the chunk. */
  #header(chunk: Buffer, before: number, at: number): boolean {
    const cursor = this.cursor as FrameCursor;
    if (cursor.opcode >= 8) {
      this.#frame = before;
      if (cursor.carried > 0) this.#hold = cursor.headerBytes(cursor.carried);
      return true;
    }
    if (this.limits !== null && this.#refuses(cursor)) {
      this.#breakOff(chunk, before, at, cursor.carried);
      return false;
    }
    if (cursor.carried > 0) this.#pass(cursor.headerBytes(cursor.carried), 0, cursor.carried);
    return true;
  }

  /** Behind a frame that ended at `at`. False as above. */
  #frameEnd(chunk: Buffer, at: number): boolean {
    const cursor = this.cursor as FrameCursor;
    if (cursor.opcode < 8) {
      if (!cursor.inMessage) this.#countMessage(cursor);
    } else if (!this.#control(chunk, at)) return false;
    if (this.wants !== 0) this.#boundary(chunk, at);
    if (this.stopped) this.#discard(chunk, at);
    return !this.stopped;
  }

  /** How much of a used-up chunk may pass: not an incomplete header, not a part of a control frame. */
  #endOf(chunk: Buffer, header: number): number {
    const cursor = this.cursor as FrameCursor;
    if (cursor.held > 0) return header;
    if (!cursor.inFrame || cursor.opcode < 8) return chunk.length;
    const start = this.#hold === null ? this.#frame : 0;
    const part = Buffer.from(chunk.subarray(start));
    this.#hold = this.#hold === null ? part : Buffer.concat([this.#hold, part]);
    return start;
  }

  #pass(chunk: Buffer, from: number, to: number): void {
    if (to <= from) return;
    this.bytes += to - from;
    this.#counters.bytes += to - from;
    this.sink.pass(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to));
  }

  #countMessage(cursor: FrameCursor): void {
    this.messages++;
    if (cursor.messageOpcode === OPCODE.text) this.#counters.text++;
    else this.#counters.binary++;
  }

  /** A whole control frame, ending at `at`: it may pass with what comes behind it, or it is dropped. False as above. */
  #control(chunk: Buffer, at: number): boolean {
    const hold = this.#hold;
    this.#hold = null;
    const begin = hold === null ? this.#frame : 0;
    if (this.#keeps(hold, chunk, begin, at)) {
      this.#pass(chunk, this.#from, begin);
      this.#from = at;
    } else if (this.#countsControl() && this.#refuses(this.cursor as FrameCursor)) {
      this.#breakOff(chunk, begin, at, hold?.length ?? 0);
      return false;
    } else if (hold !== null) {
      this.#pass(hold, 0, hold.length);
    }
    return true;
  }

  /** Whether limits apply to the control frame that has ended: they do not to a Close. */
  #countsControl(): boolean {
    return this.limits !== null && !this.stopped && this.cursor?.opcode !== OPCODE.close;
  }

  /** Whether a control frame is for the gateway and is not forwarded. */
  #keeps(hold: Buffer | null, chunk: Buffer, begin: number, at: number): boolean {
    const cursor = this.cursor as FrameCursor;
    const size = at - begin + (hold === null ? 0 : hold.length);
    if (cursor.opcode === OPCODE.close) {
      if (!this.source.tunnel.closeArrived(this, cursor.closeCode)) return false;
      this.discarded += size;
      return true;
    }
    if (this.sink.pinger === null || this.source.pinger === null) return false;
    const part = chunk.subarray(begin, at);
    const frame = hold === null ? part : Buffer.concat([hold, part]);
    if (cursor.opcode === OPCODE.ping) this.sink.pinger.passPing(frame);
    if (cursor.opcode !== OPCODE.pong || !this.source.pinger.pong(frame)) return false;
    this.swallowed += size;
    return true;
  }

  /** A frame has ended at `at` and something waits for that. */
  #boundary(chunk: Buffer, at: number): void {
    const closes = (this.wants & WANT.close) !== 0 && (this.anyFrame || this.cursor?.inMessage === false);
    if (!closes && (this.wants & WANT.ping) === 0) return;
    this.#pass(chunk, this.#from, at);
    this.#from = at;
    this.offer();
  }

  /** Sends what waits for a boundary, if the sink is at one. */
  offer(): void {
    if (this.wants === 0 || this.stopped || !this.atFrame) return;
    if (
      (this.wants & WANT.close) !== 0 &&
      (this.anyFrame || this.#withheld !== null || this.cursor?.inMessage === false)
    ) {
      this.source.tunnel.ending?.inject(this);
    } else if ((this.wants & WANT.ping) !== 0) {
      this.wants &= ~WANT.ping;
      this.sink.pinger?.send();
    }
  }

  /** From now on the source's bytes are followed and discarded, and the source is never paused. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.wants = 0;
    const held = this.#hold?.length ?? this.cursor?.held ?? 0;
    this.discarded += held;
    this.#hold = null;
    this.source.unblock(BLOCK.peerFull | BLOCK.rate);
  }

  /** Still looks for a Close, nothing else. */
  #discard(chunk: Buffer, start: number): void {
    this.discarded += chunk.length - start;
    const { cursor } = this;
    if (cursor === null || cursor.lost !== null) return;
    let at = start;
    do {
      at = cursor.step(chunk, at);
      if (cursor.event === FRAME && cursor.opcode === OPCODE.close) {
        this.source.tunnel.closeArrived(this, cursor.closeCode);
      }
    } while ((cursor.event === HEADER || at < chunk.length) && cursor.lost === null);
  }

  /** The stream has ended: what was held passes. Returns whether the sink is left between two frames. */
  flush(): boolean {
    const { cursor } = this;
    if (this.stopped || cursor === null || cursor.lost !== null) return false;
    const held = this.#hold ?? cursor.headerBytes(cursor.held);
    // Passed, so stop() must not count it as discarded.
    this.#hold = Buffer.alloc(0);
    this.#pass(held, 0, held.length);
    return held.length === 0 && !cursor.inFrame;
  }

  #meterBytes(count: number): void {
    const { limits, source } = this;
    if (limits === null || source.tunnel.ending !== null) return;
    const wait = limits.read(count);
    if (wait === 0) return;
    if (limits.pauses) source.tunnel.pause(source, wait);
    else source.tunnel.closeForViolation(source, REFUSAL.tooFast.code, REFUSAL.tooFast.reason);
  }

  /** Whether a frame exceeds a limit and must not be forwarded. */
  #refuses(cursor: FrameCursor): boolean {
    const { source } = this;
    const limits = this.limits as FlowLimits;
    if (cursor.messageLength > limits.maxMessage) {
      this.#withheld = REFUSAL.tooBig;
    } else if (countsAsMessage(cursor) && source.tunnel.ending === null) {
      const wait = limits.message();
      if (wait > 0 && limits.pauses) source.tunnel.pause(source, wait);
      else if (wait > 0) this.#withheld = REFUSAL.tooMany;
    }
    return this.#withheld !== null;
  }

  /** What came before a refused frame passes, then goes the Close, and then nothing. `earlier` bytes of it came before. */
  #breakOff(chunk: Buffer, before: number, at: number, earlier: number): void {
    const { code, reason } = this.#withheld as Violation;
    this.#pass(chunk, this.#from, before);
    this.discarded += at - before + earlier;
    this.source.tunnel.closeForViolation(this.source, code, reason);
    this.offer();
    this.#withheld = null;
    this.stop();
    this.#discard(chunk, at);
  }

  /** The direction can be followed no further: it is opaque from its last header on, or ends where there is a limit. */
  #lose(chunk: Buffer, before: number, at: number): void {
    const cursor = this.cursor as FrameCursor;
    this.#counters.lost++;
    if (this.limits !== null) {
      this.#withheld = REFUSAL.unfollowed;
      this.#breakOff(chunk, before, at, cursor.carried);
      return;
    }
    this.#pass(chunk, this.#from, before);
    if (cursor.carried > 0) this.#pass(cursor.headerBytes(cursor.carried), 0, cursor.carried);
    this.#pass(chunk, before, chunk.length);
    this.source.tunnel.ending?.unfollowed(this);
  }
}
