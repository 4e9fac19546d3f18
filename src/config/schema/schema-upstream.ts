// The `upstreams` block: which servers there are, how one is picked, how it is told whether they are up, and what happens
// when they are not. docs/upstreams.md says how to choose.
import * as z from 'zod';
import { count, duration, host, percent, resolverAddress, server, token, wait } from './schema-values.ts';

const FIELD = 'must be the name of a header field';
const COOKIE = 'must be the name of a cookie';
const A_PATH = 'must be a path that begins with "/", without spaces';

const balance = z
  .union([
    z.enum(['round_robin', 'least_connections', 'random_two', 'hash']),
    z.strictObject({
      hash: z
        .strictObject({
          header: token(FIELD).optional().describe('By the value of this header field'),
          query: z.string().min(1).optional().describe('By the value of this query parameter'),
          cookie: token(COOKIE).optional().describe('By the value of this cookie'),
          segment: count().optional().describe('By this segment of the path; the first is 1'),
        })
        .describe('The same server for the same key; `balance: hash` without a key: by the client address'),
    }),
  ])
  .prefault('round_robin')
  .describe('How a server is picked for the next request or session');

const sticky = z
  .strictObject({
    cookie: token(COOKIE).optional().describe('Name of the cookie; unset: `upgate_` and the name of the upstream'),
    secret: z
      .string()
      .min(16, 'must have at least 16 characters')
      .optional()
      .describe('Key that signs the cookies; unset: random at each start, so that a restart invalidates all cookies'),
    max_age: wait().optional().describe('How long a browser keeps it; unset: until the browser is closed'),
  })
  .optional()
  .describe('Keep each client on its server, by a cookie; unset: no cookie');

const active = z
  .strictObject({
    type: z
      .enum(['tcp', 'http', 'websocket'])
      .prefault('tcp')
      .describe('Kind of check: connect, send a GET, or open and close a WebSocket; with TLS if the server uses it'),
    path: z
      .string()
      .regex(/^\/[!-~]*$/, A_PATH)
      .prefault('/')
      .describe('Target of the check, for `http` and `websocket`'),
    host: host().optional().describe('Host field of the check; unset: the address of the server'),
    status: z
      .array(z.int().min(200).max(599))
      .min(1)
      .optional()
      .describe('Statuses that pass, for `http`; unset: 200 to 399'),
    body: z.string().min(1).optional().describe('Text that must be in the first 64 KiB of the answer to `http`'),
    every: wait().prefault('5s').describe('Interval of the checks of a server'),
    timeout: wait().prefault('2s').describe('Time for one check; at most `every`'),
    fall: count()
      .prefault(3)
      .describe('Failed checks in a row after which a server is down; the very first one is enough alone'),
    rise: count().prefault(2).describe('Passed checks in a row after which it is up again'),
  })
  .optional()
  .describe('Check each server at intervals; unset: only its traffic shows whether it is up');

const passive = z
  .union([
    z.literal('off'),
    z.strictObject({
      failures: count()
        .prefault(5)
        .describe(
          'Failures in a row that eject: no connection, an aborted answer, a timeout, 502, 504, 503 without Retry-After',
        ),
      errors: percent().prefault('50%').describe('Share of failures and 5xx answers in the window that ejects'),
      requests: count().prefault(20).describe('The share counts from this many requests in the window'),
      window: wait().prefault('10s').describe('Length of the window'),
      eject: wait()
        .prefault('10s')
        .describe('Duration of the first ejection; each further one in a row is twice as long'),
      max_eject: wait().prefault('5m').describe('The longest ejection'),
    }),
  ])
  .prefault({})
  .describe('Eject a server whose requests fail, then try it with one request; `off`: never');

const health = z
  .strictObject({
    active,
    passive,
    floor: percent()
      .prefault('50%')
      .describe('Share of the servers, at least one, that is never ejected; active checks have no such limit'),
    on_down: z
      .enum(['keep', 'close'])
      .prefault('keep')
      .describe('Tunnels of a server that goes down: keep them, or close them with 1012'),
  })
  .prefault({})
  .describe('How the gateway finds out which servers are up');

const retry = z
  .union([
    z.literal('off'),
    z.strictObject({
      attempts: count().max(10).prefault(3).describe('Most servers that one request is sent to, including the first'),
      budget: percent().prefault('20%').describe('Most retries within 10 s, as a share of the requests'),
      min: count().prefault(10).describe('This many retries within 10 s are allowed in any case'),
    }),
  ])
  .prefault({})
  .describe("Try another server if the request can't have been executed already; `off`: never");

const dns = z
  .strictObject({
    resolvers: z
      .array(resolverAddress())
      .min(1)
      .optional()
      .describe('Name servers, `address` or `address:port`; unset: those of the system'),
    family: z.enum(['any', 'ipv4', 'ipv6']).prefault('any').describe('Family of the addresses'),
    min_ttl: wait().prefault('1s').describe('Shortest time that an answer is used, whatever its TTL'),
    max_ttl: wait().prefault('5m').describe('Longest time that an answer is used'),
    on_leave: z
      .enum(['close', 'keep'])
      .prefault('close')
      .describe('Tunnels of an address that has left the answer: close them with 1012, or keep them'),
  })
  .optional()
  .describe('Resolve the names among `servers` regularly, and make each address a server; unset: a name is one server');

const tls = z
  .strictObject({
    ca: z.string().min(1).optional().describe('Path of the trusted authorities, PEM; unset: those that node includes'),
    server_name: host().optional().describe('Name to send (SNI) and to verify; unset: that of the address'),
    cert: z.string().min(1).optional().describe('Path of a client certificate, PEM, leaf first'),
    key: z.string().min(1).optional().describe('Path of its private key, PEM'),
    verify: z.boolean().prefault(true).describe("Verify the server's certificate; `false` is for experiments only"),
  })
  .optional()
  .describe('TLS toward `wss://` and `https://` servers');

const rebalance = z
  .strictObject({
    rate: count().max(1000).prefault(10).describe('Most tunnels moved per second'),
    tolerance: percent().prefault('10%').describe('It stops when the server has its share, less this tolerance'),
  })
  .optional()
  .describe('Move tunnels to a new or recovered server, by closing others with 1012; unset: never');

export const upstream = z.strictObject({
  servers: z
    .array(server())
    .min(1)
    .describe('Addresses: `ws://host:port` or `http://host:port`, `wss://` or `https://` for TLS, `unix:/path`'),
  balance,
  sticky,
  slow_start: duration()
    .prefault('0s')
    .describe('Time over which a new or recovered server gets a growing share of new traffic'),
  health,
  retry,
  close_rate: count().max(10_000).prefault(100).describe('Tunnels closed per second if a server is down or removed'),
  rebalance,
  dns,
  tls,
  proxy_protocol: z
    .enum(['v1', 'v2'])
    .optional()
    .describe("Send servers the client's address in a PROXY preamble; each plain request then gets its own connection"),
});
