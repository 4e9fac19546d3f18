// The part of the API's document that changes the gateway: change-operations.ts.
import { LOG_LEVELS } from '../config/schema/schema.ts';
import { SERVER_STATES } from '../upstream/server-overrides.ts';
import { answer, MALFORMED, MEDIA_TYPE, object, operation, refusal, TOO_LARGE, text, time } from './openapi-parts.ts';

const until = { type: 'string', enum: ['restart'], description: 'It survives reloads and ends at a restart' };
const count = { type: 'integer', minimum: 0 } as const;
const level = { type: 'string', enum: LOG_LEVELS } as const;
const jsonBody = (schema: object) => ({ required: true, content: { 'application/json': { schema } } });
const BODY_REFUSALS = { 400: MALFORMED, 413: TOO_LARGE, 415: MEDIA_TYPE };
const pathParameter = (name: string, description: string) => ({
  name,
  in: 'path',
  required: true,
  schema: text,
  description,
});

const CLOSE = {
  type: 'object',
  additionalProperties: false,
  description: 'Which sessions, by criteria that must all match, or `all`; and how they are closed',
  properties: {
    route: text,
    address: { ...text, description: 'Address of the client, or a CIDR range' },
    user: { ...text, description: 'The subject of the credentials' },
    upstream: text,
    server: { ...text, description: 'The URL of the server' },
    id: { ...text, description: 'Id of the connection' },
    all: { type: 'boolean', enum: [true] },
    code: { type: 'integer', default: 1012, description: '1000, 1001, 1008, 1011, 1012, 1013, or from 3000 to 4999' },
    reason: { ...text, description: 'At most 123 bytes of UTF-8' },
    rate: { type: 'number', default: 100, minimum: 0.1, maximum: 100_000, description: 'Sessions closed per second' },
  },
} as const;

export const CHANGE_PATHS = {
  '/drain': {
    post: operation('drain', 'Drain the gateway as SIGTERM does, and end the process', {
      responses: {
        202: answer(
          'It drains; asked again, it goes on as it does',
          object({
            draining: { type: 'boolean', enum: [true] },
            sessions: { ...count, description: 'Live sessions now' },
            requests: count,
            within_ms: { ...count, description: 'It ends within this time' },
          }),
        ),
      },
    }),
  },
  '/upstreams/{upstream}/servers/{server}': {
    parameters: [
      pathParameter('upstream', 'Its name in the config'),
      pathParameter('server', 'Its URL, percent-encoded, such as `ws%3A%2F%2F10.0.0.1%3A9001`'),
    ],
    put: operation('setServer', 'Take a server out, or back', {
      requestBody: jsonBody(object({ state: { type: 'string', enum: SERVER_STATES } })),
      responses: {
        200: answer(
          'Done. `drain`: nothing new, its tunnels are closed with 1012 at `close_rate`; `down`: the same, at once',
          object({
            upstream: text,
            server: text,
            state: { type: 'string', enum: SERVER_STATES },
            closing: { ...count, description: 'Tunnels that are closed' },
            until,
          }),
        ),
        404: refusal('`no_upstream` or `no_server`: `detail` says which there are'),
        ...BODY_REFUSALS,
      },
    }),
  },
  '/connections/close': {
    post: operation('closeConnections', 'Close sessions of this gateway, at a pace', {
      requestBody: jsonBody(CLOSE),
      responses: {
        202: answer(
          'They are being closed',
          object({
            closing: { ...count, description: 'Sessions that match now' },
            rate: { type: 'number' },
            code: count,
          }),
        ),
        429: refusal('`busy`: 16 such orders are under way; `Retry-After` is there'),
        ...BODY_REFUSALS,
      },
    }),
  },
  '/log': {
    put: operation('setLog', 'Set the level of the log', {
      requestBody: jsonBody(
        object({
          level: { type: ['string', 'null'], enum: [...LOG_LEVELS, null], description: 'Null: as configured' },
        }),
      ),
      responses: { 200: answer('Done', object({ level, configured: level, until })), ...BODY_REFUSALS },
    }),
  },
  '/reload': {
    post: operation('reload', 'Read the config anew, as SIGHUP does', {
      responses: {
        200: answer(
          'It serves',
          object({
            at: time,
            kept: { ...count, description: 'Sessions that go on' },
            draining: {
              type: 'array',
              description: 'Sessions that are closed, by reason',
              items: object({ why: text, sessions: count }),
            },
            restart_needed: {
              type: 'array',
              description: 'Settings that were changed and take effect at a restart',
              items: text,
            },
          }),
        ),
        422: refusal('`not_reloaded`: nothing has changed; `problems` says why, with positions'),
      },
    }),
  },
};
