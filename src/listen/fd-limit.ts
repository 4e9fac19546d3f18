// Acts where descriptors run out while connections are accepted (base/fd-limit.ts has the reserve): first idle connections
// are closed, then new ones are refused.
import { FD_LIMITS, type FdLimits } from '../base/fd-limit.ts';
import { type Connection, fdOf } from '../net/fd-connection.ts';

/** Milliseconds between two searches for idle connections; a search goes through all connections. */
const RELIEVE_MS = 100;

export class FdGuard {
  readonly #closeIdle: () => void;
  readonly #limits: FdLimits;
  #relievedAt = Number.NEGATIVE_INFINITY;

  /** `closeIdle` closes every connection, of any listener, that waits for a next request. */
  constructor(closeIdle: () => void, limits: FdLimits = FD_LIMITS) {
    this.#closeIdle = closeIdle;
    this.#limits = limits;
  }

  /** Whether a connection that was accepted may stay. */
  admits(connection: Connection): boolean {
    const fd = fdOf(connection);
    if (fd >= this.#limits.pressing) this.relieve();
    return fd < this.#limits.clients;
  }

  /** Closes idle connections to make room for the next ones. */
  relieve(): void {
    const now = performance.now();
    if (now - this.#relievedAt < RELIEVE_MS) return;
    this.#relievedAt = now;
    this.#closeIdle();
  }
}
