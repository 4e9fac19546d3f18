// So many bytes under way at a time; the others in line, first come first served.

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

export class ByteSemaphore {
  #left: number;
  #underWay = 0;
  readonly #line: Waiting[] = [];

  constructor(most: number) {
    this.#left = most;
  }

  /** Takes so many bytes, now (null) or once the promise resolves. What is larger than all there is goes alone. */
  acquire(bytes: number): Promise<void> | null {
    if (this.#line.length === 0 && this.#mayGo(bytes)) {
      this.#take(bytes);
      return null;
    }
    return new Promise((go) => this.#line.push({ bytes, go }));
  }

  /** Gives back what was acquired. */
  release(bytes: number): void {
    this.#left += bytes;
    this.#underWay--;
    for (let next = this.#line[0]; next !== undefined && this.#mayGo(next.bytes); next = this.#line[0]) {
      this.#line.shift();
      this.#take(next.bytes);
      next.go();
    }
  }

  #mayGo(bytes: number): boolean {
    return bytes <= this.#left || this.#underWay === 0;
  }

  #take(bytes: number): void {
    this.#left -= bytes;
    this.#underWay++;
  }
}
