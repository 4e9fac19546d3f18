// Events and live numbers become what Prometheus scrapes. What is counted are plain numbers (series.ts), handed to
// prom-client when it collects; the list of metrics is catalog.ts.
import { Counter, collectDefaultMetrics, Gauge, type Metric as PromMetric, Registry } from 'prom-client';
import type { Emit, ExpectedSeries, GatewayEvent, Sampler } from '../events.ts';
import { METRICS } from './catalog.ts';
import { prefersOpenMetrics, viewAsOpenMetrics } from './exposition.ts';
import type { Metric, Point } from './metric.ts';
import { Histogram, Series } from './series.ts';

export interface MetricsOptions {
  readonly version: string;
  /** Sources of live numbers, read at each scrape; values of several for the same series are added up. */
  readonly samplers: Iterable<Sampler>;
  /** Called at each scrape: series that exist at 0 until their first event. */
  readonly expected?: () => Iterable<ExpectedSeries>;
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

type Take = (point: Point) => void;
type Listener = (event: GatewayEvent) => void;

/** All metrics of the catalog, fed by events and sampled when they are asked for. */
export function createMetrics({ version, samplers, expected = () => [] }: MetricsOptions): Metrics {
  const registry = new Registry();
  const listeners = new Map<string, Listener[]>();
  const known: KnownSeries = { counted: new Map(), sampled: new Map() };
  for (const [name, metric] of Object.entries<Metric>(METRICS)) {
    const take =
      metric.type === 'histogram' ? observing(registry, name, metric) : counting(registry, name, metric, known);
    for (const [type, feed] of Object.entries(metric.on ?? {})) {
      // The key is the type of the event that the feed takes.
      const pointOf = feed as (event: GatewayEvent) => Point | null;
      const listener = (event: GatewayEvent): void => {
        const point = pointOf(event);
        if (point !== null) take(point);
      };
      listeners.set(type, [...(listeners.get(type) ?? []), listener]);
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
      readSamples(samplers, known);
      for (const { metric, labels } of expected())
        (known.sampled.get(metric) ?? known.counted.get(metric))?.addNamed(labels, 0);
      const chosen = prefersOpenMetrics(accept) ? openMetrics : registry;
      return { contentType: chosen.contentType, body: await chosen.metrics() };
    },
  };
}

/** prom-client's own histogram costs microseconds a value; to a registry a metric is whatever can be read. */
function observing(registry: Registry, name: string, { help, labels, buckets }: Metric): Take {
  const histogram = new Histogram(labels, buckets ?? []);
  const full = PREFIX + name;
  const readable = {
    name: full,
    async get() {
      const values = [...histogram.read()].map(({ part, ...sample }) => ({ ...sample, metricName: `${full}_${part}` }));
      return { name: full, help, type: 'histogram', aggregator: 'sum', values };
    },
  };
  registry.registerMetric(readable as unknown as PromMetric);
  return (point) => {
    // One value that is no number would make the sum none for ever.
    if (Number.isFinite(point.value)) histogram.observe(point.labels, point.value);
  };
}

/** By name, those of counters and gauges. */
interface KnownSeries {
  /** The values counted from events. */
  readonly counted: Map<string, Series>;
  /** Of sampled metrics, the samplers' values at this scrape. */
  readonly sampled: Map<string, Series>;
}

function counting(registry: Registry, name: string, metric: Metric, known: KnownSeries): Take {
  const counted = new Series(metric.labels, metric.initial);
  const sampled = metric.sampled ? new Series(metric.labels) : null;
  known.counted.set(name, counted);
  if (sampled !== null) known.sampled.set(name, sampled);
  const read = function* () {
    yield* counted.read();
    if (sampled !== null) yield* sampled.read();
  };
  const options = { name: PREFIX + name, help: metric.help, labelNames: [...metric.labels], registers: [registry] };
  if (metric.type === 'counter') {
    new Counter({
      ...options,
      collect() {
        this.reset();
        for (const { labels, value } of read()) this.inc(labels, value);
      },
    });
    return (point) => counted.add(point.labels, point.value);
  }
  new Gauge({
    ...options,
    collect() {
      this.reset();
      for (const { labels, value } of read()) this.set(labels, value);
    },
  });
  return (point) => counted.set(point.labels, point.value);
}

/** Reads each source once, however many metrics it has values for. */
function readSamples(samplers: Iterable<Sampler>, { sampled }: KnownSeries): void {
  for (const series of sampled.values()) series.clear();
  for (const sampler of samplers) {
    for (const { metric, labels, value } of sampler.sample()) sampled.get(metric)?.addNamed(labels, value);
  }
}
