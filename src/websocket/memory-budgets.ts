// What terminated sessions may take of the process's memory beyond what each has for itself: histories of rooms, and
// queues. docs/limits.md has what is dropped when a budget is used up.
import { oldGenerationLimit } from '../base/heap.ts';
import { MemoryBudget } from '../base/memory-budget.ts';
import type { Sample, Sampler } from '../events.ts';

/** Each budget's share of the heap where the config sets none. */
const SHARE = 1 / 4;

/** In bytes; unset: a quarter of the heap. */
export interface MemoryLimits {
  readonly history?: number | undefined;
  readonly queues?: number | undefined;
}

export class MemoryBudgets implements Sampler {
  /** Messages that rooms keep, in this process. */
  readonly history = new MemoryBudget(defaultLimit());
  /** Messages that wait: for slow clients, for webhook backends, for the broker. */
  readonly queues = new MemoryBudget(defaultLimit());

  /** Takes the limits of a config. */
  configure({ history, queues }: MemoryLimits): void {
    this.history.resize(history ?? defaultLimit());
    this.queues.resize(queues ?? defaultLimit());
  }

  *sample(): Iterable<Sample> {
    for (const budget of ['history', 'queues'] as const) {
      const { used, limit } = this[budget];
      yield { metric: 'memory_budget_bytes', labels: { budget }, value: used };
      yield { metric: 'memory_budget_limit_bytes', labels: { budget }, value: limit };
    }
  }
}

function defaultLimit(): number {
  return Math.floor(oldGenerationLimit() * SHARE);
}
