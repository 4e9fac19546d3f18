// Token buckets: so many tokens come in each second, at most `burst` are kept, and what passes takes one. A bucket is
// one number, the time at which it will be full again: one that is full needs no memory at all. It has no clock of its
// own. Users: limits/, the servers of an upstream (upstream/server.ts), and what a client may send, in
// websocket/connection/rate.ts and relay/js/limits.ts.

/** So many a second, and so many at once after a pause. */
export interface Rate {
  /** Tokens a second; a fraction is fine. */
  readonly rate: number;
  /** Most tokens that are kept, at least 1. */
  readonly burst: number;
}

/** As a share of a token: rounding must not refuse the last one of a burst. */
const SLACK = 1e-6;

/** Milliseconds until a bucket that is full at `fullAt` has so many tokens; 0 where it has them. */
export function waitOf({ rate, burst }: Rate, fullAt: number, now: number, tokens = 1): number {
  const missing = (Math.max(0, fullAt - now) * rate) / 1000;
  const lacking = tokens - (burst - missing);
  return lacking <= SLACK ? 0 : (lacking * 1000) / rate;
}

/** When a bucket will be full once `amount` was taken; negative where it is given back. */
export function fullAfter({ rate }: Rate, fullAt: number, now: number, amount = 1): number {
  return Math.max(fullAt, now) + (amount * 1000) / rate;
}

/** When a bucket will be full that has its next token in so many milliseconds, and not before. */
export function fullWhenEmpty({ rate, burst }: Rate, now: number, waitMs: number): number {
  return now + waitMs + ((burst - 1) * 1000) / rate;
}

/** One bucket, full at first. */
export class Bucket {
  readonly rate: Rate;
  #fullAt = 0;

  constructor(rate: Rate) {
    this.rate = rate;
  }

  /** One that keeps a second's worth. */
  static perSecond(tokens: number): Bucket {
    return new Bucket({ rate: tokens, burst: tokens });
  }

  /** Milliseconds until there are so many tokens; `now` in milliseconds of a clock that never goes back. */
  wait(now: number, tokens = 1): number {
    return waitOf(this.rate, this.#fullAt, now, tokens);
  }

  /** Takes so many whether they are there or not; the bucket may be overdrawn. */
  take(now: number, amount = 1): void {
    this.#fullAt = fullAfter(this.rate, this.#fullAt, now, amount);
  }

  /** Milliseconds until what was overdrawn has come in; 0: nothing was. */
  debt(now: number): number {
    return waitOf(this.rate, this.#fullAt, now, 0);
  }

  /** Gives one back that was taken and not used. */
  refund(now: number): void {
    this.take(now, -1);
  }

  /** There is no token for so many milliseconds, whatever was taken here: others have taken them. */
  empty(now: number, waitMs: number): void {
    this.#fullAt = Math.max(this.#fullAt, fullWhenEmpty(this.rate, now, waitMs));
  }
}
