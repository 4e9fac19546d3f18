// One rate of the config at run time: a bucket for all, or one for each client.
import { Bucket, fullAfter, fullWhenEmpty, type Rate, waitOf } from '../base/token-bucket.ts';
import { ClientBuckets } from './client-buckets.ts';

/** One rate. The client matters only where each has a bucket of its own. */
export interface Limiter {
  /** Its id, the same in each gateway that has it: `chat handshakes_per_second_per_ip`. */
  readonly id: string;
  readonly rate: Rate;
  readonly perClient: boolean;
  /** Milliseconds until there is a token; 0: now. Takes none. */
  wait(client: string, now: number): number;
  take(client: string, now: number): void;
  /** What was taken and not used. */
  refund(client: string, now: number): void;
  /** Other gateways have taken the tokens: none for so many milliseconds. */
  empty(client: string, now: number, waitMs: number): void;
  /** Clients that it tracks at the moment. */
  clients(now: number): number;
}

/** A limiter with this rate for all clients together, or for each one. */
export function createLimiter(id: string, rate: Rate, of: 'all' | 'client'): Limiter {
  return of === 'all' ? new CommonLimiter(id, rate) : new ClientLimiter(id, rate);
}

class CommonLimiter implements Limiter {
  readonly id: string;
  readonly rate: Rate;
  readonly perClient = false;
  readonly #bucket: Bucket;

  constructor(id: string, rate: Rate) {
    this.id = id;
    this.rate = rate;
    this.#bucket = new Bucket(rate);
  }

  wait(_client: string, now: number): number {
    return this.#bucket.wait(now);
  }

  take(_client: string, now: number): void {
    this.#bucket.take(now);
  }

  refund(_client: string, now: number): void {
    this.#bucket.refund(now);
  }

  empty(_client: string, now: number, waitMs: number): void {
    this.#bucket.empty(now, waitMs);
  }

  clients(): number {
    return 0;
  }
}

/** The buckets are in client-buckets.ts. */
class ClientLimiter implements Limiter {
  readonly id: string;
  readonly rate: Rate;
  readonly perClient = true;
  readonly #fullAt = new ClientBuckets();

  constructor(id: string, rate: Rate) {
    this.id = id;
    this.rate = rate;
  }

  wait(client: string, now: number): number {
    return waitOf(this.rate, this.#fullAt.get(client), now);
  }

  take(client: string, now: number): void {
    this.#fullAt.set(client, fullAfter(this.rate, this.#fullAt.get(client), now));
  }

  refund(client: string, now: number): void {
    this.#fullAt.set(client, fullAfter(this.rate, this.#fullAt.get(client), now, -1));
  }

  empty(client: string, now: number, waitMs: number): void {
    const fullAt = this.#fullAt.get(client);
    this.#fullAt.set(client, Math.max(fullAt, fullWhenEmpty(this.rate, now, waitMs)));
  }

  clients(now: number): number {
    return this.#fullAt.count(now);
  }
}
