// Every metric of the gateway, once: its type, its help text, its labels, and the events it counts. Metrics that are
// read from live numbers instead are `sampled`. docs/metrics.md lists the same, and a test keeps the two equal.
import { WHERE } from '../base/guard.ts';
import { HTTP2_REASONS } from '../events/connection.ts';
import { ACME } from './catalog-acme.ts';
import { TERMINATED } from './catalog-terminate.ts';
import { UPSTREAMS } from './catalog-upstream.ts';
import { closeCodeLabel, methodLabel, routeLabel, statusLabel } from './labels.ts';
import { type Metric, one, seconds } from './metric.ts';

const HANDSHAKE = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const CONNECTION = [1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600];
const SIZES = [100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
const REQUEST = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** By name without the prefix `gateway_`. */
export const METRICS = {
  websocket_connections: {
    type: 'gauge',
    help: 'Live WebSocket sessions.',
    doc: 'Live sessions; `mode` is `splice` or `terminate`',
    labels: ['route', 'mode'],
    sampled: true,
  },
  websocket_handshakes_total: {
    type: 'counter',
    help: 'WebSocket handshakes: accepted, rejected by a rule, failed, or passed (the non-101 answer of the backend).',
    doc: 'Handshakes: `accepted`, `rejected` (by a rule), `failed` (something broke before the 101), `passed` (the backend answered with something other than 101, and the client got that). `protocol`: what the client speaks, `1.0`, `1.1` or `2`',
    labels: ['route', 'mode', 'result', 'protocol'],
    on: {
      session_opened: (event) => one(event.route, event.mode, 'accepted', event.protocol),
      handshake_rejected: (event) => one(routeLabel(event.route), event.mode ?? 'none', 'rejected', event.protocol),
      handshake_failed: (event) => one(routeLabel(event.route), event.mode ?? 'none', 'failed', event.protocol),
      handshake_passed: (event) => one(routeLabel(event.route), event.mode, 'passed', event.protocol),
    },
  },
  websocket_rejections_total: {
    type: 'counter',
    help: 'Rejected WebSocket handshakes by reason code.',
    doc: 'Rejected handshakes by reason code',
    labels: ['route', 'reason'],
    on: { handshake_rejected: (event) => one(routeLabel(event.route), event.reason) },
  },
  websocket_handshake_duration_seconds: {
    type: 'histogram',
    help: 'From the head of a WebSocket handshake to its 101, or to the non-101 answer of the backend.',
    doc: "From the head of a handshake to its 101, or to the backend's own answer; 5 ms to 10 s",
    labels: ['route'],
    buckets: HANDSHAKE,
    on: {
      session_opened: (event) => seconds(event.durationMs, event.route),
      handshake_passed: (event) => seconds(event.durationMs, routeLabel(event.route)),
    },
  },
  websocket_connection_duration_seconds: {
    type: 'histogram',
    help: 'From the 101 to the end of a WebSocket session.',
    doc: 'From the 101 to the end of a session; 1 s to 24 h',
    labels: ['route'],
    buckets: CONNECTION,
    on: { session_closed: (event) => seconds(event.durationMs, event.route) },
  },
  websocket_bytes_total: {
    type: 'counter',
    help: 'Bytes of WebSocket frames, live sessions included.',
    doc: 'Bytes behind the handshake, live sessions included; `direction` is `from_client` or `to_client`',
    labels: ['route', 'direction'],
    sampled: true,
  },
  websocket_messages_total: {
    type: 'counter',
    help: 'WebSocket data messages where frames are followed, live sessions included.',
    doc: 'Data messages where the gateway follows frames, live sessions included; `type` is `text` or `binary`',
    labels: ['route', 'direction', 'type'],
    sampled: true,
  },
  websocket_lost_directions_total: {
    type: 'counter',
    help: 'Directions of spliced sessions whose frames could not be followed any further.',
    doc: 'Directions of spliced sessions whose frames could not be followed any more ([the relay](relay.md)): carried on without it, or ended with 1002 if the route has limits',
    labels: ['route', 'direction'],
    sampled: true,
  },
  websocket_closes_total: {
    type: 'counter',
    help: 'Ended WebSocket sessions by close code and by who ended them.',
    doc: 'Ended sessions; `initiator` is `client`, `backend` or `gateway`',
    labels: ['route', 'code', 'initiator'],
    on: { session_closed: (event) => one(event.route, closeCodeLabel(event.code), event.initiator) },
  },
  auth_jwks_refreshes_total: {
    type: 'counter',
    help: "Fetches of issuers' key sets by result; after a failed one the keys of before go on being used.",
    doc: "Fetches of issuers' key sets: `ok` or `failed`; after a failure the previous keys stay in use. See [auth](auth.md)",
    labels: ['result'],
    on: { keys_fetched: (event) => one(event.result) },
    initial: [
      { labels: ['ok'], value: 0 },
      { labels: ['failed'], value: 0 },
    ],
  },
  websocket_pings_total: {
    type: 'counter',
    help: 'Pings of the gateway: sent, answered in time (pong), or not (timeout).',
    doc: "The gateway's own pings: `sent`, answered in time (`pong`), or not (`timeout`)",
    labels: ['route', 'result'],
    // Of terminated sessions by events, of tunnels from their engine.
    on: { ping: (event) => one(event.route, event.result) },
    sampled: true,
  },
  ...TERMINATED,
  api_requests_total: {
    type: 'counter',
    help: 'Requests of the admin API by operation and status.',
    doc: 'Requests of the admin API; `operation` is method and path as in its document, such as `POST /connections/{id}`',
    labels: ['operation', 'code'],
    on: { api_called: (event) => one(event.operation, statusLabel(event.status)) },
  },
  http_requests_total: {
    type: 'counter',
    help: 'Plain HTTP requests by status; 499 where the client left before its answer. Unreadable ones have no route.',
    doc: 'Plain requests by status. 499: the client left before its answer. Unreadable heads have `route="none"` and `method="OTHER"`',
    labels: ['route', 'method', 'code', 'protocol'],
    on: {
      request_completed: (event) =>
        one(routeLabel(event.route), methodLabel(event.method), statusLabel(event.status), event.protocol),
      head_refused: (event) => one('none', 'OTHER', statusLabel(event.status), event.protocol),
    },
  },
  http_request_duration_seconds: {
    type: 'histogram',
    help: 'From the head of a plain HTTP request to the end of its answer.',
    doc: 'From the head of a plain request to the end of its answer; never a handshake',
    labels: ['route'],
    buckets: REQUEST,
    on: { request_completed: (event) => seconds(event.durationMs, routeLabel(event.route)) },
  },
  http_request_size_bytes: {
    type: 'histogram',
    help: 'Bytes of the bodies of plain HTTP requests, as sent to servers.',
    labels: ['route'],
    buckets: SIZES,
    on: { request_completed: (event) => ({ labels: [routeLabel(event.route)], value: event.bytesFromClient }) },
  },
  http_response_size_bytes: {
    type: 'histogram',
    help: 'Bytes of plain HTTP answers, as sent to clients; over HTTP/1.1 with their heads.',
    labels: ['route'],
    buckets: SIZES,
    on: { request_completed: (event) => ({ labels: [routeLabel(event.route)], value: event.bytesToClient }) },
  },
  http_requests_in_flight: {
    type: 'gauge',
    help: 'Plain HTTP requests being served.',
    doc: 'Plain requests being served',
    labels: [],
    sampled: true,
    initial: [{ labels: [], value: 0 }],
  },
  proxy_protocol_refusals_total: {
    type: 'counter',
    help: 'Connections closed for a PROXY preamble that is none (malformed) or did not arrive in time (late).',
    doc: 'Connections closed because their PROXY preamble was invalid (`malformed`) or did not arrive in time (`late`)',
    labels: ['listener', 'reason'],
    on: { preamble_refused: (event) => one(event.listener, event.reason) },
  },
  http2_sessions: {
    type: 'gauge',
    help: 'Open HTTP/2 connections.',
    labels: [],
    sampled: true,
    initial: [{ labels: [], value: 0 }],
  },
  http2_streams: {
    type: 'gauge',
    help: 'Open HTTP/2 streams, including WebSockets.',
    labels: [],
    sampled: true,
    initial: [{ labels: [], value: 0 }],
  },
  http2_sessions_closed_total: {
    type: 'counter',
    help: 'Ended connections of HTTP/2: without a stream for too long (idle), drained (drain), for too many resets (resets), without a sign of life while it had streams (silent), else (closed).',
    doc: 'Ended HTTP/2 connections: without a stream for too long (`idle`), drained (`drain`), after too many resets (`resets`), silent while streams were open (`silent`), otherwise `closed`',
    labels: ['reason'],
    on: { http2_session_closed: (event) => one(event.reason) },
    initial: HTTP2_REASONS.map((reason) => ({ labels: [reason], value: 0 })),
  },
  limit_clients: {
    type: 'gauge',
    help: 'Clients that a limit of one client knows of: those that have used some of it just now.',
    doc: "Clients that a per-client limit tracks: those whose bucket is not full. `limit` is the route's name and the key, or the key alone for the gateway's own limits",
    labels: ['limit'],
    sampled: true,
  },
  shared_limits_up: {
    type: 'gauge',
    help: 'Whether rates are shared with other gateways: 0 while their Redis is away and each limits by itself.',
    doc: 'With `limits.shared`: 1, or 0 while Redis (`store` is `redis`) is unreachable and the gateway uses its own counts',
    labels: ['store'],
    sampled: true,
  },
  ramp_active: {
    type: 'gauge',
    help: 'Whether handshakes are admitted little by little, after a start or when many sessions were lost.',
    doc: '1 while `limits.ramp` admits handshakes gradually; else 0',
    labels: [],
    sampled: true,
  },
  ...UPSTREAMS,
  config_reloads_total: {
    type: 'counter',
    help: 'Reloads of the config by result.',
    doc: 'Reloads: `success` or `failure`',
    labels: ['result'],
    on: { config_reloaded: (event) => one(event.result) },
    initial: [
      { labels: ['success'], value: 0 },
      { labels: ['failure'], value: 0 },
    ],
  },
  config_last_reload_successful: {
    type: 'gauge',
    help: 'Whether the config in the file is the one that serves: 1, or 0 after a failed reload.',
    doc: '1, or 0 while the file holds a config that was refused',
    labels: [],
    on: { config_reloaded: (event) => ({ labels: [], value: event.result === 'success' ? 1 : 0 }) },
    initial: [{ labels: [], value: 1 }],
  },
  tls_handshakes_total: {
    type: 'counter',
    help: 'TLS handshakes of clients by how they ended.',
    doc: 'TLS handshakes of clients: `ok`, `resumed` (with an earlier session), or the reason of the failure; see [tls](tls.md#failed-handshakes). `engine` is the one that did the handshake',
    labels: ['listener', 'result', 'engine'],
    on: { tls_handshake: (event) => one(event.listener, event.result, event.engine) },
  },
  tls_certificate_not_after_timestamp_seconds: {
    type: 'gauge',
    help: 'When a certificate of a listener expires, as a Unix time.',
    doc: 'When a certificate expires, as a Unix time',
    labels: ['listener', 'names'],
    // Sampled, so that a certificate that was replaced is not reported to expire.
    sampled: true,
  },
  ...ACME,
  draining: {
    type: 'gauge',
    help: 'Whether the gateway is shutting down: 1 from the signal on.',
    doc: '1 from the stop signal on',
    labels: [],
    on: { drain: () => ({ labels: [], value: 1 }) },
    initial: [{ labels: [], value: 0 }],
  },
  internal_errors_total: {
    type: 'counter',
    help: 'Defects of the gateway, by the part that they showed in: each has cost its own connection or exchange.',
    doc: 'Defects of the gateway: unexpected exceptions. Each ended its own connection or exchange and has a line `internal_error` in the log. Report any value above 0',
    labels: ['where'],
    on: { internal_error: (event) => one(event.where) },
    initial: WHERE.map((where) => ({ labels: [where], value: 0 })),
  },
  build_info: {
    type: 'gauge',
    help: 'Always 1; says which version runs, and on which node.',
    doc: 'Always 1',
    labels: ['version', 'node'],
  },
} as const satisfies Record<string, Metric>;
