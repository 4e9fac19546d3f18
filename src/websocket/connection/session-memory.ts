// What all terminated sessions hold in memory against their one budget: what the kernel has not taken of what is sent to
// clients, so that one that keeps up costs nothing, and what has come of messages that are not whole yet. When the budget
// is used up, the session that holds most is cut at once: a queue would have a Close stand behind all that its client does
// not read, and a message in parts is held until the session ends.
import type { MemoryBudget } from '../../base/memory-budget.ts';

/** Bytes from which on a session may be cut for the others. */
const MUCH = 64 * 1024;

/** One send queue, or one message that is not whole, as the budget sees it. */
export interface Holder {
  /** Bytes that it holds, as they were settled last. */
  readonly settled: number;
  /** Ends its session and drops what it holds. */
  giveUp(): void;
}

export class SessionMemory {
  readonly #budget: MemoryBudget;
  /** Those that hold much. Their number is bounded by the budget. */
  readonly #large = new Set<Holder>();

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  /** A holder's bytes have grown or shrunk from `before` to what is settled now. */
  settle(holder: Holder, before: number): void {
    const { settled } = holder;
    this.#budget.add(settled - before);
    if (settled > MUCH) this.#large.add(holder);
    else if (before > MUCH) this.#large.delete(holder);
    if (settled <= before) return;
    // Each cut frees its bytes, so this ends; where none holds much, the one that has grown is cut.
    while (this.#budget.exceeded && holder.settled > 0) (this.#largest() ?? holder).giveUp();
  }

  #largest(): Holder | null {
    let largest: Holder | null = null;
    for (const holder of this.#large) if (holder.settled > (largest?.settled ?? 0)) largest = holder;
    return largest;
  }
}
