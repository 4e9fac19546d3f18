// Closes a number of sessions at a pace, so that their clients come back little by little. A session that has ended meanwhile
// costs nothing of the pace.
import { guarded } from '../base/guard.ts';
import { Bucket } from '../base/token-bucket.ts';
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import type { Session } from './registry.ts';

export interface PacedCloseOptions {
  readonly code: number;
  /** What the Close says, and the log. */
  readonly reason: string;
  /** Closed a second; infinite: all at once. */
  readonly rate: number;
  /** Called with each just before it is asked to close. */
  readonly onClose?: (session: Session) => void;
  /** Called once none is left to ask. */
  readonly onDone?: () => void;
}

const TICK_MS = 100;

export class PacedClose {
  readonly #options: PacedCloseOptions;
  readonly #left: Session[];
  readonly #bucket: Bucket | null;
  #timer: NodeJS.Timeout | undefined;

  /** Begins at once; the sessions are closed in their order. */
  constructor(sessions: readonly Session[], options: PacedCloseOptions) {
    this.#options = options;
    this.#left = [...sessions].reverse();
    const { rate } = options;
    this.#bucket = Number.isFinite(rate) ? new Bucket({ rate, burst: Math.max(1, (rate * TICK_MS) / 1000) }) : null;
    const tick = guarded('drain', () => this.#tick());
    this.#timer = setInterval(tick, TICK_MS);
    tick();
  }

  /** Sessions that were not asked yet. */
  get left(): number {
    return this.#left.length;
  }

  /** Asks no more of them. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#left.length = 0;
  }

  #tick(): void {
    if (this.#timer === undefined) return;
    const now = performance.now();
    while ((this.#bucket?.wait(now) ?? 0) === 0) {
      const session = this.#left.pop();
      if (session === undefined) {
        this.stop();
        this.#options.onDone?.();
        return;
      }
      if (!session.live) continue;
      this.#bucket?.take(now);
      this.#options.onClose?.(session);
      session.close(this.#options.code, this.#options.reason, CLOSE_TIMEOUT_MS);
    }
  }
}
