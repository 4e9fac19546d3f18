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
        .describe('Always the same server for the same key; `balance: hash` alone: by the client address'),
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
      .describe('What its values are made with; unset: random at each start, so that a restart forgets all of them'),
    max_age: wait().optional().describe('How long a browser keeps it; unset: until the browser is closed'),
  })
  .optional()
  .describe('Keep each client with its server, by a cookie; unset: no cookie');

const active = z
  .strictObject({
    type: z
      .enum(['tcp', 'http', 'websocket'])
      .prefault('tcp')
      .describe('Connect; ask by GET; or open a WebSocket and close it. All of them by TLS where the server speaks it'),
    path: z
      .string()
      .regex(/^\/[!-~]*$/, A_PATH)
      .prefault('/')
      .describe('What `http` and `websocket` ask for'),
    host: host().optional().describe('Host of the question; unset: the address of the server'),
    status: z
      .array(z.int().min(200).max(599))
      .min(1)
      .optional()
      .describe('Statuses of `http` that mean up; unset: 200 to 399'),
    body: z.string().min(1).optional().describe('Text that must be in the first 64 KiB of the answer to `http`'),
    every: wait().prefault('5s').describe('Between two checks of a server'),
    timeout: wait().prefault('2s').describe('For a check to end; at most `every`'),
    fall: count()
      .prefault(3)
      .describe('Checks in a row that fail until a server is down; the very first one counts alone'),
    rise: count().prefault(2).describe('Checks in a row that pass until it is up again'),
  })
  .optional()
  .describe('Ask each server itself whether it is up; unset: only the traffic tells');

const passive = z
  .union([
    z.literal('off'),
    z.strictObject({
      failures: count()
        .prefault(5)
        .describe('Failures in a row that eject: no connection, broken off, too slow, 502, 503, 504'),
      errors: percent().prefault('50%').describe('Share of failures and 5xx answers in the window that ejects'),
      requests: count().prefault(20).describe('Of at least this many requests in the window'),
      window: wait().prefault('10s').describe('The last so long is looked at'),
      eject: wait().prefault('10s').describe('The first ejection; each further one in a row is twice as long'),
      max_eject: wait().prefault('5m').describe('The longest ejection'),
    }),
  ])
  .prefault({})
  .describe('Eject a server that its traffic shows to fail, then let one request try it; `off`: never');

const health = z
  .strictObject({
    active,
    passive,
    floor: percent()
      .prefault('50%')
      .describe('Share of the servers, at least one, that ejections leave; active checks know no floor'),
    on_down: z
      .enum(['keep', 'close'])
      .prefault('keep')
      .describe('Tunnels of a server that goes down: keep them, or close them with 1012'),
  })
  .prefault({})
  .describe('How it is told which servers are up');

const retry = z
  .union([
    z.literal('off'),
    z.strictObject({
      attempts: count().max(10).prefault(3).describe('Servers that one request is sent to at most, the first included'),
      budget: percent()
        .prefault('20%')
        .describe('Retries within 10 s, as a share of the requests, so that they cannot storm'),
      min: count().prefault(10).describe('This many retries within 10 s are allowed in any case'),
    }),
  ])
  .prefault({})
  .describe('Try another server where nothing can have happened twice; `off`: never');

const dns = z
  .strictObject({
    resolvers: z
      .array(resolverAddress())
      .min(1)
      .optional()
      .describe('Name servers, `address` or `address:port`; unset: those of the system'),
    family: z.enum(['any', 'ipv4', 'ipv6']).prefault('any').describe('Which addresses are asked for'),
    min_ttl: wait().prefault('1s').describe('An answer is used for at least this long, whatever its TTL'),
    max_ttl: wait().prefault('5m').describe('And for at most this long'),
    on_leave: z
      .enum(['close', 'keep'])
      .prefault('close')
      .describe('Tunnels of an address that has left the answer: close them with 1012, or keep them'),
  })
  .optional()
  .describe('Ask DNS for the names among `servers`: each address is a server of its own; unset: a name is one server');

const tls = z
  .strictObject({
    ca: z.string().min(1).optional().describe('Path of the authorities to trust, PEM; unset: those that node brings'),
    server_name: host().optional().describe('Name to ask for and to verify; unset: the one of the address'),
    cert: z.string().min(1).optional().describe('Path of a client certificate, PEM, leaf first'),
    key: z.string().min(1).optional().describe('Path of its private key, PEM'),
    verify: z.boolean().prefault(true).describe('Verify the certificate of the server; false only for trying out'),
  })
  .optional()
  .describe('How TLS is spoken to `wss://` and `https://` servers');

const rebalance = z
  .strictObject({
    rate: count().max(1000).prefault(10).describe('Tunnels moved a second, at most'),
    tolerance: percent().prefault('10%').describe('It ends when the server has its part, less this much of it'),
  })
  .optional()
  .describe('Move tunnels to a server that comes or comes back, by closing others with 1012; unset: never');

export const upstream = z.strictObject({
  servers: z
    .array(server())
    .min(1)
    .describe('Addresses: `ws://host:port` or `http://host:port`, `wss://` or `https://` for TLS, `unix:/path`'),
  balance,
  sticky,
  slow_start: duration()
    .prefault('0s')
    .describe('A server that comes or comes back gets its part of new traffic little by little over this long'),
  health,
  retry,
  close_rate: count().max(10_000).prefault(100).describe('Tunnels closed a second where a server is down or has left'),
  rebalance,
  dns,
  tls,
  proxy_protocol: z
    .enum(['v1', 'v2'])
    .optional()
    .describe(
      'Tell servers of the client by a PROXY preamble before anything else; each plain request gets a connection',
    ),
});
