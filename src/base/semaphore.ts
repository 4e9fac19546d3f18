// A semaphore: so many permits at a time, the others queued, first come first served.

/** Releases the permit; further calls do nothing. */
export type Release = () => void;

export class Semaphore {
  readonly #permits: number;
  readonly #waiters = new Set<() => void>();
  #taken = 0;

  constructor(permits: number) {
    this.#permits = permits;
  }

  /** How many wait in the queue. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** Waits for a permit; rejects with the reason of `signal` once it is aborted. Null: the wait can't be cancelled. */
  acquire(signal: AbortSignal | null): Promise<Release> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => {
        this.#waiters.delete(onTurn);
        reject(signal?.reason);
      };
      const onTurn = (): void => {
        signal?.removeEventListener('abort', onAbort);
        this.#taken++;
        resolve(this.#turn());
      };
      if (this.#taken < this.#permits) return onTurn();
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(onTurn);
    });
  }

  #turn(): Release {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken--;
      const [next] = this.#waiters;
      if (next === undefined) return;
      this.#waiters.delete(next);
      next();
    };
  }
}
