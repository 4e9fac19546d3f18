// Pings of the gateway's own toward one side, and whether that side is alive. Alive means any byte read from it since the
// ping, for an end may answer only the newest of several pings (RFC 6455 §5.5.3); for the same reason none goes out while
// the other end's own ping toward that side is unanswered: that one counts as ours.
import { randomBytes } from 'node:crypto';
import type { RouteCounters } from '../counters.ts';
import type { PingOptions } from '../relay.ts';
import type { Conn } from './conn.ts';
import { WANT } from './flow.ts';
import { buildPing, readPayload } from './frames.ts';

export class Pinger {
  readonly #conn: Conn;
  readonly #options: PingOptions;
  readonly #counters: RouteCounters['pings'];
  /** How often a wait for an answer is looked at. */
  readonly #step: number;
  /** When the next ping is due, and when due() was last called. */
  #nextAt: number;
  #seenAt: number;

  /** Waiting for a byte: what was read when the ping went out, and how long we have listened since. */
  #waiting = false;
  #mark = 0;
  #listened = 0;
  /** Our ping waits for a boundary or in the socket; time stands still. */
  #queued = false;
  /** The payload of our newest ping, until its pong has been dropped. */
  #outstanding: Buffer | null = null;
  /** The newest unanswered ping of the other end, as a digest; 0: none. And what was read when it passed. */
  #foreign = 0;
  #foreignMark = 0;

  constructor(conn: Conn, options: PingOptions, counters: RouteCounters['pings'], now: number) {
    this.#conn = conn;
    this.#options = options;
    this.#counters = counters;
    this.#step = Math.min(Math.max(options.timeoutMs / 4, 100), 1000);
    this.#nextAt = now + options.everyMs;
    this.#seenAt = now;
  }

  get nextAt(): number {
    return this.#nextAt;
  }

  /** Looks at the clock; returns when to look again. */
  due(now: number): number {
    const conn = this.#conn;
    const passed = Math.min(now - this.#seenAt, 2 * this.#step);
    this.#seenAt = now;
    if (conn.closeOut !== 'none' || conn.closeIn || conn.writeClosed || conn.finIn || conn.tunnel.ending !== null) {
      return Number.POSITIVE_INFINITY;
    }
    if (this.#waiting) this.#listen(passed);
    if (now >= this.#nextAt) {
      this.#nextAt = now + this.#options.everyMs;
      if (!this.#waiting) this.#begin();
    }
    return this.#waiting ? Math.min(now + this.#step, this.#nextAt) : this.#nextAt;
  }

  /** Time counts only while the ping is out and the side is read. */
  #listen(passed: number): void {
    const conn = this.#conn;
    if (conn.reads !== this.#mark && !this.#queued) this.#waiting = false;
    else if (!this.#queued && conn.blocks === 0) this.#listened += passed;
    if (!this.#waiting || this.#listened < this.#options.timeoutMs) return;
    this.#waiting = false;
    this.#counters.timeout++;
    conn.tunnel.pingTimedOut(conn);
  }

  #begin(): void {
    const conn = this.#conn;
    const toward = conn.peer.flow;
    if (!conn.flow.followed || !toward.followed) return;
    this.#waiting = true;
    this.#listened = 0;
    this.#mark = this.#foreignMark;
    if (this.#foreign !== 0) return;
    this.#queued = true;
    toward.wants |= WANT.ping;
    toward.offer();
  }

  /** The direction toward the side is between two frames. */
  send(): void {
    const conn = this.#conn;
    this.#outstanding = randomBytes(8);
    this.#counters.sent++;
    conn.socket.write(buildPing(this.#outstanding, conn.role), () => {
      this.#queued = false;
      this.#mark = conn.reads;
    });
  }

  /** A ping of the other end has passed toward this side. */
  passPing(frame: Buffer): void {
    this.#foreign = digest(readPayload(frame));
    this.#foreignMark = this.#conn.reads;
  }

  /** A pong came from this side; true where it answers our own ping, and goes no further. */
  pong(frame: Buffer): boolean {
    const payload = readPayload(frame);
    if (this.#outstanding?.equals(payload)) {
      this.#outstanding = null;
      this.#counters.pong++;
      return true;
    }
    if (digest(payload) === this.#foreign) this.#foreign = 0;
    return false;
  }
}

/** FNV-1a over a control frame's payload; never 0. */
function digest(payload: Buffer): number {
  let hash = 0x811c9dc5 ^ payload.length;
  for (const byte of payload) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash | 1;
}
