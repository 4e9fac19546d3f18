// So many at a time, the others in line, first come first served.

/** Gives the permit back; more calls than one do nothing. */
export type Release = () => void;

export class Semaphore {
  readonly #permits: number;
  readonly #waiters = new Set<() => void>();
  #taken = 0;

  constructor(permits: number) {
    this.#permits = permits;
  }

  /** How many stand in line. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** Waits for a turn; rejects with the reason of `gone` once it is aborted. Null: nobody can leave. */
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
