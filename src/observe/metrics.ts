// Events and live numbers become what Prometheus scrapes. Counters and gauges are plain numbers here, handed to
// prom-client when it collects; which metrics there are stands in catalog.ts.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Emit, GatewayEvent, Sampler } from '../events.ts';
import { METRICS, type Metric, type Point } from './catalog.ts';
import { prefersOpenMetrics, viewAsOpenMetrics } from './exposition.ts';

export interface MetricsOptions {
  readonly version: string;
  /** Sources of live numbers, gone through at each scrape; what several say of the same series is added up. */
  readonly samplers: Iterable<Sampler>;
}

export interface Rendered {
  readonly contentType: string;
  readonly body: string;
}

export interface Metrics {
  readonly emit: Emit;
  /** The exposition: OpenMetrics 1.0 where the Accept field prefers it, else the text format 0.0.4. */
  render(accept?: string): Promise<Rendered>;
}

const PREFIX = 'gateway_';

/** The series of one counter or gauge: plain numbers by their label values. */
class Series {
  readonly #names: readonly string[];
  readonly #initial: readonly Point[];
  readonly #values = new Map<string, { readonly labels: Record<string, string>; value: number }>();

  constructor(names: readonly string[], initial: readonly Point[] = []) {
    this.#names = names;
    this.#initial = initial;
    this.clear();
  }

  add(labels: readonly string[], value: number): void {
    this.#at(labels).value += value;
  }

  addNamed(labels: Readonly<Record<string, string>>, value: number): void {
    this.add(
      this.#names.map((name) => labels[name] ?? 'none'),
      value,
    );
  }

  set(labels: readonly string[], value: number): void {
    this.#at(labels).value = value;
  }

  /** Writes every series anew; `write` is prom-client's own inc or set, of a metric that was just reset. */
  collect(write: (labels: Record<string, string>, value: number) => void): void {
    for (const { labels, value } of this.#values.values()) write(labels, value);
  }

  /** Back to what it was at first. */
  clear(): void {
    this.#values.clear();
    for (const { labels, value } of this.#initial) this.set(labels, value);
  }

  #at(labels: readonly string[]) {
    const key = labels.join('\u0000');
    const known = this.#values.get(key);
    if (known) return known;
    const fresh = { labels: Object.fromEntries(this.#names.map((name, i) => [name, labels[i] ?? 'none'])), value: 0 };
    this.#values.set(key, fresh);
    return fresh;
  }
}

type Take = (point: Point) => void;
type Listener = (event: GatewayEvent) => void;

export function createMetrics({ version, samplers }: MetricsOptions): Metrics {
  const registry = new Registry();
  const listeners = new Map<string, Listener[]>();
  /** Of sampled metrics, what the samplers said at this scrape. */
  const sampled = new Map<string, Series>();
  for (const [name, metric] of Object.entries<Metric>(METRICS)) {
    const take =
      metric.type === 'histogram' ? observing(registry, name, metric) : counting(registry, name, metric, sampled);
    for (const [type, feed] of Object.entries(metric.on ?? {})) {
      // The key says which event it is that the feed takes.
      const point = feed as (event: GatewayEvent) => Point;
      listeners.set(type, [...(listeners.get(type) ?? []), (event) => take(point(event))]);
    }
    if (name === 'build_info') take({ labels: [version, process.version], value: 1 });
  }
  collectDefaultMetrics({ register: registry });
  const openMetrics = viewAsOpenMetrics(registry);
  return {
    emit(event) {
      for (const listener of listeners.get(event.type) ?? []) listener(event);
    },
    async render(accept) {
      // Every metric collects before the first await, so that two scrapes at once cannot mix.
      readSamples(samplers, sampled);
      const chosen = prefersOpenMetrics(accept) ? openMetrics : registry;
      return { contentType: chosen.contentType, body: await chosen.metrics() };
    },
  };
}

function observing(registry: Registry, name: string, { help, labels, buckets }: Metric): Take {
  const histogram = new Histogram({
    name: PREFIX + name,
    help,
    labelNames: [...labels],
    buckets: [...(buckets ?? [])],
    registers: [registry],
  });
  return (point) => {
    // prom-client throws at what is no number, and an observer must not.
    if (!Number.isFinite(point.value)) return;
    histogram.observe(Object.fromEntries(labels.map((label, i) => [label, point.labels[i] ?? 'none'])), point.value);
  };
}

function counting(registry: Registry, name: string, metric: Metric, sampled: Map<string, Series>): Take {
  const series = new Series(metric.labels, metric.initial);
  if (metric.sampled) sampled.set(name, series);
  const options = { name: PREFIX + name, help: metric.help, labelNames: [...metric.labels], registers: [registry] };
  if (metric.type === 'counter') {
    new Counter({
      ...options,
      collect() {
        this.reset();
        series.collect((labels, value) => this.inc(labels, value));
      },
    });
    return (point) => series.add(point.labels, point.value);
  }
  new Gauge({
    ...options,
    collect() {
      this.reset();
      series.collect((labels, value) => this.set(labels, value));
    },
  });
  return (point) => series.set(point.labels, point.value);
}

/** Asks each source once, whatever number of metrics it speaks of. */
function readSamples(samplers: Iterable<Sampler>, sampled: ReadonlyMap<string, Series>): void {
  for (const series of sampled.values()) series.clear();
  for (const sampler of samplers) {
    for (const { metric, labels, value } of sampler.sample()) sampled.get(metric)?.addNamed(labels, value);
  }
}
