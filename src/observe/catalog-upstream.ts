// The metrics of upstreams: each of their servers, what it was asked, how it answered, and what broke.
import type { ServerRef } from '../events.ts';
import { statusLabel } from './labels.ts';
import { type Metric, one, type Point, seconds } from './metric.ts';

const CONNECT = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const REQUEST = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Null where no server was reached. */
const oneOf = (at: ServerRef | null, label: string): Point | null =>
  at === null ? null : one(at.upstream, at.server, label);

/** By name without the prefix `gateway_`. */
export const UPSTREAMS = {
  upstream_connections: {
    type: 'gauge',
    help: 'Sessions, requests, and handshakes under way that a server carries.',
    doc: 'Current sessions, requests and handshakes of a server, including plain answers to handshakes',
    labels: ['upstream', 'server'],
    sampled: true,
  },
  upstream_connect_duration_seconds: {
    type: 'histogram',
    help: 'Time to connect to a server, TLS included.',
    labels: ['upstream'],
    buckets: CONNECT,
    on: { upstream_connected: (event) => seconds(event.durationMs, event.upstream) },
  },
  upstream_errors_total: {
    type: 'counter',
    help: 'Failures of servers by reason code, each attempt counted.',
    doc: 'Failures of servers, each attempt counted',
    labels: ['upstream', 'reason'],
    on: { upstream_failed: (event) => one(event.upstream, event.reason) },
  },
  upstream_up: {
    type: 'gauge',
    help: 'Whether a server is healthy: its check passes, and its traffic does not fail.',
    doc: '1 if a server is healthy; 0 if its check fails, it is ejected, or it fails and is used only because there are no others',
    labels: ['upstream', 'server'],
    sampled: true,
  },
  upstream_retries_total: {
    type: 'counter',
    help: 'Requests and handshakes that went to another server (retried), or did not for want of budget.',
    doc: 'Requests and handshakes that failed on one server and were sent to another (`retried`), or were not because the budget was used up (`over_budget`)',
    labels: ['upstream', 'result'],
    on: { upstream_retry: (event) => one(event.upstream, event.result) },
  },
  upstream_server_retries_total: {
    type: 'counter',
    help: 'The same by the server that failed.',
    doc: 'The same as `gateway_upstream_retries_total`, by the server that failed',
    labels: ['upstream', 'server', 'result'],
    on: { upstream_retry: (event) => one(event.upstream, event.server, event.result) },
  },
  upstream_handshakes_total: {
    type: 'counter',
    help: 'WebSocket handshakes by the server that answered last: accepted, failed, or passed (its own non-101 answer).',
    labels: ['upstream', 'server', 'result'],
    on: {
      session_opened: (event) => oneOf(event.at, 'accepted'),
      handshake_failed: (event) => oneOf(event.at, 'failed'),
      handshake_passed: (event) => oneOf(event.at, 'passed'),
    },
  },
  upstream_requests_total: {
    type: 'counter',
    help: 'Plain HTTP requests by the server that was asked last, and by the status that the client got.',
    labels: ['upstream', 'server', 'code'],
    on: { request_completed: (event) => oneOf(event.at, statusLabel(event.status)) },
  },
  upstream_request_duration_seconds: {
    type: 'histogram',
    help: 'From the head of a plain HTTP request to the end of its answer, by the server that was asked last.',
    labels: ['upstream', 'server'],
    buckets: REQUEST,
    on: {
      request_completed: ({ at, durationMs }) => (at === null ? null : seconds(durationMs, at.upstream, at.server)),
    },
  },
  upstream_server_errors_total: {
    type: 'counter',
    help: 'Failures of each server by reason code, each attempt counted.',
    labels: ['upstream', 'server', 'reason'],
    on: { upstream_failed: (event) => one(event.upstream, event.server, event.reason) },
  },
} as const satisfies Record<string, Metric>;
