// What the readings of the admin API give, for its document. They ask for the token only where others than this machine reach the
// admin listener, as the pages do.
import { answer, MALFORMED, object, optionalText, query, refusal, text, time } from './openapi-parts.ts';
import { SORTS } from './read/connections.ts';
import { DEFAULT_LIMIT, MAX_LIMIT } from './read/paging.ts';

const count = { type: 'integer', minimum: 0 } as const;
const number = { type: 'number' } as const;
const flag = { type: 'boolean' } as const;
const optionalCount = { type: ['integer', 'null'] } as const;
const list = (items: object) => ({ type: 'array', items });
const optionalTime = { ...time, type: ['string', 'null'] } as const;
const optional = (schema: object) => ({ anyOf: [schema, { type: 'null' }] });
const next = { ...optionalText, description: 'Where the next page begins; null: this is the last one' };
const limit = query(
  'limit',
  { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT },
  'Length of a page',
);
const cursor = query('cursor', text, 'The `next` of the page before');

function reading(operationId: string, summary: string, parameters: readonly object[], schema: object): object {
  const refusals = parameters.length === 0 ? {} : { 400: MALFORMED };
  return {
    get: {
      operationId,
      summary,
      parameters,
      responses: { 200: answer(summary, schema), ...refusals, 403: refusal('`host`: see above') },
    },
  };
}

const STATUS = object({
  ...{ version: text, node: text, pid: count, started_at: time, uptime_seconds: number },
  ...{ ready: flag, draining: flag, degraded: { ...optionalText, description: 'What does not work as it should' } },
  api: { ...flag, description: 'Whether there is an API: the config has a token' },
  relay: object({ engine: { type: 'string', enum: ['native', 'js'] } }),
  http_engine: text,
  protocols: list(text),
  listeners: list(object({ host: optionalText, port: count, tls: flag })),
  sessions: { ...count, description: 'Live ones' },
  requests: { ...count, description: 'Plain requests being served' },
  totals: object({
    handshakes: object({ accepted: count, rejected: count, failed: count, passed: count }),
    ...{ requests: count, bytes_in: count, bytes_out: count, messages_in: count, messages_out: count },
  }),
  internal_errors: { type: 'object', additionalProperties: count, description: 'By where' },
  config: object({
    file: text,
    hash: { ...text, description: 'SHA-256 of the file, in hexadecimal' },
    loaded_at: time,
  }),
  last_reload: optional(
    object({
      ...{ at: time, trigger: text, result: { type: 'string', enum: ['success', 'failure'] }, problems: list(text) },
      kept: optionalCount,
      draining: list(object({ why: text, sessions: count })),
      restart_needed: list(text),
    }),
  ),
  changes: {
    ...object({
      until: { const: 'restart' },
      log_level: optionalText,
      servers: list(object({ upstream: text, server: text, state: text, since: time })),
      closing: list(object({ filter: { type: 'object' }, left: count, rate: number })),
    }),
    description: 'What was changed through this API; a restart undoes it',
  },
  certificates: list(object({ listener: text, names: text, not_after: time, days_left: { type: 'integer' } })),
  certificate_orders: {
    ...list(
      object({
        ...{ names: text, authority: text, state: { type: 'string', enum: ['pending', 'issued'] } },
        not_after: optionalTime,
        last_error: { ...optional(object({ at: time, reason: text, detail: text })), description: 'Of the last order' },
        next_attempt: { ...optionalTime, description: 'Null while an order is under way' },
      }),
    ),
    description: 'Certificates that are ordered by ACME',
  },
  memory: object({
    ...{ rss: count, heap_used: count, heap_limit: count },
    budgets: list(object({ budget: text, bytes: count, limit: count })),
  }),
  descriptors: object({ used: optionalCount, limit: optionalCount }),
});

const SERVER = object({
  ...{ upstream: text, server: text, healthy: flag },
  eligible: { ...flag, description: 'Whether the next request may go to it' },
  why: { ...optionalText, description: 'Why it is not healthy, or gets nothing new' },
  since: { ...time, description: 'Since when its health is as it is, or its state was set' },
  state: { type: 'string', enum: ['up', 'drain', 'down'], description: 'As set through this API' },
  ...{ weight: number, backup: flag, live: count, tunnels: count },
  ...{ handshakes: count, requests: count, errors: count, ejections: count },
  ...{ handshakes_per_second: number, requests_per_second: number },
  last_error: optional(object({ at: time, reason: text, detail: text })),
});

const SESSION = object({
  ...{
    id: text,
    route: text,
    mode: { type: 'string', enum: ['splice', 'terminate'] },
    client: text,
    user: optionalText,
  },
  ...{ host: text, path: text, subprotocol: optionalText, upstream: optionalText, server: optionalText },
  ...{ opened_at: time, age_seconds: number, idle_seconds: number, bytes_in: count, bytes_out: count },
  messages_in: { ...optionalCount, description: 'Null where frames are not followed' },
  messages_out: optionalCount,
  bytes_per_second: { ...count, description: 'Since it was last listed; the first time since it was opened' },
});

const VALUE = object({
  path: text,
  value: { type: ['string', 'number', 'boolean', 'null'] },
  from: { type: 'string', enum: ['file', 'environment', 'default'] },
  ...{ line: optionalCount, column: optionalCount },
});

const REFUSAL = object({
  id: { ...count, description: 'Counts from 1 on' },
  ...{ at: time, kind: { type: 'string', enum: ['handshake', 'request', 'connection'] }, request_id: optionalText },
  ...{
    client: text,
    user: optionalText,
    route: optionalText,
    method: optionalText,
    scheme: { type: ['string', 'null'], enum: ['http', 'https', null] },
    host: optionalText,
    path: optionalText,
  },
  origin: { ...optionalText, description: 'Of handshakes' },
  version: { ...optionalText, description: 'Sec-WebSocket-Version of a handshake' },
  subprotocols: { ...list(text), description: 'Those offered by a handshake that its route lists, and no others' },
  ...{ status: optionalCount, reason: text, detail: text },
  rule: { ...optionalText, description: 'What decided: the key of the config, or the RFC' },
  ...{ upstream: optionalText, server: optionalText },
});

export const READ_PATHS = {
  '/status': reading('showStatus', 'The gateway at one look', [], STATUS),
  '/upstreams': reading(
    'listServers',
    'Every server of every upstream',
    [query('upstream', text, 'Of this one only'), limit, cursor],
    object({ total: count, servers: list(SERVER), next }),
  ),
  '/connections': reading(
    'listConnections',
    'The live sessions of this gateway, newest first',
    [
      ...['route', 'user', 'upstream', 'server', 'id'].map((name) => query(name, text, 'Only those with it')),
      query('address', text, 'Only those of this address or CIDR range'),
      query('search', text, 'Only those with this text in any of their names'),
      query('sort', { type: 'string', enum: SORTS, default: 'opened' }, 'What they are sorted by'),
      query('order', { type: 'string', enum: ['desc', 'asc'], default: 'desc' }, 'desc: the greatest first'),
      limit,
      cursor,
    ],
    object({
      total: { ...count, description: 'Live ones' },
      matching: { ...count, description: 'Of this page and those behind it' },
      connections: list(SESSION),
      next,
    }),
  ),
  '/config': reading(
    'showConfig',
    'The config in force, value by value, with secrets replaced',
    [query('under', text, 'Only what is under this path, such as `routes[0]`'), limit, cursor],
    object({ file: text, hash: text, loaded_at: time, values: list(VALUE), next }),
  ),
  '/refusals': reading(
    'listRefusals',
    'The last 1,000 refusals and failures, newest first',
    [
      ...['route', 'reason', 'client', 'host', 'path', 'request_id', 'upstream', 'server'].map((name) =>
        query(name, text, 'Only those with it'),
      ),
      query('after', count, 'Only those with a greater id'),
      query('before', count, 'Only those with a smaller id: the `next` of the page before'),
      limit,
    ],
    object({ newest: { ...count, description: 'The greatest id there is' }, refusals: list(REFUSAL), next }),
  ),
};
