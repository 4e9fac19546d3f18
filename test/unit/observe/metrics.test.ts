import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { WHERE } from '../../../src/base/guard.ts';
import type { GatewayEvent, Sampler } from '../../../src/events.ts';
import { METRICS } from '../../../src/observe/catalog.ts';
import { closeCodeLabel, methodLabel, statusLabel } from '../../../src/observe/labels.ts';
import type { Metric } from '../../../src/observe/metric.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { formatMetricTable } from '../../../src/observe/metrics-table.ts';
import { EVENTS } from './every-event.ts';

const create = (samplers: Iterable<Sampler> = []) => createMetrics({ version: '1.2.3', samplers });

/** The gateway's own samples after these events, as `name{labels}` -> value; histograms by their `_count` and `_sum`. */
async function samplesAfter(
  events: readonly GatewayEvent[],
  samplers: Iterable<Sampler> = [],
): Promise<Map<string, number>> {
  const metrics = create(samplers);
  for (const event of events) metrics.emit(event);
  return samplesOf((await metrics.render()).body);
}

function samplesOf(body: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of body.split('\n')) {
    if (!line.startsWith('gateway_') || line.includes('_bucket{')) continue;
    const space = line.lastIndexOf(' ');
    samples.set(line.slice('gateway_'.length, space), Number(line.slice(space + 1)));
  }
  return samples;
}

/** What one event adds to a fresh gateway. */
async function changes(event: GatewayEvent): Promise<Record<string, number>> {
  const [before, now] = [await samplesAfter([]), await samplesAfter([event])];
  return Object.fromEntries([...now].filter(([name, value]) => before.get(name) !== value));
}

describe('each event feeds its metrics, and no other', () => {
  const rejected = EVENTS.handshake_rejected;
  const cases: [string, GatewayEvent, Record<string, number>][] = [
    [
      'session_opened',
      EVENTS.session_opened,
      {
        'upstream_handshakes_total{upstream="chat",server="ws://127.0.0.1:9001",result="accepted"}': 1,
        'websocket_handshakes_total{route="chat",mode="splice",result="accepted",protocol="1.1"}': 1,
        'websocket_handshake_duration_seconds_count{route="chat"}': 1,
        'websocket_handshake_duration_seconds_sum{route="chat"}': 0.0123456,
      },
    ],
    [
      'session_closed',
      EVENTS.session_closed,
      {
        'websocket_closes_total{route="chat",code="1000",initiator="client"}': 1,
        'websocket_connection_duration_seconds_count{route="chat"}': 1,
        'websocket_connection_duration_seconds_sum{route="chat"}': 90,
      },
    ],
    [
      'handshake_rejected',
      rejected,
      {
        'websocket_handshakes_total{route="chat",mode="splice",result="rejected",protocol="1.1"}': 1,
        'websocket_rejections_total{route="chat",reason="origin"}': 1,
      },
    ],
    [
      'handshake_rejected without a route',
      { ...rejected, route: null, mode: null, reason: 'no_route' },
      {
        'websocket_handshakes_total{route="none",mode="none",result="rejected",protocol="1.1"}': 1,
        'websocket_rejections_total{route="none",reason="no_route"}': 1,
      },
    ],
    [
      'handshake_failed',
      EVENTS.handshake_failed,
      {
        'upstream_handshakes_total{upstream="chat",server="ws://127.0.0.1:9001",result="failed"}': 1,
        'websocket_handshakes_total{route="chat",mode="splice",result="failed",protocol="1.1"}': 1,
      },
    ],
    [
      'handshake_passed',
      EVENTS.handshake_passed,
      {
        'upstream_handshakes_total{upstream="chat",server="ws://127.0.0.1:9001",result="passed"}': 1,
        'websocket_handshakes_total{route="chat",mode="splice",result="passed",protocol="1.1"}': 1,
        'websocket_handshake_duration_seconds_count{route="chat"}': 1,
        'websocket_handshake_duration_seconds_sum{route="chat"}': 0.007,
      },
    ],
    [
      'request_completed',
      EVENTS.request_completed,
      {
        'http_request_size_bytes_count{route="chat"}': 1,
        'http_request_size_bytes_sum{route="chat"}': 64,
        'http_response_size_bytes_count{route="chat"}': 1,
        'http_response_size_bytes_sum{route="chat"}': 512,
        'upstream_request_duration_seconds_count{upstream="chat",server="ws://127.0.0.1:9001"}': 1,
        'upstream_request_duration_seconds_sum{upstream="chat",server="ws://127.0.0.1:9001"}': 0.03,
        'upstream_requests_total{upstream="chat",server="ws://127.0.0.1:9001",code="200"}': 1,
        'http_requests_total{route="chat",method="GET",code="200",protocol="1.1"}': 1,
        'http_request_duration_seconds_count{route="chat"}': 1,
        'http_request_duration_seconds_sum{route="chat"}': 0.03,
      },
    ],
    [
      'preamble_refused',
      EVENTS.preamble_refused,
      { 'proxy_protocol_refusals_total{listener="[::]:443",reason="late"}': 1 },
    ],
    [
      'tls_handshake',
      EVENTS.tls_handshake,
      { 'tls_handshakes_total{listener="[::]:443",result="unknown_name",engine="node"}': 1 },
    ],
    ['upgrade_dropped', EVENTS.upgrade_dropped, {}],
    [
      'head_refused',
      EVENTS.head_refused,
      { 'http_requests_total{route="none",method="OTHER",code="431",protocol="1.1"}': 1 },
    ],
    [
      'upstream_connected',
      EVENTS.upstream_connected,
      {
        'upstream_connect_duration_seconds_count{upstream="chat"}': 1,
        'upstream_connect_duration_seconds_sum{upstream="chat"}': 0.002,
      },
    ],
    [
      'upstream_failed',
      EVENTS.upstream_failed,
      {
        'upstream_server_errors_total{upstream="chat",server="ws://127.0.0.1:9001",reason="backend_refused"}': 1,
        'upstream_errors_total{upstream="chat",reason="backend_refused"}': 1,
      },
    ],
    [
      'upstream_retry',
      EVENTS.upstream_retry,
      {
        'upstream_retries_total{upstream="chat",result="retried"}': 1,
        'upstream_server_retries_total{upstream="chat",server="ws://127.0.0.1:9001",result="retried"}': 1,
      },
    ],
    ['server_changed', EVENTS.server_changed, {}],
    ['keys_fetched', EVENTS.keys_fetched, { 'auth_jwks_refreshes_total{result="failed"}': 1 }],
    [
      'webhook_delivered',
      EVENTS.webhook_delivered,
      {
        'webhook_events_total{route="hooked",event="message",result="failed"}': 1,
        'webhook_event_duration_seconds_count{route="hooked",event="message"}': 1,
        'webhook_event_duration_seconds_sum{route="hooked",event="message"}': 30,
      },
    ],
    ['api_called', EVENTS.api_called, { 'api_requests_total{operation="POST /connections/{id}",code="410"}': 1 }],
    ['ping', EVENTS.ping, { 'websocket_pings_total{route="chat",result="pong"}': 1 }],
    [
      'config_reloaded',
      EVENTS.config_reloaded,
      { 'config_reloads_total{result="failure"}': 1, config_last_reload_successful: 0 },
    ],
    ['internal_error', EVENTS.internal_error, { 'internal_errors_total{where="request"}': 1 }],
    ['http2_session_closed', EVENTS.http2_session_closed, { 'http2_sessions_closed_total{reason="resets"}': 1 }],
    ['certificate_loaded', EVENTS.certificate_loaded, {}],
    [
      'certificate_ordered',
      EVENTS.certificate_ordered,
      { 'acme_orders_total{result="failed"}': 1, 'acme_errors_total{reason="rateLimited"}': 1 },
    ],
    ['drain', EVENTS.drain, { draining: 1 }],
    ['notice', EVENTS.notice, {}],
  ];

  it.each(cases)('%s', async (_, event, expected) => {
    expect(await changes(event)).toEqual(expected);
  });

  it('none is left out', () => {
    expect(new Set(cases.map(([, event]) => event.type))).toEqual(new Set(Object.keys(EVENTS)));
  });
});

describe('from the start', () => {
  it('what has one series only is there', async () => {
    const samples = await samplesAfter([]);
    expect(Object.fromEntries(samples)).toEqual({
      'auth_jwks_refreshes_total{result="ok"}': 0,
      'auth_jwks_refreshes_total{result="failed"}': 0,
      'acme_orders_total{result="issued"}': 0,
      'acme_orders_total{result="failed"}': 0,
      http_requests_in_flight: 0,
      http2_sessions: 0,
      http2_streams: 0,
      'http2_sessions_closed_total{reason="idle"}': 0,
      'http2_sessions_closed_total{reason="drain"}': 0,
      'http2_sessions_closed_total{reason="resets"}': 0,
      'http2_sessions_closed_total{reason="silent"}': 0,
      'http2_sessions_closed_total{reason="closed"}': 0,
      ramp_active: 0,
      rooms: 0,
      room_members: 0,
      room_deliveries_total: 0,
      'room_messages_total{result="published"}': 0,
      'room_messages_total{result="failed"}': 0,
      'config_reloads_total{result="success"}': 0,
      'config_reloads_total{result="failure"}': 0,
      config_last_reload_successful: 1,
      draining: 0,
      ...Object.fromEntries(WHERE.map((where) => [`internal_errors_total{where="${where}"}`, 0])),
      [`build_info{version="1.2.3",node="${process.version}"}`]: 1,
    });
  });

  it('the process metrics stand under their usual names', async () => {
    const { body } = await create().render();
    for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_eventloop_lag_seconds']) {
      expect(body).toMatch(new RegExp(`^${name} `, 'm'));
    }
  });

  it('two of them do not share a registry', async () => {
    const [one, other] = [create(), create()];
    one.emit(EVENTS.drain);
    expect(samplesOf((await other.render()).body).get('draining')).toBe(0);
  });
});

describe('live numbers', () => {
  const sampler = (value: number): Sampler => ({
    sample: () => [
      { metric: 'websocket_bytes_total', labels: { route: 'chat', direction: 'from_client' }, value },
      { metric: 'http_requests_in_flight', labels: {}, value },
      { metric: 'of_another_kind', labels: {}, value },
    ],
  });

  it('are read at each scrape, once a source, and what is said of one series is added up', async () => {
    let reads = 0;
    const counted: Sampler = {
      sample() {
        reads++;
        return sampler(reads * 10).sample();
      },
    };
    const metrics = create([counted, sampler(1)]);
    expect(reads).toBe(0);
    const name = 'websocket_bytes_total{route="chat",direction="from_client"}';
    expect(samplesOf((await metrics.render()).body).get(name)).toBe(11);
    const second = samplesOf((await metrics.render()).body);
    expect([second.get(name), second.get('http_requests_in_flight'), reads]).toEqual([21, 21, 2]);
  });

  it('two scrapes at once do not mix', async () => {
    const metrics = create([sampler(5)]);
    const bodies = await Promise.all(['', 'application/openmetrics-text', ''].map((accept) => metrics.render(accept)));
    for (const { body } of bodies) expect(samplesOf(body).get('http_requests_in_flight')).toBe(5);
  });
});

describe('the two forms', () => {
  const PROMETHEUS =
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3';

  it.each<[string | undefined, boolean]>([
    [undefined, false],
    ['*/*', false],
    ['text/plain', false],
    ['text/html,application/xhtml+xml,*/*;q=0.8', false],
    ['application/openmetrics-text', true],
    [PROMETHEUS, true],
    ['application/openmetrics-text;version=2.0.0, text/plain;q=0.1', false],
    ['application/openmetrics-text;q=0.2, text/plain;q=0.9', false],
    ['application/openmetrics-text;q=0', false],
    ['application/openmetrics-text;q=nonsense', false],
    [' Application/OpenMetrics-Text ; Version=0.0.1 ; Q=1 ', true],
  ])('%j', async (accept, open) => {
    const { contentType, body } = await create().render(accept);
    expect(contentType).toContain(open ? 'application/openmetrics-text; version=1.0.0' : 'text/plain; version=0.0.4');
    expect(body.endsWith('# EOF\n')).toBe(open);
  });

  it('say the same, in whatever order they are asked for', async () => {
    const metrics = create();
    for (const event of Object.values(EVENTS)) metrics.emit(event);
    const own = (body: string) => body.split('\n').filter((line) => line.startsWith('gateway_'));
    const first = own((await metrics.render()).body);
    const open = await metrics.render('application/openmetrics-text');
    const again = own((await metrics.render()).body);
    expect(own(open.body)).toEqual(first);
    expect(again).toEqual(first);
    expect(first).toContain('gateway_http_requests_total{route="chat",method="GET",code="200",protocol="1.1"} 1');
    expect(open.body).toContain('# TYPE gateway_http_requests counter\n');
  });
});

describe('label values are bounded', () => {
  it.each<[number | null, string]>([
    [null, 'none'],
    [999, 'other'],
    [1000, '1000'],
    [1005, '1005'],
    [1014, '1014'],
    [1015, 'other'],
    [2999, 'other'],
    [3000, '3xxx'],
    [3999, '3xxx'],
    [4000, '4xxx'],
    [4401, '4401'],
    [4402, '4xxx'],
    [4403, '4403'],
    [4999, '4xxx'],
    [5000, 'other'],
    [65_535, 'other'],
    [1000.5, 'other'],
    [Number.NaN, 'other'],
  ])('close code %j is %s', (code, label) => {
    expect(closeCodeLabel(code)).toBe(label);
  });

  it.each([
    ['GET', 'GET'],
    ['PATCH', 'PATCH'],
    ['get', 'OTHER'],
    ['PROPFIND', 'OTHER'],
    ['__proto__', 'OTHER'],
    ['', 'OTHER'],
    ['X'.repeat(10_000), 'OTHER'],
  ])('method %j is %s', (method, label) => {
    expect(methodLabel(method)).toBe(label);
  });

  it.each([
    [99, 'other'],
    [100, '100'],
    [599, '599'],
    [600, 'other'],
    [999, 'other'],
    [Number.NaN, 'other'],
  ])('status %j is %s', (status, label) => {
    expect(statusLabel(status)).toBe(label);
  });

  it('a thousand hostile clients make no more series than one', async () => {
    const events: GatewayEvent[] = [];
    for (let i = 0; i < 1000; i++) {
      events.push({
        ...EVENTS.request_completed,
        method: `M${i}`,
        host: `h${i}`,
        path: `/${i}`,
        client: `${i}`,
        id: `${i}`,
      });
      events.push({ ...EVENTS.session_closed, code: 4500 + (i % 400), id: `${i}` });
      events.push({ ...EVENTS.handshake_rejected, origin: `https://${i}`, detail: `${i}` });
    }
    const samples = await samplesAfter(events);
    expect(samples.get('http_requests_total{route="chat",method="OTHER",code="200",protocol="1.1"}')).toBe(1000);
    expect(samples.get('websocket_closes_total{route="chat",code="4xxx",initiator="client"}')).toBe(1000);
    expect(samples.get('websocket_rejections_total{route="chat",reason="origin"}')).toBe(1000);
    const { size } = await samplesAfter([]);
    expect(samples.size - size).toBeLessThan(20);
  });

  it('a value that would break the format is escaped', async () => {
    const labels = { listener: '[::]:443', names: 'a"b\\c\nd' };
    const sampler = { sample: () => [{ metric: 'tls_certificate_not_after_timestamp_seconds', labels, value: 1.8e9 }] };
    const metrics = create([sampler]);
    const line = (await metrics.render()).body.split('\n').find((one) => one.startsWith('gateway_tls_certificate'));
    expect(line).toBe(
      'gateway_tls_certificate_not_after_timestamp_seconds{listener="[::]:443",names="a\\"b\\\\c\\nd"} 1800000000',
    );
  });

  it('a duration that is no number is left out and throws nothing', async () => {
    const samples = await samplesAfter([{ ...EVENTS.upstream_connected, durationMs: Number.NaN }]);
    expect([...samples.keys()].filter((name) => name.startsWith('upstream_connect_duration'))).toEqual([]);
  });
});

it('of a server counts nothing where none was reached', async () => {
  const samples = await samplesAfter([
    { ...EVENTS.session_opened, at: null },
    { ...EVENTS.handshake_failed, at: null },
    { ...EVENTS.request_completed, at: null },
  ]);
  expect([...samples.keys()].filter((name) => name.startsWith('upstream_'))).toEqual([]);
});

describe('the catalog', () => {
  const all = Object.entries<Metric>(METRICS);

  it('names counters, durations and sizes as Prometheus does', () => {
    for (const [name, { type, help, buckets }] of all) {
      expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect(name.endsWith('_total')).toBe(type === 'counter');
      expect(help).toMatch(/^[A-Z].*\.$/);
      expect(buckets !== undefined).toBe(type === 'histogram');
      expect([...(buckets ?? [])].sort((a, b) => a - b)).toEqual([...(buckets ?? [])]);
    }
  });

  it('is what docs/metrics.md says, to the letter; else run `npm run generate`', () => {
    const docs = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');
    const [, table] = /<!-- metrics:start -->\n\n([\s\S]*)\n\n<!-- metrics:end -->/.exec(docs) ?? [];
    expect(table).toBe(formatMetricTable());
    const rows = [...docs.matchAll(/^\| `gateway_(\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$/gm)];
    const documented = rows.map(([, name, type, labels]) => [name, type, (labels ?? '').match(/\w+/g) ?? []]);
    expect(documented).toEqual(all.map(([name, { type, labels }]) => [name, type, [...labels]]));
  });
});

describe('expected series', () => {
  const expected = [
    {
      metric: 'websocket_handshakes_total',
      labels: { route: 'new', mode: 'splice', result: 'failed', protocol: '1.1' },
    },
    { metric: 'websocket_connections', labels: { route: 'new', mode: 'splice' } },
  ];
  const failed = 'websocket_handshakes_total{route="new",mode="splice",result="failed",protocol="1.1"}';
  const live = 'websocket_connections{route="new",mode="splice"}';

  it('are at 0 until something of them happens, and count from there', async () => {
    const sampled = [{ metric: 'websocket_connections', labels: { route: 'new', mode: 'splice' }, value: 3 }];
    let samples: typeof sampled = [];
    const metrics = createMetrics({ version: '1', samplers: [{ sample: () => samples }], expected: () => expected });
    const now = async () => samplesOf((await metrics.render()).body);
    expect([(await now()).get(failed), (await now()).get(live)]).toEqual([0, 0]);
    metrics.emit({ ...EVENTS.handshake_failed, route: 'new' });
    samples = sampled;
    for (let scrape = 0; scrape < 2; scrape++)
      expect([(await now()).get(failed), (await now()).get(live)]).toEqual([1, 3]);
  });

  it('of a config that came later are there from then on, and what was counted stays', async () => {
    let served: typeof expected = [];
    const metrics = createMetrics({ version: '1', samplers: [], expected: () => served });
    const now = async () => samplesOf((await metrics.render()).body);
    expect((await now()).has(failed)).toBe(false);
    served = expected;
    expect((await now()).get(failed)).toBe(0);
    served = [];
    expect([(await now()).get(failed), (await now()).has(live)]).toEqual([0, false]);
  });
});

it('adds up what events and samplers say of the same counter: pings of terminated sessions and of tunnels', async () => {
  const pings = { metric: 'websocket_pings_total', labels: { route: 'chat', result: 'pong' }, value: 5 };
  const metrics = create([{ sample: () => [pings] }]);
  metrics.emit(EVENTS.ping);
  for (let scrape = 0; scrape < 2; scrape++) {
    const samples = samplesOf((await metrics.render()).body);
    expect(samples.get('websocket_pings_total{route="chat",result="pong"}')).toBe(6);
  }
});
