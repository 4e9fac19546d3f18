// The series that are expected of a config, so that each exists at 0 before its first event: Prometheus sees an
// increase only between two values, and would miss the first failure of a route (prometheus.io, "Avoid missing
// metrics"). Only label values that are few and known from the start: what a client or a backend chooses comes with its
// first event.
import type { Config, ListenerConfig, RouteConfig } from '../config/schema/schema.ts';
import { ERRORS } from '../errors.ts';
import { TLS_RESULTS } from '../events/connection.ts';
import type { ExpectedSeries } from '../events.ts';

/** A config with more has no series before the first event: each scrape would bring all of them. */
const MAX_ROUTES = 500;

/** The rejections that mean an exhausted or failed gateway or dependency. The others are caused by clients. */
const REJECTIONS = ['limit', 'client_limit', 'rate', 'ramp', 'room_full', 'no_server', 'auth_unavailable', 'draining'];
/** Of ends, those that are usual: without a code where the connection was cut. */
const CLOSES = {
  client: ['1000', '1001', '1005', 'none'],
  backend: ['1000', '1001', '1005', '1011', 'none'],
  gateway: ['1001', '1008', '1009', '1011', '1012', 'none'],
} as const;
const METHODS = ['GET', 'POST'];
const STATUSES = ['200', '502', '503', '504'];
const FAILURES = Object.entries(ERRORS).flatMap(([reason, { source }]) => (source === 'upstream' ? [reason] : []));

/** All of them, in no order. */
export function expectedSeries({ listeners, upstreams, routes }: Config): ExpectedSeries[] {
  return [
    {
      metric: 'websocket_handshakes_total',
      labels: { route: 'none', mode: 'none', result: 'rejected', protocol: '1.1' },
    },
    { metric: 'websocket_rejections_total', labels: { route: 'none', reason: 'no_route' } },
    ...listeners.flatMap(ofListener),
    ...Object.keys(upstreams).flatMap(ofUpstream),
    ...(routes.length > MAX_ROUTES ? [] : routes.flatMap(ofRoute)),
  ];
}

/** One series for each value of a label. */
function each(metric: string, labels: Labels, label: string, values: readonly string[]): ExpectedSeries[] {
  return values.map((value) => ({ metric, labels: { ...labels, [label]: value } }));
}

type Labels = Readonly<Record<string, string>>;

function ofListener({ host = '::', port, unix, proxy_protocol, tls }: ListenerConfig): ExpectedSeries[] {
  const listener = unix ?? `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return [
    ...(proxy_protocol === undefined
      ? []
      : each('proxy_protocol_refusals_total', { listener }, 'reason', ['malformed', 'late'])),
    ...(tls === undefined ? [] : each('tls_handshakes_total', { listener, engine: 'node' }, 'result', TLS_RESULTS)),
    ...(tls === undefined || tls.engine === 'node'
      ? []
      : each('tls_handshakes_total', { listener, engine: 'native' }, 'result', TLS_RESULTS)),
  ];
}

function ofUpstream(upstream: string): ExpectedSeries[] {
  return [
    ...each('upstream_errors_total', { upstream }, 'reason', FAILURES),
    ...each('upstream_retries_total', { upstream }, 'result', ['retried', 'over_budget']),
  ];
}

function ofRoute({ name: route, websocket, http }: RouteConfig): ExpectedSeries[] {
  const plain = METHODS.flatMap((method) =>
    each('http_requests_total', { route, method, protocol: '1.1' }, 'code', STATUSES),
  );
  return [...(http === undefined ? [] : plain), ...(websocket === undefined ? [] : ofSockets(route, websocket))];
}

function ofSockets(route: string, websocket: NonNullable<RouteConfig['websocket']>): ExpectedSeries[] {
  const { mode } = websocket;
  const initiators = mode === 'splice' ? (['client', 'backend', 'gateway'] as const) : (['client', 'gateway'] as const);
  const results = ['accepted', 'rejected', 'failed', ...(mode === 'splice' ? ['passed'] : [])];
  const followed = mode === 'terminate' || websocket.inspect !== 'off';
  return [
    { metric: 'websocket_connections', labels: { route, mode } },
    ...each('websocket_handshakes_total', { route, mode, protocol: '1.1' }, 'result', results),
    ...each('websocket_rejections_total', { route }, 'reason', REJECTIONS),
    ...initiators.flatMap((initiator) =>
      each('websocket_closes_total', { route, initiator }, 'code', CLOSES[initiator]),
    ),
    ...['from_client', 'to_client'].flatMap((direction) => [
      { metric: 'websocket_bytes_total', labels: { route, direction } },
      ...(followed ? each('websocket_messages_total', { route, direction }, 'type', ['text', 'binary']) : []),
      ...(followed && mode === 'splice'
        ? [{ metric: 'websocket_lost_directions_total' as const, labels: { route, direction } }]
        : []),
    ]),
    ...(websocket.ping === undefined
      ? []
      : each('websocket_pings_total', { route }, 'result', ['sent', 'pong', 'timeout'])),
    ...(mode === 'terminate' && websocket.webhook !== undefined ? ofWebhook(route) : []),
  ];
}

function ofWebhook(route: string): ExpectedSeries[] {
  const events = ['connect', 'connected', 'message', 'disconnected'];
  return [
    { metric: 'webhook_events_pending', labels: { route } },
    ...events.flatMap((event) => each('webhook_events_total', { route, event }, 'result', ['ok', 'refused', 'failed'])),
  ];
}
