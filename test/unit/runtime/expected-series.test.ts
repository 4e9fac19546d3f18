// What is at 0 before its first event: series that there are, with label values that can come.
import { expect, it } from 'vitest';
import { schema } from '../../../src/config/schema/schema.ts';
import { ERRORS } from '../../../src/errors.ts';
import { REJECTIONS } from '../../../src/handshake/rejection.ts';
import { METRICS } from '../../../src/observe/catalog.ts';
import { closeCodeLabel } from '../../../src/observe/labels.ts';
import type { Metric } from '../../../src/observe/metric.ts';
import { expectedSeries } from '../../../src/runtime/expected-series.ts';

const upstreams = { chat: { servers: ['ws://a:1'] }, rest: { servers: ['http://b:1'] } };
const parse = (routes: object[]) =>
  schema.parse({
    listeners: [
      { port: 80, proxy_protocol: { from: ['10.0.0.0/8'] } },
      { port: 443, tls: { self_signed: ['localhost'] } },
      { unix: '/run/a' },
    ],
    upstreams,
    routes,
  });
const config = parse([
  { name: 'chat', websocket: { mode: 'splice', upstream: 'chat', ping: {} }, http: { upstream: 'rest' } },
  { name: 'opaque', websocket: { mode: 'splice', upstream: 'chat', inspect: 'off' } },
  { name: 'hooked', websocket: { mode: 'terminate', handler: 'webhook', webhook: { upstream: 'rest', path: '/' } } },
  { name: 'echo', websocket: { mode: 'terminate', handler: 'echo' } },
  { name: 'plain', http: { upstream: 'rest' } },
]);
const all = expectedSeries(config);
const shown = all.map(({ metric, labels }) => `${metric} ${Object.values(labels).join(' ')}`);

it('has the labels of its metric, each series once, and no histogram', () => {
  for (const { metric, labels } of all) {
    const known = (METRICS as Record<string, Metric>)[metric];
    expect([metric, known?.type === 'counter' || known?.type === 'gauge']).toEqual([metric, true]);
    expect([metric, Object.keys(labels).sort()]).toEqual([metric, [...(known?.labels ?? [])].sort()]);
  }
  expect(new Set(all.map((one) => JSON.stringify(one))).size).toBe(all.length);
});

it('has values that the closed tables have', () => {
  for (const { metric, labels } of all) {
    if (metric === 'websocket_rejections_total') expect(Object.keys(REJECTIONS)).toContain(labels['reason']);
    if (metric === 'upstream_errors_total') expect(Object.keys(ERRORS)).toContain(labels['reason']);
    if (metric === 'websocket_closes_total' && labels['code'] !== 'none')
      expect(closeCodeLabel(Number(labels['code']))).toBe(labels['code']);
  }
});

it('has what each kind of route, upstream and listener can bring, and nothing else', () => {
  for (const wanted of [
    'tls_handshakes_total [::]:443 node client_certificate',
    'websocket_connections chat splice',
    'websocket_handshakes_total chat splice 1.1 failed',
    'websocket_handshakes_total chat splice 1.1 passed',
    'websocket_handshakes_total none none rejected 1.1',
    'websocket_rejections_total chat limit',
    'websocket_closes_total chat backend 1011',
    'websocket_closes_total echo gateway 1012',
    'websocket_bytes_total opaque to_client',
    'websocket_messages_total chat from_client binary',
    'websocket_lost_directions_total chat to_client',
    'websocket_pings_total chat timeout',
    'webhook_events_total hooked message failed',
    'webhook_events_pending hooked',
    'http_requests_total plain GET 1.1 502',
    'http_requests_total chat POST 1.1 504',
    'upstream_errors_total chat backend_refused',
    'upstream_errors_total rest backend_timeout',
    'upstream_retries_total rest over_budget',
    'proxy_protocol_refusals_total [::]:80 late',
  ])
    expect(shown).toContain(wanted);
  const none =
    /^(websocket_messages_total opaque|websocket_lost_directions_total (opaque|echo)|websocket_handshakes_total echo terminate 1.1 passed|websocket_closes_total echo backend|websocket_pings_total echo|webhook_\w+ echo|http_requests_total echo|websocket_\w+ plain|proxy_protocol_refusals_total \/run\/a)/;
  expect(shown.filter((one) => none.test(one))).toEqual([]);
});

it('is left out for routes where there are more than a scrape should bring', () => {
  const routes = Array.from({ length: 501 }, (_, i) => ({ name: `r${i}`, http: { upstream: 'rest' } }));
  const metrics = new Set(expectedSeries(parse(routes)).map(({ metric }) => metric));
  expect(metrics.has('http_requests_total')).toBe(false);
  expect(metrics.has('upstream_errors_total')).toBe(true);
});
