// In which of its two text forms Prometheus gets the metrics: by its Accept field, and OpenMetrics as prom-client
// writes it.
import {
  type Metric,
  type MetricObjectWithValues,
  type MetricValue,
  type OpenMetricsContentType,
  Registry,
} from 'prom-client';

type Values = MetricObjectWithValues<MetricValue<string>>;
/** What a registry of prom-client needs of a metric, `getForPromString` of histograms only. */
interface Readable {
  readonly name: string;
  get(): Promise<Values>;
  getForPromString?(): Promise<Values>;
}

/**
 * The same metrics in OpenMetrics. prom-client takes `_total` off a counter's name for that form, in the metric itself,
 * and the other form would lose it too; so that registry gets views of the metrics and not the metrics.
 */
export function viewAsOpenMetrics(registry: Registry): Registry<OpenMetricsContentType> {
  const view = new Registry<OpenMetricsContentType>();
  view.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  for (const metric of registry.getMetricsAsArray() as unknown as readonly Readable[]) {
    const { name } = metric;
    const readable = {
      name,
      async get() {
        const read = await (metric.getForPromString?.() ?? metric.get());
        const isCounter = String(read.type) === 'counter';
        return { ...read, name: isCounter ? name.replace(/_total$/, '') : name };
      },
    };
    view.registerMetric(readable as unknown as Metric);
  }
  return view;
}

const OPEN = 'application/openmetrics-text';
const OPEN_VERSIONS = new Set([undefined, '1.0.0', '0.0.1']);

/**
 * Whether an Accept field (RFC 9110 §12.5.1) names OpenMetrics, in a supported version, and does not prefer the plain
 * form to it.
 */
export function prefersOpenMetrics(accept: string | undefined): boolean {
  let [open, plain] = [0, 0];
  for (const range of (accept ?? '').toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const parameter = (name: string) => parameters.find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1);
    const quality = Number(parameter('q') ?? 1);
    if (!(quality > 0 && quality <= 1)) continue;
    if (type === OPEN && OPEN_VERSIONS.has(parameter('version'))) open = Math.max(open, quality);
    if (type === 'text/plain') plain = Math.max(plain, quality);
  }
  return open > 0 && open >= plain;
}
