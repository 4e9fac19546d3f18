// The send queues of all terminated sessions against their one budget. Only what the kernel has not taken counts, so a
// client that keeps up costs nothing. When the budget is used up, the session with the most pending bytes is cut at
// once: its queue is the memory that is missing, and a Close would be queued behind all that the client does not read.
import type { MemoryBudget } from '../../base/memory-budget.ts';

/** Pending bytes from which on a session may be cut for the others. */
const MUCH = 256 * 1024;

/** One send queue, as the budget sees it. */
export interface Debtor {
  /** Bytes that are pending for its client, as they were settled last. */
  readonly settled: number;
  /** Ends its session and drops the queue. */
  giveUp(): void;
}

export class SendQueues {
  readonly #budget: MemoryBudget;
  /** Queues with many pending bytes. Their number is bounded by the budget. */
  readonly #large = new Set<Debtor>();

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  /** A queue has grown or shrunk from `before` to what is settled now. */
  settle(debtor: Debtor, before: number): void {
    const { settled } = debtor;
    this.#budget.add(settled - before);
    if (settled > MUCH) this.#large.add(debtor);
    else if (before > MUCH) this.#large.delete(debtor);
    if (settled <= before) return;
    // Each cut frees its bytes, so this ends; where no queue is large, the one that has grown is cut.
    while (this.#budget.exceeded && debtor.settled > 0) (this.#largest() ?? debtor).giveUp();
  }

  #largest(): Debtor | null {
    let largest: Debtor | null = null;
    for (const debtor of this.#large) if (debtor.settled > (largest?.settled ?? 0)) largest = debtor;
    return largest;
  }
}
