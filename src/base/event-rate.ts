// How often something happens at the moment, in two numbers: an average in which what lies `TAU_MS` back counts a third.

const TAU_MS = 10_000;

export class EventRate {
  #perMs = 0;
  #at = 0;

  /** It happened; `now` in milliseconds, never less than before. */
  add(now: number): void {
    this.#perMs = this.#decayed(now) + 1 / TAU_MS;
    this.#at = now;
  }

  /** Times a second. */
  perSecond(now: number): number {
    return this.#decayed(now) * 1000;
  }

  #decayed(now: number): number {
    return this.#perMs * Math.exp((this.#at - now) / TAU_MS);
  }
}
