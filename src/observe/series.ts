// What a metric has counted, as plain numbers by label values: every event of the gateway adds to some of them, and they
// become Prometheus's form only when it scrapes. That form is metrics.ts.
import type { Point } from './metric.ts';

/** A point on the way from the first label's value to the last one's. */
interface Node<T> {
  readonly next: Map<string, Node<T>>;
  value: T | null;
}

/**
 * One value for each combination of label values. A step a label, since values are long-lived strings: a key built of
 * them would be built and hashed anew for each event.
 */
class ByLabels<T> {
  readonly #make: () => T;
  readonly #root: Node<T> = { next: new Map(), value: null };
  #known: { readonly labels: readonly string[]; readonly value: T }[] = [];

  constructor(make: () => T) {
    this.#make = make;
  }

  /** In the order in which they came to be. */
  get known(): readonly { readonly labels: readonly string[]; readonly value: T }[] {
    return this.#known;
  }

  at(labels: readonly string[]): T {
    let node = this.#root;
    for (let i = 0; i < labels.length; i++)
      node = node.next.get(labels[i] as string) ?? grow(node, labels[i] as string);
    node.value ??= this.#insert(labels);
    return node.value;
  }

  clear(): void {
    this.#known = [];
    this.#root.next.clear();
    this.#root.value = null;
  }

  #insert(labels: readonly string[]): T {
    const value = this.#make();
    this.#known.push({ labels, value });
    return value;
  }
}

function grow<T>(from: Node<T>, label: string): Node<T> {
  const node: Node<T> = { next: new Map(), value: null };
  from.next.set(label, node);
  return node;
}

/** Labels by name, as prom-client has them. */
export type Labels = Record<string, string>;

function named(names: readonly string[], values: readonly string[]): Labels {
  return Object.fromEntries(names.map((name, i) => [name, values[i] ?? 'none']));
}

/** The series of one counter or gauge. */
export class Series {
  readonly #names: readonly string[];
  readonly #initial: readonly Point[];
  readonly #numbers = new ByLabels(() => ({ is: 0 }));

  constructor(names: readonly string[], initial: readonly Point[] = []) {
    this.#names = names;
    this.#initial = initial;
    this.clear();
  }

  add(labels: readonly string[], value: number): void {
    this.#numbers.at(labels).is += value;
  }

  addNamed(labels: Readonly<Labels>, value: number): void {
    this.add(
      this.#names.map((name) => labels[name] ?? 'none'),
      value,
    );
  }

  set(labels: readonly string[], value: number): void {
    this.#numbers.at(labels).is = value;
  }

  *read(): Iterable<{ labels: Labels; value: number }> {
    for (const { labels, value } of this.#numbers.known) yield { labels: named(this.#names, labels), value: value.is };
  }

  /** Resets the series to their initial values. */
  clear(): void {
    this.#numbers.clear();
    for (const { labels, value } of this.#initial) this.set(labels, value);
  }
}

/** What one series of a histogram has seen. */
class Distribution {
  /** By bucket, the values that fit no smaller one; past the last bucket only `count` has them. */
  readonly fit: number[];
  count = 0;
  sum = 0;

  constructor(buckets: number) {
    this.fit = new Array<number>(buckets).fill(0);
  }
}

/** A sample of a histogram: one bucket's, or the sum's or the count's. */
export interface HistogramSample {
  readonly part: 'bucket' | 'sum' | 'count';
  readonly labels: Record<string, string | number>;
  readonly value: number;
}

/** The series of one histogram. */
export class Histogram {
  readonly #names: readonly string[];
  readonly #bounds: readonly number[];
  readonly #seen: ByLabels<Distribution>;

  /** `bounds`: the largest value of each bucket, in ascending order. */
  constructor(names: readonly string[], bounds: readonly number[]) {
    this.#names = names;
    this.#bounds = bounds;
    this.#seen = new ByLabels(() => new Distribution(bounds.length));
  }

  observe(labels: readonly string[], value: number): void {
    const seen = this.#seen.at(labels);
    const bounds = this.#bounds;
    let i = 0;
    while (i < bounds.length && value > (bounds[i] as number)) i++;
    if (i < bounds.length) seen.fit[i] = (seen.fit[i] as number) + 1;
    seen.count++;
    seen.sum += value;
  }

  /** Each bucket holds what the smaller ones hold too, as Prometheus wants them. */
  *read(): Iterable<HistogramSample> {
    for (const { labels: values, value: seen } of this.#seen.known) {
      const labels = named(this.#names, values);
      let up = 0;
      for (const [i, bound] of this.#bounds.entries()) {
        up += seen.fit[i] ?? 0;
        yield { part: 'bucket', labels: { le: bound, ...labels }, value: up };
      }
      yield { part: 'bucket', labels: { le: '+Inf', ...labels }, value: seen.count };
      yield { part: 'sum', labels, value: seen.sum };
      yield { part: 'count', labels, value: seen.count };
    }
  }
}
