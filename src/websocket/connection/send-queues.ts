// The send queues of all terminated sessions against their one budget. Only what the kernel has not taken counts, so a client
// that keeps up owes nothing. When the budget is used up, whoever is owed most is given up at once: its queue is the memory
// that is missing, and a Close would stand behind all that the client does not read.
import type { MemoryBudget } from '../../base/memory-budget.ts';

/** Bytes owed to a client from which on it is one of those that may be given up for others. */
const MUCH = 256 * 1024;

/** One send queue, as the budget sees it. */
export interface Debtor {
  /** Bytes that are owed to its client, as they were settled last. */
  readonly settled: number;
  /** Ends its session and lets go of the queue. */
  giveUp(): void;
}

export class SendQueues {
  readonly #budget: MemoryBudget;
  /** Those that are owed much. Their number is bounded by the budget. */
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
    // Each of them counts off, so this ends; where nobody is owed much, it is the one that has grown.
    while (this.#budget.exceeded && debtor.settled > 0) (this.#largest() ?? debtor).giveUp();
  }

  #largest(): Debtor | null {
    let largest: Debtor | null = null;
    for (const debtor of this.#large) if (debtor.settled > (largest?.settled ?? 0)) largest = debtor;
    return largest;
  }
}
