// Bytes a second of one session, between two looks at it: nobody looks at most sessions, and those cost nothing.

/** Two looks nearer than this give the same rate. */
const LEAST_MS = 1000;

export class SessionRate {
  #at: number;
  #bytes = 0;
  #perSecond = 0;
  #looked = false;

  /** `openedAt`: the first look gives the average since then. Times by performance.now(). */
  constructor(openedAt: number) {
    this.#at = openedAt;
  }

  /** Bytes a second since the last look; `bytes` is all that the session has carried. */
  look(bytes: number, now: number): number {
    const passed = now - this.#at;
    if (this.#looked && passed < LEAST_MS) return this.#perSecond;
    this.#perSecond = passed <= 0 ? 0 : ((bytes - this.#bytes) * 1000) / Math.max(passed, LEAST_MS);
    this.#at = now;
    this.#bytes = bytes;
    this.#looked = true;
    return this.#perSecond;
  }
}
