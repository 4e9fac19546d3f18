// How often the streams of one connection may end by a reset. A reset costs its sender nothing, and the one who serves the
// request much (CVE-2023-44487); node 20 goes on reading when nghttp2 has had enough, and bounds none of the resets that a
// client makes node send (CVE-2025-8671).
import { Bucket, type Rate } from '../../base/token-bucket.ts';

/**
 * Just under nghttp2's own 1,000 and 33 a second, so that ours comes first and ends the connection on every node. A page
 * of hundreds of modules that is reloaded resets as many at once, and may.
 */
const RESETS: Rate = { rate: 30, burst: 800 };

export class ResetBudget {
  readonly #bucket = new Bucket(RESETS);

  /** Counts one; false: there were too many, and the connection is to be ended. `now` in milliseconds. */
  take(now: number): boolean {
    if (this.#bucket.wait(now) > 0) return false;
    this.#bucket.take(now);
    return true;
  }
}
