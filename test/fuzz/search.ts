// The search for an input that breaks a target's promise: the corpus is changed at random, and what reaches a new part of
// src, or has a new outcome, joins it. Coverage is taken for many inputs together, and one by one only where it grew.
import { type Coverage, openCoverage, type Place } from './coverage.ts';
import { chanceOf, mutate, shrink } from './mutate.ts';
import { type Check, keepInput, readCorpus, type Target } from './target.ts';
import { openWatch } from './watch.ts';

export interface SearchOptions {
  readonly seed: number;
  /** When to end: asked between batches. */
  readonly over: (runs: number) => boolean;
  /** Follow coverage; without it only outcomes are followed. */
  readonly guided: boolean;
  /** Where inputs that led to something new go, beside the corpus in memory. */
  readonly kept?: (input: Buffer) => void;
}

export interface Found {
  readonly runs: number;
  /** Characters of src that have run. */
  readonly covered: number;
  readonly outcomes: number;
  readonly corpus: number;
}

/** The processor time an input takes at most; a busy machine makes nothing slow by that clock. */
const SLOW_MS = 2000;
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const BATCH = 512;

/** Searches, and throws at the first find: its input, made small, is in the corpus then. */
export async function search(target: Target, options: SearchOptions): Promise<Found> {
  const { check, close } = await target.open();
  const coverage = options.guided ? openCoverage() : null;
  const watch = openWatch(target.name);
  try {
    return await new Search(target, { ...options, check, coverage, watch }).run();
  } finally {
    watch.close();
    coverage?.close();
    close();
  }
}

interface Means extends SearchOptions {
  readonly check: Check;
  readonly coverage: Coverage | null;
  readonly watch: { begin(input: Buffer): void; end(): void };
}

class Search {
  readonly #target: Target;
  readonly #means: Means;
  readonly #corpus: Buffer[];
  readonly #outcomes = new Set<string>();
  #runs = 0;

  constructor(target: Target, means: Means) {
    this.#target = target;
    this.#means = means;
    this.#corpus = readCorpus(target.name).map(([, input]) => input);
    if (this.#corpus.length === 0) this.#corpus.push(Buffer.alloc(0));
  }

  async run(): Promise<Found> {
    const { seed, over, coverage } = this.#means;
    for (const input of this.#corpus) await this.#outcomeOf(input);
    coverage?.takeNew();
    const source = {
      chance: chanceOf(seed),
      corpus: this.#corpus,
      words: this.#target.words.map((word) => Buffer.from(word, 'latin1')),
    };
    while (!over(this.#runs)) {
      const batch = Array.from({ length: BATCH }, () => mutate(source, this.#target.longest));
      for (const input of batch) if (await this.#isNew(input)) this.#keep(input);
      if (coverage !== null) await this.#attribute(batch, coverage, new Set(coverage.takeNew()));
    }
    const covered = coverage?.size() ?? 0;
    return { runs: this.#runs, covered, outcomes: this.#outcomes.size, corpus: this.#corpus.length };
  }

  /** Finds out which inputs of a batch reached what no input before it had. */
  async #attribute(batch: readonly Buffer[], coverage: Coverage, fresh: Set<Place>): Promise<void> {
    for (const input of batch) {
      if (fresh.size === 0) return;
      await this.#outcomeOf(input);
      const reached = coverage.take(fresh);
      for (const place of reached) fresh.delete(place);
      if (reached.length > 0) this.#keep(input);
    }
  }

  #keep(input: Buffer): void {
    this.#corpus.push(input);
    this.#means.kept?.(input);
  }

  async #isNew(input: Buffer): Promise<boolean> {
    const outcome = await this.#outcomeOf(input);
    if (this.#outcomes.has(outcome)) return false;
    this.#outcomes.add(outcome);
    return true;
  }

  async #outcomeOf(input: Buffer): Promise<string> {
    const { check, watch } = this.#means;
    this.#runs++;
    watch.begin(input);
    const started = cpuMs();
    try {
      const outcome = await check(input);
      if (cpuMs() - started > SLOW_MS) throw new Error(`an input of ${input.length} bytes took too long`);
      return outcome;
    } catch (error) {
      throw await this.#find(input, error as Error);
    } finally {
      watch.end();
    }
  }

  async #find(input: Buffer, error: Error): Promise<Error> {
    const kind = (of: Error) => of.message.slice(0, 40);
    const least = await shrink(input, async (less) => {
      // Making it small may take longer than any one input.
      this.#means.watch.begin(less);
      try {
        await this.#means.check(less);
        return false;
      } catch (other) {
        return kind(other as Error) === kind(error);
      }
    });
    const file = keepInput(this.#target.name, 'find', least);
    return new Error(`${this.#target.name}: ${error.message}\nafter ${this.#runs} runs; kept as ${file}`, {
      cause: error,
    });
  }
}
