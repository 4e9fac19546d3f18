// Whether a client is still there, and for how long nothing has happened: idle time, lifetime and pings of one session,
// as values. It keeps no timer and sends nothing; session.ts calls it to learn what is due.
import { randomBytes } from 'node:crypto';

/** When a session is due; milliseconds. */
export interface Timing {
  /** Without a byte in either direction; our own pings and their pongs are none. */
  readonly idleMs: number;
  /** Infinity: no limit. */
  readonly lifetimeMs: number;
  readonly ping: { readonly every: number; readonly timeout: number } | null;
}

/** What is due: one of the ends, a ping to send, or nothing yet. */
export type DueAction = 'max_lifetime' | 'idle' | 'ping_timeout' | 'ping' | null;

interface Ping {
  /** Until its pong has come. */
  payload: Buffer | null;
  /** Whether any byte was read since. */
  alive: boolean;
  /** When it went out; null while it waits behind other output. */
  sentAt: number | null;
}

/** A client's pong without its payload: two bytes of header and the mask (RFC 6455 §5.2). */
const PONG_HEAD = 6;

export class Keepalive {
  readonly #timing: Timing;
  readonly #diesAt: number;
  #activeAt: number;
  /** The last chunk's size, and #activeAt before it, to take back what a mere pong did to it. */
  #chunk = { size: 0, activeAt: 0 };
  #nextPingAt: number;
  #ping: Ping | null = null;
  #held = false;

  constructor(timing: Timing, now: number) {
    this.#timing = timing;
    this.#activeAt = now;
    this.#diesAt = now + timing.lifetimeMs;
    this.#nextPingAt = now + (timing.ping?.every ?? Number.POSITIVE_INFINITY);
  }

  /** A chunk came from the client. True: it answers the ping that was out, for a client that sends any byte is alive. */
  read(size: number, now: number): boolean {
    this.#chunk = { size, activeAt: this.#activeAt };
    this.#activeAt = now;
    if (!this.#ping || this.#ping.alive) return false;
    this.#ping.alive = true;
    return true;
  }

  /** A message was queued for the client, or has gone out to it. */
  wrote(now: number): void {
    this.#activeAt = now;
  }

  /**
   * A pong stood in the last chunk; true: it answers our ping. Where the chunk is nothing but that answer, it was no
   * activity.
   */
  pong(payload: Buffer): boolean {
    if (!this.#ping?.payload?.equals(payload)) return false;
    this.#ping.payload = null;
    if (this.#chunk.size === PONG_HEAD + payload.length) this.#activeAt = this.#chunk.activeAt;
    return true;
  }

  /** The payload of a ping to send now, or null while the one before is unanswered. */
  ping(now: number): Buffer | null {
    this.#nextPingAt = now + (this.#timing.ping?.every ?? Number.POSITIVE_INFINITY);
    if (this.#ping?.alive === false) return null;
    const payload = randomBytes(8);
    this.#ping = { payload, alive: false, sentAt: null };
    return payload;
  }

  /** The ping has gone out; the client's time to send any byte begins. */
  pinged(now: number): void {
    if (this.#ping) this.#ping.sentAt = now;
  }

  /** Nothing is read from the client from now on, so its time stands still. */
  hold(): void {
    this.#held = true;
  }

  /** The client is read from again, and has its whole time. */
  release(now: number): void {
    this.#held = false;
    if (this.#ping?.sentAt != null) this.#ping.sentAt = now;
  }

  due(now: number): DueAction {
    if (now >= this.#diesAt) return 'max_lifetime';
    if (now >= this.#activeAt + this.#timing.idleMs) return 'idle';
    if (now >= this.#pingDeadline()) return 'ping_timeout';
    return now >= this.#nextPingAt ? 'ping' : null;
  }

  /** When something may be due next. */
  next(): number {
    return Math.min(this.#diesAt, this.#activeAt + this.#timing.idleMs, this.#nextPingAt, this.#pingDeadline());
  }

  #pingDeadline(): number {
    const sentAt = this.#ping?.sentAt;
    if (!this.#timing.ping || sentAt == null || this.#ping?.alive || this.#held) return Number.POSITIVE_INFINITY;
    return sentAt + this.#timing.ping.timeout;
  }
}
