// Whether this process stood still for a while: stopped by a debugger, paused with its container or its machine, or starved
// of processor time.

/** So much later than the one before, in milliseconds, no timer comes that is due many times a second. */
const LATE_MS = 500;

/**
 * For a timer that checks for timeouts many times a second. Where the process stood still, what peers have sent
 * meanwhile waits in the sockets, and is to be read before any peer times out: such a check is skipped, though never
 * two in a row.
 */
export class StallDetector {
  #lookedAt: number;
  #left = false;

  /** `now` as in leaves(): when the timer is set. */
  constructor(now: number) {
    this.#lookedAt = now;
  }

  /** Called at each check, with milliseconds of a clock that never goes back: whether this one is skipped. */
  leaves(now: number): boolean {
    const late = now - this.#lookedAt > LATE_MS;
    this.#lookedAt = now;
    this.#left = late && !this.#left;
    return this.#left;
  }
}
