// What a client sends against the limits of its route: messages and bytes a second, and what ws may keep of a message that is not
// whole yet. Pings, pongs and empty fragments cost as much as messages and count as such.
import { Fragments } from './fragments.ts';
import { type MessageRates, openRates, type RateLimits } from './rate.ts';

export interface InboundLimits extends RateLimits {
  /** Bytes that may have come of a message, all frames between its first and its last one included. */
  readonly most_held: number;
}

/** Why a client is closed with 1008. */
type Excess = 'rate_limit' | 'too_many_parts';

export class Inbound {
  readonly #rates: MessageRates | null;
  readonly #fragments = new Fragments();
  readonly #mostHeld: number;

  constructor(limits: InboundLimits) {
    this.#rates = openRates(limits);
    this.#mostHeld = limits.most_held;
  }

  /** Bytes have come that ws has not seen yet; null: they are within the limits. `now` in milliseconds. */
  chunk(chunk: Buffer, now: number): Excess | null {
    const { empty, held } = this.#fragments.read(chunk);
    if (held > this.#mostHeld) return 'too_many_parts';
    return empty === 0 ? null : this.count(empty, 0, now);
  }

  /** So many messages of so many bytes in all have come. */
  count(messages: number, bytes: number, now: number): Excess | null {
    return this.#rates?.take(messages, bytes, now) === false ? 'rate_limit' : null;
  }
}
