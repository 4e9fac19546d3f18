// The API's own description, OpenAPI 3.1, as it is served at /openapi.json. It says what the operations and console.ts do; a
// test asks for every operation and every answer written here, and finds every answer it gets written here.
import { CHANGE_PATHS } from './openapi-change.ts';
import {
  answer,
  body,
  DONE,
  GONE,
  id,
  MALFORMED,
  MEDIA_TYPE,
  object,
  operation,
  optionalText,
  query,
  ref,
  refusal,
  room,
  TOO_LARGE,
  text,
  time,
} from './openapi-parts.ts';
import { READ_PATHS } from './openapi-read.ts';

/** An operation that needs the broker. */
function brokerOperation(
  operationId: string,
  summary: string,
  rest: { readonly responses: object } & Readonly<Record<string, unknown>>,
): object {
  return operation(operationId, summary, { ...rest, responses: { ...rest.responses, ...BROKER_AWAY } });
}

const BROKER_AWAY = {
  503: refusal('`broker_unavailable`: the broker is away and nothing was done; `Retry-After` is there'),
  504: refusal('`broker_unconfirmed`: the broker went away meanwhile; it may have been done'),
};

const CONNECTION = object({
  id: text,
  route: text,
  mode: { type: 'string', enum: ['splice', 'terminate'] },
  client: { ...text, description: 'Address of the client' },
  user: { ...optionalText, description: 'The user: as its handler names it, else the subject of its credentials' },
  room: { ...optionalText, description: 'The room it is in' },
  subprotocol: optionalText,
  opened_at: time,
  active_at: {
    ...time,
    type: ['string', 'null'],
    description: 'Time of the last message; null if messages are not followed',
  },
});

const PROBLEM = {
  type: 'object',
  required: ['type', 'title', 'status', 'reason', 'detail'],
  additionalProperties: false,
  properties: {
    type: text,
    title: text,
    status: { type: 'integer' },
    reason: { ...text, description: 'One of the codes listed for the status' },
    detail: text,
    problems: { type: 'array', items: text, description: 'Mistakes of a config, one line each, with its position' },
  },
} as const;

const REVOCATION = {
  type: 'object',
  minProperties: 1,
  additionalProperties: false,
  description: 'Criteria; all that are given must match',
  properties: {
    subject: { ...text, description: 'The subject of the credentials' },
    address: { ...text, description: 'Address of the client, or a CIDR range' },
    route: text,
    id: { ...text, description: 'Id of the connection' },
    for: { ...text, default: '30s', description: 'How long matching clients are refused, such as 10m' },
  },
} as const;

const ROUTE = object({
  name: text,
  host: optionalText,
  path: text,
  mode: { type: 'string', enum: ['splice', 'terminate'] },
  serves: { ...text, description: 'The handler, or the upstream' },
  subprotocols: { type: 'array', items: text },
});

const PATHS = {
  '/connections/{id}': {
    parameters: [id],
    get: brokerOperation('describeConnection', 'Look at a connection', {
      responses: { 200: answer('The connection', ref('Connection')), 400: MALFORMED, 410: GONE },
    }),
    post: brokerOperation('sendToConnection', 'Send a message to a connection', {
      requestBody: body('text/plain', 'application/json', 'application/octet-stream'),
      responses: {
        204: DONE,
        400: MALFORMED,
        409: refusal('`spliced`: a connection that is carried to its backend can be sent nothing'),
        410: GONE,
        413: TOO_LARGE,
        415: MEDIA_TYPE,
      },
    }),
    delete: brokerOperation('closeConnection', 'Close a connection', {
      parameters: [
        query('code', { type: 'integer', default: 1000 }, '1000, 1001, 1008, 1011, 1012, 1013, or from 3000 to 4999'),
        query('reason', { ...text, default: '' }, 'At most 123 bytes of UTF-8'),
      ],
      responses: { 204: DONE, 400: MALFORMED, 410: GONE },
    }),
  },
  '/rooms': {
    get: brokerOperation('listRooms', 'The rooms with anyone in them', {
      responses: {
        200: answer(
          'The rooms',
          object({ rooms: { type: 'array', items: object({ room: text, members: { type: 'integer' } }) } }),
        ),
      },
    }),
  },
  '/rooms/{room}/members': {
    parameters: [room],
    get: brokerOperation('listMembers', 'Everyone in a room', {
      responses: {
        200: answer(
          'The members; none where there is no such room',
          object({
            room: text,
            members: { type: 'array', items: object({ user: text, connection: text, since: time }) },
          }),
        ),
        400: MALFORMED,
      },
    }),
  },
  '/rooms/{room}/messages': {
    parameters: [room],
    post: brokerOperation('publish', 'Say something in a room', {
      requestBody: body('text/plain', 'application/json'),
      responses: {
        200: answer('The place it was given', object({ id: text, at: time })),
        400: MALFORMED,
        413: TOO_LARGE,
        415: MEDIA_TYPE,
      },
    }),
  },
  '/revocations': {
    post: brokerOperation(
      'revoke',
      'Revoke access: close matching sessions with 4403, and refuse matching clients for some time',
      {
        requestBody: { required: true, content: { 'application/json': { schema: ref('Revocation') } } },
        responses: {
          200: answer(
            'Done, on every gateway',
            object({ closed: { type: 'integer', description: 'Sessions closed' } }),
          ),
          400: MALFORMED,
          413: TOO_LARGE,
          415: MEDIA_TYPE,
        },
      },
    ),
  },
  '/explain': {
    get: {
      operationId: 'explain',
      summary: 'How the gateway would answer a request, and why, as `upgate explain` prints it',
      parameters: [
        { ...query('url', text, 'ws, wss, http or https'), required: true },
        query('origin', text, 'Origin of the page that asks'),
        query('protocol', text, 'Subprotocols, with commas'),
        query('version', text, 'Sec-WebSocket-Version'),
        query('from', text, 'Address of the peer'),
        query('header', { type: 'array', items: text }, 'Further fields, each as `Name: value`'),
      ],
      responses: {
        200: answer(
          'The explanation',
          object({
            status: {
              type: ['integer', 'null'],
              description: '101 for a session; null if the backend decides',
            },
            reason: optionalText,
            lines: { type: 'array', items: text },
          }),
        ),
        400: MALFORMED,
        403: refusal('`host`: see above'),
      },
    },
  },
  '/routes': {
    get: {
      operationId: 'listRoutes',
      summary: 'The listeners and the WebSocket routes, for the console',
      responses: {
        200: answer(
          'Listeners and routes',
          object({
            listeners: { type: 'array', items: object({ port: { type: 'integer' }, tls: { type: 'boolean' } }) },
            routes: { type: 'array', items: ref('Route') },
          }),
        ),
        403: refusal('`host`: see above'),
      },
    },
  },
};

/** The whole document. */
export function buildOpenApi(version: string): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Upgate admin API',
      version,
      license: { name: 'MIT', identifier: 'MIT' },
      description:
        'For backends and operators. Host must be an IP address, `localhost` or a name in `admin.hosts`; anything else is 403 `host`.',
    },
    paths: { ...PATHS, ...READ_PATHS, ...CHANGE_PATHS },
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: '`admin.token` of the config' } },
      schemas: { Connection: CONNECTION, Problem: PROBLEM, Revocation: REVOCATION, Route: ROUTE },
    },
  };
}
