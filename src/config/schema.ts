// The shape of gateway.yaml, once: every field's type, default, unit and doc line. The validator, the type Config, the
// JSON Schema and the table in docs/configuration.md are all derived from here. The options of handlers stand in
// handler-options.ts. What needs two fields to judge is in check.ts.
import { isAddressRange, isCertificateName } from './address.ts';
import { pushOptions, roomsOptions } from './handler-options.ts';
import { isServerUrlFault, parseServerUrl } from './server-url.ts';
import { broker, count, duration, host, name, port, size, wait, z } from './terms.ts';
import { compression, sendQueue } from './wire-options.ts';

/** The longest path that fits sun_path on Linux, with its closing NUL (unix(7)). */
const LONGEST_UNIX_PATH = 107;
const unixPath = () =>
  z
    .string()
    .min(1)
    .refine(
      (path) => Buffer.byteLength(path) <= LONGEST_UNIX_PATH && !path.includes('\0'),
      `must be a path of at most ${LONGEST_UNIX_PATH} bytes`,
    );

const server = () =>
  z.string().transform((text, context) => {
    const parsed = parseServerUrl(text);
    if (!isServerUrlFault(parsed)) return parsed;
    context.addIssue({ code: 'custom', message: parsed.message, params: { hint: parsed.hint } });
    return z.NEVER;
  });

const certificate = z.strictObject({
  cert: z.string().min(1).describe('Path of the certificate chain, PEM, leaf first'),
  key: z.string().min(1).describe('Path of the private key, PEM'),
});

const listener = z.strictObject({
  host: host()
    .optional()
    .describe('Address or host name to bind; unset: `::` (both families), `0.0.0.0` where there is no IPv6'),
  port: port().optional().describe('TCP port; 0 takes any free one'),
  unix: unixPath().optional().describe('Path of a unix socket, in place of a port'),
  tls: z
    .strictObject({
      certificates: z
        .array(certificate)
        .min(1)
        .optional()
        .describe('Certificates; SNI picks among them, the first is the default'),
      self_signed: z
        .array(z.string().refine(isCertificateName, 'must be a host name, `*.` and a host name, or an IP address'))
        .min(1)
        .optional()
        .describe('Names for a certificate made at start, in place of `certificates`; for trying out'),
    })
    .optional()
    .describe('Speak TLS on this listener'),
  max_head: size().prefault('32KiB').describe('Largest request head; a larger one is answered with 431'),
  timeouts: z
    .strictObject({
      head: wait().prefault('10s').describe('For a request head to arrive whole'),
      keep_alive: wait().prefault('60s').describe('An idle connection is kept for the next request'),
      tls_handshake: wait().prefault('10s').describe('For the TLS handshake to end'),
    })
    .prefault({})
    .describe('How long a client may take'),
});

const upstream = z.strictObject({
  servers: z
    .array(server())
    .min(1)
    .describe('Addresses: `ws://host:port` or `http://host:port`, `wss://` or `https://` for TLS'),
  balance: z
    .enum(['round_robin', 'least_connections'])
    .prefault('round_robin')
    .describe('How a server is picked for the next request or session'),
});

const match = z.strictObject({
  host: z
    .string()
    .min(1)
    .optional()
    .describe('Exact host, or `*.suffix` for exactly one label before it; unset: any host'),
  path: z
    .string()
    .min(1)
    .prefault('/*')
    .describe('Exact `/a`, prefix `/a/*`, or with `{name}` for one non-empty segment'),
  headers: z
    .record(z.string(), z.string())
    .optional()
    .describe('Header fields that must be there with this value; `*` for any value'),
  query: z
    .record(z.string(), z.string())
    .optional()
    .describe('Query parameters that must be there with this value; `*` for any value'),
});

const origins = z
  .union([z.enum(['same-host', 'any']), z.array(z.string().min(1)).min(1)])
  .prefault('same-host')
  .describe('Origins that may connect: a list of exact ones or `https://*.example.com`, `same-host`, or `any`');

const limits = {
  connections: count().optional().describe('Most live sessions of this route; more are answered with 503'),
  connections_per_ip: count()
    .optional()
    .describe('Most live sessions of one client address on this route; more are answered with 429'),
};

/** What both modes of a websocket route share. */
const handshakeRules = {
  origins,
  missing_origin: z
    .enum(['allow', 'reject'])
    .prefault('allow')
    .describe('What a handshake without Origin gets; browsers always send one'),
  versions: z
    .array(z.literal([13, 8]))
    .min(1)
    .prefault([13])
    .describe('WebSocket versions accepted: 13 (RFC 6455) and 8 (its draft)'),
  subprotocols: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Subprotocols let through, best first; unset: any'),
  subprotocol_required: z
    .boolean()
    .prefault(true)
    .describe('With `subprotocols`: refuse a handshake that offers none of them'),
};

const splice = z.strictObject({
  mode: z.literal('splice').describe('Carry the stream to a backend WebSocket server'),
  upstream: name().describe('Upstream of the backend WebSocket servers'),
  ...handshakeRules,
  limits: z.strictObject(limits).prefault({}).describe('How much this route carries'),
  timeouts: z
    .strictObject({
      connect: wait().prefault('5s').describe('For the connection to a server'),
      handshake: wait().prefault('10s').describe("From the connection to the head of the server's answer"),
      idle: wait().prefault('1h').describe('Ends a session without a byte in either direction'),
    })
    .prefault({})
    .describe('How long this route waits'),
});

const terminate = z.strictObject({
  mode: z.literal('terminate').describe('Be the WebSocket server'),
  handler: z.enum(['echo', 'push', 'rooms']).describe('What answers the messages'),
  push: pushOptions.optional().describe('Options of the handler `push`'),
  rooms: roomsOptions.optional().describe('Options of the handler `rooms`'),
  ...handshakeRules,
  limits: z
    .strictObject({
      max_message: size().prefault('1MiB').describe('Largest message, inflated; a larger one closes with 1009'),
      messages_per_second: count().optional().describe('Most messages of a client; more close with 1008'),
      bytes_per_second: size()
        .refine((bytes) => bytes > 0, 'must be more than 0')
        .optional()
        .describe("Most bytes of a client's messages, inflated; more close with 1008"),
      ...limits,
    })
    .prefault({})
    .describe('How much this route carries'),
  compression: compression.optional().describe('permessage-deflate for clients that offer it; unset: none'),
  send_queue: sendQueue.prefault({}).describe('What a client that does not keep up is owed at most'),
  timeouts: z
    .strictObject({
      idle: wait().prefault('1h').describe('Ends a session without a byte in either direction, with 1001'),
      max_lifetime: wait().optional().describe('Ends a session this old, less up to a tenth, with 1001; unset: never'),
    })
    .prefault({})
    .describe('How long this route waits'),
  ping: z
    .strictObject({
      every: wait().prefault('25s').describe('A ping goes out each of these'),
      timeout: wait().prefault('10s').describe('A client silent for this long after a ping is cut'),
    })
    .optional()
    .describe('Pings to the client; unset: none'),
});

const route = z.strictObject({
  name: name().describe('Names the route in metrics, logs and `explain`'),
  match: match.prefault({}).describe('Which requests this route takes'),
  websocket: z.discriminatedUnion('mode', [splice, terminate]).optional().describe('Take handshakes'),
  http: z
    .strictObject({
      upstream: name().describe('Upstream of the REST servers'),
      timeouts: z
        .strictObject({
          connect: wait().prefault('5s').describe('For the connection to a server'),
          head: wait().prefault('60s').describe('From the request to the head of its answer'),
          idle: wait().prefault('60s').describe("Between two parts of the answer's body"),
        })
        .prefault({})
        .describe('How long this route waits'),
    })
    .optional()
    .describe('Take plain requests'),
});

export const schema = z.strictObject({
  listeners: z.array(listener).min(1).describe('Where clients connect'),
  admin: z
    .strictObject({
      host: host().prefault('127.0.0.1').describe('Address or host name to bind'),
      port: port().prefault(9901).describe('TCP port; 0 takes any free one'),
    })
    .prefault({})
    .describe('Where `/metrics`, `/healthz` and `/readyz` are served'),
  trusted_proxies: z
    .array(z.string().refine(isAddressRange, 'must be an IP address or a CIDR range, such as 10.0.0.0/8'))
    .prefault([])
    .describe('Addresses and CIDR ranges whose forwarding fields are believed'),
  upstreams: z.record(name(), upstream).prefault({}).describe('Groups of backend servers, by name'),
  routes: z.array(route).min(1).describe('Rules, tried in order; the first that fits takes the request'),
  broker: broker()
    .prefault('memory')
    .describe(
      'What brings rooms and connections of several gateways together: a Redis, or `memory` for a single gateway',
    ),
  drain: z
    .strictObject({
      delay: duration()
        .prefault('0s')
        .describe('From the signal, with `/readyz` at 503, to the closing of the listeners'),
      grace: duration().prefault('30s').describe('From then to the cutting of what is left'),
      spread: duration().prefault('10s').describe('The closes of live sessions are spread over this long'),
    })
    .prefault({})
    .describe('How SIGTERM ends the gateway'),
  log: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
        .prefault('info')
        .describe('Lowest level that is written'),
      access: z.boolean().prefault(true).describe('A line for each request, session and refusal'),
    })
    .prefault({})
    .describe('JSON lines on standard output'),
});

/** The same without what the root must have: for what is left of a config after its broken values are taken out. */
export const relaxedSchema = schema.extend({
  listeners: z.array(listener).prefault([]),
  routes: z.array(route).prefault([]),
});

/** One thing the schema found wrong, and what the wording of its message is made from. */
export type SchemaIssue = z.core.$ZodIssue;
export type UnwordedIssue = z.core.$ZodRawIssue;

/** The whole config after parsing: defaults filled in, durations in milliseconds, sizes in bytes. */
export type Config = z.output<typeof schema>;
export type ListenerConfig = Config['listeners'][number];
export type UpstreamConfig = Config['upstreams'][string];
export type RouteConfig = Config['routes'][number];
export type MatchConfig = RouteConfig['match'];
export type WebSocketConfig = NonNullable<RouteConfig['websocket']>;
export type SpliceConfig = Extract<WebSocketConfig, { mode: 'splice' }>;
export type TerminateConfig = Extract<WebSocketConfig, { mode: 'terminate' }>;
export type HttpConfig = NonNullable<RouteConfig['http']>;
export type DrainConfig = Config['drain'];
