// The shape of gateway.yaml, once: every field's type, default, unit and doc line. The validator, the type Config, the
// JSON Schema and the table in docs/configuration.md are all derived from here and from the schema-*.ts beside it. What
// needs two fields to judge is in check.ts.
import * as z from 'zod';
import { auth } from './schema-auth.ts';
import { headers, http, http2, redirect, respond, rewrite } from './schema-http.ts';
import { limits, requestLimits } from './schema-limits.ts';
import { hsts, redirectToHttps, tls } from './schema-tls.ts';
import { upstream } from './schema-upstream.ts';
import {
  addressEntries,
  broker,
  count,
  duration,
  host,
  name,
  oneOrMore,
  port,
  size,
  sizeLimit,
  unixPath,
  wait,
} from './schema-values.ts';
import { splice, terminate } from './schema-websocket.ts';

const listener = z.strictObject({
  host: host()
    .optional()
    .describe('Address or host name to bind; unset: `::` (both families), `0.0.0.0` where there is no IPv6'),
  port: port().optional().describe('TCP port; 0 takes any free one'),
  unix: unixPath().optional().describe('Path of a unix socket, instead of a port'),
  fd_name: name()
    .optional()
    .describe(
      'If sockets were passed at the start (LISTEN_FDS): the name of this one (`FileDescriptorName=`); unset: found by its address',
    ),
  tls: tls.optional().describe('Speak TLS on this listener'),
  redirect_to_https: redirectToHttps
    .optional()
    .describe('Redirect requests without TLS to https, except ACME challenges; a number: to that port; unset: no'),
  hsts: hsts
    .optional()
    .describe('Tell browsers to use https only (RFC 6797) for this time, on every answer without its own; unset: no'),
  http2: http2.optional().describe('HTTP/2: on, off, or its options; unset: on with TLS, off without'),
  proxy_protocol: z
    .strictObject({
      from: addressEntries()
        .min(1)
        .describe(
          'The peers that must send a preamble: addresses, CIDR ranges, `unix`. Connections of other peers have none',
        ),
      timeout: wait().prefault('5s').describe('Until the preamble is complete'),
    })
    .optional()
    .describe("Read the client's address from a PROXY preamble, version 1 or 2, before anything else; unset: never"),
  max_head: sizeLimit().prefault('32KiB').describe('Largest request head; a larger one is answered with 431'),
  timeouts: z
    .strictObject({
      head: wait().prefault('10s').describe('Until a request head is complete'),
      keep_alive: wait()
        .prefault('75s')
        .describe('How long an idle connection is kept for the next request; longer than a balancer in front keeps it'),
      tls_handshake: wait()
        .prefault('10s')
        .describe('Until the TLS handshake is complete; a change takes effect at a restart'),
    })
    .prefault({})
    .describe('How long a client may take'),
});

const match = z.strictObject({
  host: oneOrMore()
    .optional()
    .describe('Exact host, or `*.suffix` for exactly one label before it; or a list of them; unset: any host'),
  path: oneOrMore()
    .prefault('/*')
    .describe('Exact `/a`, prefix `/a/*`, or with `{name}` for one non-empty segment; or a list of them'),
  scheme: z
    .enum(['http', 'https'])
    .optional()
    .describe('Scheme that the client used, as trusted proxies report it; unset: either'),
  headers: z
    .record(z.string(), z.string())
    .optional()
    .describe('Header fields that must have this value; `*` is any value'),
  query: z
    .record(z.string(), z.string())
    .optional()
    .describe('Query parameters that must have this value; `*` is any value'),
});

const route = z.strictObject({
  name: name().describe('Name of the route in metrics, logs and `explain`'),
  match: match.prefault({}).describe('Requests that this route takes'),
  deny: addressEntries()
    .min(1)
    .optional()
    .describe('Refused clients: addresses, CIDR ranges, `unix` for clients on unix sockets'),
  allow: addressEntries().min(1).optional().describe('Admitted clients, except those in `deny`; unset: all'),
  websocket: z.discriminatedUnion('mode', [splice, terminate]).optional().describe('Take handshakes'),
  http: z
    .strictObject({
      upstream: name().describe('Upstream of the REST servers'),
      max_body: size()
        .optional()
        .describe('Largest request body; a larger one is answered with 413; unset: `limits.max_body`'),
      limits: requestLimits,
      timeouts: z
        .strictObject({
          connect: wait().prefault('5s').describe('Time for connecting to a server'),
          head: wait().prefault('60s').describe('Time from the request to the head of its answer'),
          idle: wait().prefault('60s').describe("Longest pause between two parts of the answer's body"),
        })
        .prefault({})
        .describe('Timeouts of this route'),
    })
    .optional()
    .describe('Take plain requests'),
  on_change: z
    .enum(['keep', 'drain', 'close'])
    .optional()
    .describe(
      'Its sessions when a reload changes or removes the route: keep them, close them with 1012 at a steady rate, or at once; unset: keep them if the route changed, drain them if it or their server was removed',
    ),
  auth: auth.optional().describe('Authenticate clients, for everything that the route does'),
  redirect: redirect
    .optional()
    .describe('Answer with a redirect, handshakes too if there is no `websocket`; the query and unset parts stay'),
  respond: respond.optional().describe('Answer with this, handshakes too if there is no `websocket`'),
  rewrite: rewrite.optional().describe('Change the target that the backend gets, for `http` and `mode: splice`'),
  headers: headers.optional().describe('Change header fields, for `http` and `mode: splice`'),
});

const DEFAULT_SPREAD_MS = 10_000;

/** From the most lines to none. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What `Authorization: Bearer` can carry, and not guessed at once. */
export const TOKEN = /^[\x21-\x7e]{16,}$/;

export const schema = z.strictObject({
  listeners: z.array(listener).min(1).describe('Where clients connect'),
  admin: z
    .strictObject({
      host: host().prefault('127.0.0.1').describe('Address or host name to bind'),
      port: port().prefault(9901).describe('TCP port; 0 takes any free one'),
      hosts: z
        .array(host())
        .prefault([])
        .describe('Further host names for the page and the API, beside IP addresses and `localhost`'),
      token: z
        .string()
        .regex(TOKEN, 'must be 16 or more visible ASCII characters, without spaces')
        .optional()
        .describe(
          'Bearer token of the API, and of the page if `host` is not loopback; usually from the environment. Without one there is no API',
        ),
      token_file: z.string().min(1).optional().describe('Path of a file with the token, instead of `token`'),
    })
    .prefault({})
    .describe('The listener for `/metrics`, `/healthz`, `/readyz`, the API and the status page'),
  trusted_proxies: addressEntries()
    .prefault([])
    .describe(
      'Addresses and CIDR ranges of proxies whose forwarding fields are trusted; `unix`: peers on unix sockets',
    ),
  upstreams: z.record(name(), upstream).prefault({}).describe('Groups of backend servers, by name'),
  routes: z.array(route).min(1).describe('Rules, tried in order; the first that fits takes the request'),
  limits: limits.prefault({}).describe('Limits of the whole gateway, over all routes'),
  broker: broker()
    .prefault('memory')
    .describe('Connects the rooms and connections of several gateways: a Redis, or `memory` for a single gateway'),
  drain: z
    .strictObject({
      delay: duration()
        .prefault('0s')
        .describe('From the signal, with `/readyz` at 503, to the closing of the listeners'),
      grace: duration().prefault('30s').describe('Time from then until the rest is cut'),
      spread: duration()
        .optional()
        .describe(
          'Time over which sessions, and answers without an end, are closed; unset: `10s`, or `grace` if shorter',
        ),
    })
    .transform(({ delay, grace, spread }) => ({ delay, grace, spread: spread ?? Math.min(DEFAULT_SPREAD_MS, grace) }))
    .prefault({})
    .describe('How the gateway stops at SIGTERM'),
  http: http.prefault({}).describe('Settings of plain HTTP'),
  relay: z
    .strictObject({
      engine: z
        .enum(['auto', 'native', 'js'])
        .prefault('auto')
        .describe('Engine for spliced tunnels; `auto`: the native one if it was built, else js'),
      threads: z
        .union([z.literal('auto'), count().max(64)])
        .prefault('auto')
        .describe('Threads of the native engine; `auto`: one less than there are cores, at least one'),
    })
    .prefault({})
    .describe('The relay of spliced sessions; a change takes effect at a restart'),
  log: z
    .strictObject({
      level: z.enum(LOG_LEVELS).prefault('info').describe('Lowest level that is written'),
      access: z.boolean().prefault(true).describe('A line for each request, session and refusal'),
      format: z
        .enum(['auto', 'text', 'json'])
        .prefault('auto')
        .describe('JSON lines for programs, or text for people; `auto`: text if standard output is a terminal'),
    })
    .prefault({})
    .describe('Lines on standard output'),
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
export type HeadersConfig = NonNullable<RouteConfig['headers']>;
export type RedirectConfig = NonNullable<RouteConfig['redirect']>;
export type RespondConfig = NonNullable<RouteConfig['respond']>;
export type AdminConfig = Config['admin'];
export type DrainConfig = Config['drain'];
