// So many at a time, the others in line, first come first served.

/** Gives the turn back; more calls than one do nothing. */
export type Release = () => void;

export class Semaphore {
  readonly #most: number;
  readonly #line = new Set<() => void>();
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** How many stand in line. */
  get waiting(): number {
    return this.#line.size;
  }

  /** Waits for a turn; rejects with the reason of `gone` once it is aborted. Null: nobody can leave. */
  acquire(gone: AbortSignal | null): Promise<Release> {
    return new Promise((resolve, reject) => {
      if (gone?.aborted) return reject(gone.reason);
      const onGone = (): void => {
        this.#line.delete(onTurn);
        reject(gone?.reason);
      };
      const onTurn = (): void => {
        gone?.removeEventListener('abort', onGone);
        this.#taken++;
        resolve(this.#turn());
      };
      if (this.#taken < this.#most) return onTurn();
      gone?.addEventListener('abort', onGone, { once: true });
      this.#line.add(onTurn);
    });
  }

  #turn(): Release {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken--;
      const [next] = this.#line;
      if (next === undefined) return;
      this.#line.delete(next);
      next();
    };
  }
}
