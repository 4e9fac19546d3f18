// The live numbers that `/status` and the status page show, put together from the samples that metrics are made of.
import type { Sample, Sampler } from '../../events.ts';

export interface Figures {
  /** Bytes of sessions since the start. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  /** Live sessions by route and mode. */
  readonly routes: readonly { readonly route: string; readonly mode: string; readonly live: number }[];
  readonly budgets: readonly { readonly budget: string; readonly bytes: number; readonly limit: number }[];
  readonly certificates: readonly { readonly listener: string; readonly names: string; readonly notAfterMs: number }[];
}

/** Reads each source once. */
export function readFigures(samplers: Iterable<Sampler>): Figures {
  const samples: Sample[] = [];
  for (const sampler of samplers)
    for (const sample of sampler.sample()) if (WANTED.has(sample.metric)) samples.push(sample);
  const of = (metric: string) => samples.filter((sample) => sample.metric === metric);
  const sum = (metric: string, direction: string) =>
    of(metric).reduce((all, { labels, value }) => (labels['direction'] === direction ? all + value : all), 0);
  const limits = new Map(of('memory_budget_limit_bytes').map(({ labels, value }) => [labels['budget'], value]));
  return {
    bytesIn: sum('websocket_bytes_total', 'from_client'),
    bytesOut: sum('websocket_bytes_total', 'to_client'),
    messagesIn: sum('websocket_messages_total', 'from_client'),
    messagesOut: sum('websocket_messages_total', 'to_client'),
    routes: of('websocket_connections').map(({ labels: { route = '', mode = '' }, value }) => ({
      route,
      mode,
      live: value,
    })),
    budgets: of('memory_budget_bytes').map(({ labels: { budget = '' }, value }) => ({
      budget,
      bytes: value,
      limit: limits.get(budget) ?? 0,
    })),
    certificates: of('tls_certificate_not_after_timestamp_seconds').map(
      ({ labels: { listener = '', names = '' }, value }) => ({ listener, names, notAfterMs: value * 1000 }),
    ),
  };
}

const WANTED: ReadonlySet<string> = new Set([
  'websocket_bytes_total',
  'websocket_messages_total',
  'websocket_connections',
  'memory_budget_bytes',
  'memory_budget_limit_bytes',
  'tls_certificate_not_after_timestamp_seconds',
]);
