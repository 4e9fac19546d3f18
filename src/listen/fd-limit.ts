// What is done about descriptors that run out, as connections are accepted (base/fd-limit.ts says which are kept): idle
// connections are closed first, and then new ones are refused.
import { FD_LIMITS, type FdLimits } from '../base/fd-limit.ts';
import { type Connection, fdOf } from '../net/fd-connection.ts';

/** Looking for idle connections goes through all there are. */
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

  /** Makes room for the next connections. */
  relieve(): void {
    const now = performance.now();
    if (now - this.#relievedAt < RELIEVE_MS) return;
    this.#relievedAt = now;
    this.#closeIdle();
  }
}
