// The metrics of what the gateway terminates itself: rooms, their broker, webhooks, and what they take of memory.
import { type Metric, one, seconds } from './metric.ts';

const WEBHOOK = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** By name without the prefix `gateway_`. */
export const TERMINATED = {
  webhook_events_total: {
    type: 'counter',
    help: 'Events sent by the handler webhook, by their outcome: ok, refused (no 2xx), or failed (no answer).',
    doc: 'Events sent by the handler `webhook`; `event` is `connect`, `connected`, `message` or `disconnected`; `result` is `ok` (2xx), `refused` (another status) or `failed` (no answer, however often it was tried)',
    labels: ['route', 'event', 'result'],
    on: { webhook_delivered: (event) => one(event.route, event.event, event.result) },
  },
  webhook_event_duration_seconds: {
    type: 'histogram',
    help: 'From an event of the handler webhook to the answer, waiting and further attempts included.',
    doc: 'From an event of the handler `webhook` to its answer, including the time in the queue and retries',
    labels: ['route', 'event'],
    buckets: WEBHOOK,
    on: { webhook_delivered: (event) => seconds(event.durationMs, event.route, event.event) },
  },
  webhook_events_pending: {
    type: 'gauge',
    help: 'Events of the handler webhook that wait for their turn or for an answer.',
    doc: 'Events of the handler `webhook` that wait for their turn or for an answer',
    labels: ['route'],
    sampled: true,
  },
  rooms: {
    type: 'gauge',
    help: 'Rooms with members on this gateway.',
    labels: [],
    sampled: true,
  },
  room_members: {
    type: 'gauge',
    help: 'Connections of this gateway that are in rooms.',
    labels: [],
    sampled: true,
  },
  room_messages_total: {
    type: 'counter',
    help: 'Messages said in rooms through this gateway: published, or failed as the broker was away.',
    doc: 'Messages published in rooms through this gateway: `published`, or `failed` because the broker was unreachable',
    labels: ['result'],
    sampled: true,
    initial: [
      { labels: ['published'], value: 0 },
      { labels: ['failed'], value: 0 },
    ],
  },
  room_deliveries_total: {
    type: 'counter',
    help: 'Room messages delivered to connections of this gateway.',
    labels: [],
    sampled: true,
  },
  broker_up: {
    type: 'gauge',
    help: 'Whether the broker works: 1, or 0 while rooms are disconnected from other gateways.',
    labels: ['broker'],
    sampled: true,
  },
  broker_events_ignored_total: {
    type: 'counter',
    help: 'What came over the channel of the broker and was not acted on: unknown to this version, or malformed.',
    doc: 'Events on the channel of a Redis broker that were ignored: `unknown` to this version of the gateway, or `malformed`',
    labels: ['reason'],
    sampled: true,
  },
  memory_budget_bytes: {
    type: 'gauge',
    help: 'What messages take of a budget in memory: the histories of rooms, or queues.',
    doc: 'Memory that messages use: `history` of rooms; `queues` toward slow clients, webhook backends and the broker, together with incomplete messages; and requests that wait for earlier ones of their connection (`pipelining`). See [limits](limits.md#memory)',
    labels: ['budget'],
    sampled: true,
  },
  memory_budget_limit_bytes: {
    type: 'gauge',
    help: 'How much a budget in memory has.',
    doc: 'The limit of each budget: `limits.memory`, and a sixteenth of the heap for `pipelining`',
    labels: ['budget'],
    sampled: true,
  },
} as const satisfies Record<string, Metric>;
