// A semaphore of bytes: so many under way at a time, the others queued, first come first served.

interface Waiter {
  readonly bytes: number;
  readonly go: () => void;
}

export class ByteSemaphore {
  #free: number;
  #underWay = 0;
  readonly #waiters: Waiter[] = [];

  constructor(bytes: number) {
    this.#free = bytes;
  }

  /** Takes so many bytes, now (null) or once the promise resolves. What is larger than the whole limit goes alone. */
  acquire(bytes: number): Promise<void> | null {
    if (this.#waiters.length === 0 && this.#mayGo(bytes)) {
      this.#take(bytes);
      return null;
    }
    return new Promise((go) => this.#waiters.push({ bytes, go }));
  }

  /** Releases what was acquired. */
  release(bytes: number): void {
    this.#free += bytes;
    this.#underWay--;
    for (let next = this.#waiters[0]; next !== undefined && this.#mayGo(next.bytes); next = this.#waiters[0]) {
      this.#waiters.shift();
      this.#take(next.bytes);
      next.go();
    }
  }

  #mayGo(bytes: number): boolean {
    return bytes <= this.#free || this.#underWay === 0;
  }

  #take(bytes: number): void {
    this.#free -= bytes;
    this.#underWay++;
  }
}
