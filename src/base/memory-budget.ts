// A budget in bytes that everything of one kind shares, over all connections and rooms of the process. It only counts;
// its users decide what is dropped when it is exceeded.

export class MemoryBudget {
  #limit: number;
  #used = 0;

  /** `limit` in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes. */
  get limit(): number {
    return this.#limit;
  }

  /** Bytes that are counted now; may exceed the limit until something was dropped. */
  get used(): number {
    return this.#used;
  }

  get exceeded(): boolean {
    return this.#used > this.#limit;
  }

  /** Whether so many bytes more stay within the limit. */
  fits(bytes: number): boolean {
    return this.#used + bytes <= this.#limit;
  }

  /** Sets the limit; what is counted already stays counted. */
  resize(limit: number): void {
    this.#limit = limit;
  }

  /** Counts so many bytes more. */
  add(bytes: number): void {
    this.#used += bytes;
  }

  /** Takes off so many bytes that were added before. */
  remove(bytes: number): void {
    this.#used -= bytes;
  }
}

/** Bytes that a string takes in V8: one a character, or two where any is beyond Latin-1. */
export function bytesOf(text: string): number {
  return BEYOND_LATIN_1.test(text) ? 2 * text.length : text.length;
}

const BEYOND_LATIN_1 = /[^\0-\xff]/;
