// What a client sends against the limits of its route: messages and bytes a second, and what ws may keep of a message that is not
// whole yet, which counts in the budget of all sessions too. Pings, pongs and empty fragments cost as much as messages and
// count as such.
import { Fragments } from './fragments.ts';
import { type MessageRates, openRates, type RateLimits } from './rate.ts';
import type { Holder, SessionMemory } from './session-memory.ts';

export interface InboundLimits extends RateLimits {
  /** Bytes that may have come of a message, all frames between its first and its last one included. */
  readonly most_held: number;
}

/** What a chunk costs beside its bytes: node's buffer, and ws's list of them. */
const CHUNK_COST = 256;
/** The most that deflate makes of one byte (RFC 1951: 258 bytes of two bits each). ws inflates each fragment as it is whole. */
const MAX_INFLATION = 1032;

export interface InboundOptions {
  readonly limits: InboundLimits;
  /** Bytes that ws may keep of a message inflated; 0 where none comes compressed. */
  readonly mostInflated: number;
  readonly sendQueue: { readonly memory: SessionMemory };
}

/** The session. */
export interface InboundOwner {
  close(code: number, reason: string): void;
  cut(reason: string): void;
}

/** Why a client is closed with 1008. */
type Excess = 'rate_limit' | 'too_many_parts';

export class Inbound implements Holder {
  readonly #mostHeld: number;
  readonly #mostInflated: number;
  readonly #memory: SessionMemory;
  readonly #owner: InboundOwner;
  readonly #rates: MessageRates | null;
  readonly #fragments = new Fragments();
  #settled = 0;
  #closed = false;

  constructor({ limits, mostInflated, sendQueue }: InboundOptions, owner: InboundOwner) {
    this.#mostHeld = limits.most_held;
    this.#mostInflated = mostInflated;
    this.#memory = sendQueue.memory;
    this.#owner = owner;
    this.#rates = openRates(limits);
  }

  /** Bytes that ws keeps of a message that is not whole, as the budget of all sessions counts them. */
  get settled(): number {
    return this.#settled;
  }

  /** Bytes have come that ws has not seen yet; null: they are within the limits. `now` in milliseconds. */
  chunk(chunk: Buffer, now: number): Excess | null {
    const empty = this.#fragments.read(chunk);
    this.#settle();
    if (this.#fragments.held.bytes > this.#mostHeld) return 'too_many_parts';
    return empty === 0 ? null : this.count(empty, 0, now);
  }

  /** So many messages of so many bytes in all have come. */
  count(messages: number, bytes: number, now: number): Excess | null {
    return this.#rates?.take(messages, bytes, now) === false ? 'rate_limit' : null;
  }

  /** Nothing comes any more, and ws keeps nothing. */
  close(): void {
    this.#closed = true;
    this.#settle();
  }

  /** All sessions together hold too much, and this one was chosen. Its Close goes out where nothing else waits before it. */
  giveUp(): void {
    this.close();
    this.#owner.close(1013, 'queues_full');
    this.#owner.cut('queues_full');
  }

  #settle(): void {
    const before = this.#settled;
    this.#settled = this.#closed ? 0 : this.#kept();
    if (this.#settled !== before) this.#memory.settle(this, before);
  }

  #kept(): number {
    const { bytes, chunks, fragments } = this.#fragments.held;
    return bytes + chunks * CHUNK_COST + Math.min(fragments * MAX_INFLATION, this.#mostInflated);
  }
}
