// What terminated sessions may take of the process's memory beyond what each has for itself: histories of rooms, and
// queues. docs/limits.md has what is dropped when a budget is used up.
import { getHeapStatistics } from 'node:v8';
import { MemoryBudget } from '../base/memory-budget.ts';
import type { Sample, Sampler } from '../events.ts';

/** Each budget's share of the heap limit where the config sets none. */
const SHARE = 1 / 4;

/** In bytes; unset: a quarter of the heap limit. */
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
  return Math.floor(getHeapStatistics().heap_size_limit * SHARE);
}
