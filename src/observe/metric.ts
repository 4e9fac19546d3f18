// What a metric of the catalog is: its type, its help text, its labels, and its source.
import type { GatewayEvent } from '../events.ts';

/** Values in the order of the metric's labels, and what to add, set or observe. */
export interface Point {
  readonly labels: readonly string[];
  readonly value: number;
}

/** Null: this event is none of its own. */
type Feeds = { readonly [T in GatewayEvent['type']]?: (event: Extract<GatewayEvent, { type: T }>) => Point | null };

export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** What docs/metrics.md says in place of `help`, where it says more. */
  readonly doc?: string;
  readonly labels: readonly string[];
  /** Of a histogram, in its unit. */
  readonly buckets?: readonly number[];
  /** Read from the samplers when Prometheus scrapes; a counter may have `on` besides, and then both are added up. */
  readonly sampled?: true;
  readonly on?: Feeds;
  /** What is known before the first event. */
  readonly initial?: readonly Point[];
}

export const one = (...labels: readonly string[]): Point => ({ labels, value: 1 });
export const seconds = (ms: number, ...labels: readonly string[]): Point => ({ labels, value: ms / 1000 });
