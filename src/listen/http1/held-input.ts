// What has been read of a connection before its turn: the requests behind the one that is being answered. What all
// connections together hold has a bound, and what one holds stops its reading.
import type { MemoryBudget } from '../../base/memory-budget.ts';

/** Of one connection, in bytes; it is read no further then, and one read more may stand on top. */
const FULL = 64 * 1024;
const NOTHING = Buffer.alloc(0);

export class HeldInput {
  readonly #budget: MemoryBudget;
  #parts: Buffer[] = [];
  #size = 0;

  /** `budget`: of all connections together. */
  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  get any(): boolean {
    return this.#size > 0;
  }

  /** Whether no more should be read. */
  get full(): boolean {
    return this.#size >= FULL;
  }

  /** Adds what came behind all that is held; false where all connections hold too much. */
  add(bytes: Buffer): boolean {
    if (!this.#budget.fits(bytes.length)) return false;
    // A small rest must not hold the whole of a large read.
    this.#parts.push(bytes.length < bytes.buffer.byteLength / 2 ? Buffer.from(bytes) : bytes);
    this.#size += bytes.length;
    this.#budget.add(bytes.length);
    return true;
  }

  /** All of it, which is held no more. */
  take(): Buffer {
    const bytes = this.joined();
    this.#budget.remove(this.#size);
    this.#parts = [];
    this.#size = 0;
    return bytes;
  }

  /** All of it, in one piece. */
  joined(): Buffer {
    if (this.#parts.length > 1) this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0] ?? NOTHING;
  }
}
