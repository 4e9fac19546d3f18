// Two counts over the last so many milliseconds: how many there were, and how many of them were marked. In ten parts, so
// that memory is fixed; a part is forgotten whole.

const PARTS = 10;

export class Window {
  readonly ms: number;
  readonly #part: number;
  readonly #all = new Uint32Array(PARTS);
  readonly #marked = new Uint32Array(PARTS);
  /** The number of the newest part since the beginning of time. */
  #newest = Number.NEGATIVE_INFINITY;

  constructor(ms: number) {
    this.ms = ms;
    this.#part = ms / PARTS;
  }

  add(marked: boolean, now: number): void {
    const slot = this.#advance(now);
    this.#all[slot] = (this.#all[slot] as number) + 1;
    if (marked) this.#marked[slot] = (this.#marked[slot] as number) + 1;
  }

  sums(now: number): { all: number; marked: number } {
    this.#advance(now);
    let [all, marked] = [0, 0];
    for (let slot = 0; slot < PARTS; slot++) {
      all += this.#all[slot] as number;
      marked += this.#marked[slot] as number;
    }
    return { all, marked };
  }

  /** Forgets the parts that are over; the slot of now. */
  #advance(now: number): number {
    const part = Math.floor(now / this.#part);
    for (let old = Math.max(this.#newest + 1, part - PARTS + 1); old <= part; old++) {
      this.#all[old % PARTS] = 0;
      this.#marked[old % PARTS] = 0;
    }
    this.#newest = Math.max(this.#newest, part);
    return part % PARTS;
  }
}
