// How much a client may send in a second: buckets that hold one second's worth. That of bytes may be overdrawn by one message,
// so that one larger than a second's worth passes and is paid for afterwards. They have no clock of their own.
import { Bucket } from '../../base/token-bucket.ts';

export interface RateLimits {
  readonly messages_per_second?: number | undefined;
  readonly bytes_per_second?: number | undefined;
}

/** How much one client may send. */
export class MessageRates {
  readonly #messages: Bucket | null;
  readonly #bytes: Bucket | null;

  constructor({ messages_per_second, bytes_per_second }: RateLimits) {
    this.#messages = messages_per_second === undefined ? null : Bucket.perSecond(messages_per_second);
    this.#bytes = bytes_per_second === undefined ? null : Bucket.perSecond(bytes_per_second);
  }

  /** So many messages of so many bytes in all have come; false where they are too many. `now` in milliseconds. */
  take(messages: number, bytes: number, now: number): boolean {
    // Messages that come in one read are judged as if each had come alone.
    return spend(this.#messages, messages, now, messages) && spend(this.#bytes, bytes, now, 1);
  }
}

/** False where less than `needed` was left, and then nothing is taken. Nothing costs nothing. */
function spend(bucket: Bucket | null, amount: number, now: number, needed: number): boolean {
  if (bucket === null || amount === 0) return true;
  if (bucket.wait(now, needed) > 0) return false;
  bucket.take(now, amount);
  return true;
}

/** The rates of one client, or null where the route has none. */
export function openRates(limits: RateLimits): MessageRates | null {
  const none = limits.messages_per_second === undefined && limits.bytes_per_second === undefined;
  return none ? null : new MessageRates(limits);
}
