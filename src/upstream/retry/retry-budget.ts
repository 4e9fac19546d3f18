// How many retries an upstream may get: a share of its requests over the last ten seconds, and a few in any case. When
// every server fails, retries would else multiply the load just when it can't be borne.
import type { UpstreamConfig } from '../../config/schema/schema.ts';
import { Window } from '../health/window.ts';

export type RetryConfig = UpstreamConfig['retry'];

const WINDOW_MS = 10_000;

export class RetryBudget {
  readonly #config: RetryConfig;
  /** Everything sent, retries marked. */
  readonly #sent: Window;

  /** Takes over what an earlier config has counted. */
  constructor(config: RetryConfig, previous: RetryBudget | null) {
    this.#config = config;
    this.#sent = previous === null ? new Window(WINDOW_MS) : previous.#sent;
  }

  /** A request begins. */
  count(): void {
    this.#sent.add(false, performance.now());
  }

  /** Whether a request that went to so many servers may go to another one, the budget aside. */
  allows(tried: number): boolean {
    return this.#config !== 'off' && tried < this.#config.attempts;
  }

  /** Takes one retry out of the budget; false where nothing is left. */
  spend(): boolean {
    if (this.#config === 'off') return false;
    const now = performance.now();
    const { all, marked } = this.#sent.sums(now);
    if (marked >= Math.max(this.#config.min, (all - marked) * this.#config.budget)) return false;
    this.#sent.add(true, now);
    return true;
  }
}
