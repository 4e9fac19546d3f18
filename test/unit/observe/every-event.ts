// One of each event, with a value in every field, for tests of what observes them.
import type { GatewayEvent } from '../../../src/events.ts';

const subject = {
  id: 'req-1',
  route: 'chat',
  client: '192.0.2.7',
  method: 'GET',
  host: 'app.example.com',
  path: '/ws/room',
};
const at = { upstream: 'chat', server: 'ws://127.0.0.1:9001' };

export const EVENTS: { readonly [T in GatewayEvent['type']]: Extract<GatewayEvent, { type: T }> } = {
  session_opened: {
    ...subject,
    type: 'session_opened',
    mode: 'splice',
    at,
    origin: 'https://app.example.com',
    subprotocol: 'chat.v2',
    durationMs: 12.3456,
  },
  session_closed: {
    ...subject,
    type: 'session_closed',
    mode: 'terminate',
    at,
    durationMs: 90_000,
    fromClient: { bytes: 10, messages: 1 },
    toClient: { bytes: 20, messages: 2 },
    code: 1000,
    initiator: 'client',
    reason: 'closed',
  },
  handshake_rejected: {
    ...subject,
    type: 'handshake_rejected',
    mode: 'splice',
    reason: 'origin',
    status: 403,
    detail: 'not in the list',
    origin: 'https://evil.example',
  },
  handshake_failed: {
    ...subject,
    type: 'handshake_failed',
    mode: 'splice',
    reason: 'backend_refused',
    status: 502,
    detail: 'ECONNREFUSED',
    at,
  },
  handshake_passed: { ...subject, type: 'handshake_passed', mode: 'splice', status: 403, at, durationMs: 7 },
  request_completed: {
    ...subject,
    type: 'request_completed',
    status: 200,
    reason: null,
    detail: null,
    at,
    durationMs: 30,
    bytesToClient: 512,
  },
  head_refused: { type: 'head_refused', client: '192.0.2.7', status: 431, reason: 'malformed', detail: 'too large' },
  upstream_connected: { type: 'upstream_connected', ...at, durationMs: 2 },
  upstream_failed: {
    type: 'upstream_failed',
    ...at,
    id: 'req-1',
    reason: 'backend_refused',
    detail: 'connect ECONNREFUSED 127.0.0.1:9001',
  },
  ping: { type: 'ping', route: 'chat', result: 'pong' },
  config_reloaded: { type: 'config_reloaded', result: 'failure', trigger: 'signal', problems: ['gateway.yaml:1:1: …'] },
  certificate_loaded: {
    type: 'certificate_loaded',
    listener: '[::]:443',
    names: ['a.example', 'b.example'],
    notAfterMs: 1_800_000_000_000,
  },
  drain: { type: 'drain', phase: 'started', sessions: 3 },
  notice: { type: 'notice', level: 'warn', message: 'out of descriptors', data: { limit: 1024 } },
};
