// How much may come in a second: a bucket that fills with time, holds one second's worth, and may be overdrawn by one message,
// so that one larger than a second's worth is let through and paid for afterwards. It has no clock of its own.

export class Rate {
  readonly #perMs: number;
  readonly #most: number;
  #left: number;
  #at: number;

  /** `now` in milliseconds, as in take(). */
  constructor(perSecond: number, now: number) {
    this.#perMs = perSecond / 1000;
    this.#most = perSecond;
    this.#left = perSecond;
    this.#at = now;
  }

  /** Takes as much; false where less than one was left, and then nothing is taken. */
  take(amount: number, now: number): boolean {
    this.#left = Math.min(this.#most, this.#left + (now - this.#at) * this.#perMs);
    this.#at = now;
    // One whole one must be there; floating point must not refuse the last of a burst.
    if (this.#left < Math.min(amount, 1) - 1e-9) return false;
    this.#left -= amount;
    return true;
  }
}

export interface RateLimits {
  readonly messages_per_second?: number | undefined;
  readonly bytes_per_second?: number | undefined;
}

/** How much one client may send. */
export class MessageRates {
  readonly #messages: Rate | undefined;
  readonly #bytes: Rate | undefined;

  constructor({ messages_per_second, bytes_per_second }: RateLimits, now: number) {
    if (messages_per_second !== undefined) this.#messages = new Rate(messages_per_second, now);
    if (bytes_per_second !== undefined) this.#bytes = new Rate(bytes_per_second, now);
  }

  /** So many messages of so many bytes in all have come; false where they are too many. */
  take(messages: number, bytes: number, now: number): boolean {
    return (this.#messages?.take(messages, now) ?? true) && (this.#bytes?.take(bytes, now) ?? true);
  }
}

/** The rates of one client, or null where the route has none. */
export function openRates(limits: RateLimits, now: number): MessageRates | null {
  const none = limits.messages_per_second === undefined && limits.bytes_per_second === undefined;
  return none ? null : new MessageRates(limits, now);
}
