// The servers that one request is sent to, one after the other: each at most once, as many as the config allows, and
// further ones only while the retries of the upstream stay a small share of its traffic.
import type { Emit } from '../../events.ts';
import type { Ask } from '../balance/key.ts';
import type { Lease } from '../lease.ts';
import type { Pool } from '../pool.ts';
import type { Server } from '../server.ts';

export class RetryState {
  readonly #pool: Pool;
  readonly #ask: Ask;
  readonly #emit: Emit;
  readonly #tried: Server[] = [];

  /** `emit` gets an event for each retry. */
  constructor(pool: Pool, ask: Ask, emit: Emit) {
    this.#pool = pool;
    this.#ask = ask;
    this.#emit = emit;
  }

  /** The first server, or the next one after a failure; null where there is none, or no more may be tried. */
  next(): Lease | null {
    const first = this.#tried.length === 0;
    if (first) this.#pool.budget.count();
    else if (!this.#pool.budget.allows(this.#tried.length)) return null;
    const server = this.#pool.pick(this.#ask, this.#tried);
    if (server === null || !(first || this.#spend())) return null;
    this.#tried.push(server);
    return this.#pool.take(server, this.#ask);
  }

  #spend(): boolean {
    const granted = this.#pool.budget.spend();
    const result = granted ? 'retried' : 'over_budget';
    const server = this.#tried.at(-1)?.url ?? '';
    this.#emit({ type: 'upstream_retry', upstream: this.#pool.name, server, result });
    return granted;
  }
}
