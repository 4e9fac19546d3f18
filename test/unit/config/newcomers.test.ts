// The usual mistakes of somebody who comes from another server, word for word as `check` says them. Each is a valid config
// with one thing written as it would be elsewhere.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { formatProblem } from '../../../src/config/problem.ts';
import { prepare } from '../../../src/runtime/prepare.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'upgate-newcomers-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What a case puts in the place of a line; a further key of the route, or of the file, is added. */
interface Change {
  readonly listeners?: string;
  readonly upstreams?: string;
  readonly match?: string;
  readonly websocket?: string;
  readonly route?: string;
  readonly root?: string;
}

function configOf(change: Change): string {
  return [
    `listeners: ${change.listeners ?? '[{ port: 18080 }]'}`,
    `upstreams: ${change.upstreams ?? '{ chat: { servers: [ws://127.0.0.1:3000] } }'}`,
    'routes:',
    '  - name: chat',
    `    match: ${change.match ?? '{ host: app.example.com }'}`,
    `    websocket: ${change.websocket ?? '{ mode: splice, upstream: chat }'}`,
    ...(change.route === undefined ? [] : [`    ${change.route}`]),
    ...(change.root === undefined ? [] : [change.root]),
    '',
  ].join('\n');
}

async function check(change: Change): Promise<string[]> {
  const file = join(directory, 'g.yaml');
  writeFileSync(file, configOf(change));
  const { problems } = await prepare(file, {}, new Map());
  return problems.map((problem) => formatProblem({ ...problem, file: 'g' }).replace(/^g:/, ''));
}

const origins = (value: string): Change => ({ websocket: `{ mode: splice, upstream: chat, origins: ${value} }` });
const idle = (value: string): Change => ({
  websocket: `{ mode: splice, upstream: chat, timeouts: { idle: ${value} } }`,
});
const maxMessage = (value: string): Change => ({
  websocket: `{ mode: splice, upstream: chat, limits: { max_message: ${value} } }`,
});
const TLS = 'tls: { certificates: [{ cert: chain.pem, key: key.pem }] }';
const NO_FILES = 'files are not served here; forward to a web server by http: { upstream: NAME }';
const COMPRESSION =
  'answers pass as the backend compresses them; messages are compressed by websocket.compression with mode: terminate';
const A_ROUTE = 'write routes: [{ name: chat, match: { host: app.example.com, path: /chat/* }, … }]';
const BY_NAME =
  'write websocket: { mode: splice, upstream: NAME } or http: { upstream: NAME }, with NAME from "upstreams"';
const A_NAME = 'must be a name: 1 to 63 letters, digits, ".", "_" or "-", a letter or digit first';
const AN_ADDRESS =
  'an address goes into upstreams: { chat: { servers: [ws://127.0.0.1:3000] } }, and its name here: upstream: chat';
const A_DURATION = 'must be a duration, such as 250ms, 30s, 5m or 1h';
const A_SIZE = 'must be a size, such as 512B, 64KiB or 1MiB';
const EVERYBODY = 'write [0.0.0.0/0, "::/0"] for everybody, or better the addresses of the proxies';
const STAR = 'a "*" outside of quotes begins an alias of YAML';

const CASES: readonly (readonly [Change, ...string[]])[] = [
  [origins('*'), `6:57: error: routes[0].websocket.origins: ${STAR} (write origins: any)`],
  [
    origins('"*"'),
    '6:57: error: routes[0].websocket.origins: must be same-host, any or a list, got "*" (write origins: any)',
  ],
  [origins('["*"]'), '6:58: error: routes[0].websocket.origins[0]: "*" is no origin (write origins: any)'],
  [origins('[*]'), `6:58: error: routes[0].websocket.origins[0]: ${STAR} (write origins: any)`],
  [
    origins('*.example.com'),
    '6:57: error: routes[0].websocket.origins: an alias without its anchor (write it with its scheme and in quotes: ["https://*.example.com"])',
  ],
  [
    origins('https://app.example.com'),
    '6:57: error: routes[0].websocket.origins: must be same-host, any or a list, got "https://app.example.com" (put it in [ ])',
  ],
  [
    origins('all'),
    '6:57: error: routes[0].websocket.origins: must be same-host, any or a list, got "all" (write origins: any)',
  ],
  [
    origins('["*.example.com"]'),
    '6:58: error: routes[0].websocket.origins[0]: "*.example.com" is no origin (write "https://*.example.com")',
  ],
  [{ match: '{ path: * }' }, `5:20: error: routes[0].match.path: ${STAR} (write path: /*)`],
  [{ match: '{ path: "*" }' }, '5:20: error: routes[0].match.path: a path starts with "/" (write path: /*)'],
  [{ match: '{ path: ws }' }, '5:20: error: routes[0].match.path: a path starts with "/" (write /ws)'],
  [
    { match: '{ path: /ws* }' },
    '5:20: error: routes[0].match.path: "*" stands only as "/*" at the end, and a path has no "?" or "#" (write /ws/* for all below it)',
  ],
  [
    { match: '{ path: "^/ws" }' },
    '5:20: error: routes[0].match.path: a path starts with "/" (there are no regular expressions; write /a, /a/* or /a/{name})',
  ],
  [{ match: '{ host: * }' }, `5:20: error: routes[0].match.host: ${STAR} (leave "host" out for any host)`],
  [
    { match: '{ host: "*" }' },
    '5:20: error: routes[0].match.host: a host is a name, an address, or "*." before a name (leave "host" out for any host)',
  ],
  [
    { match: '{ host: *.example.com }' },
    '5:20: error: routes[0].match.host: an alias without its anchor (put it in quotes: "*.example.com")',
  ],
  [
    { match: '{ host: "https://app.example.com" }' },
    '5:20: error: routes[0].match.host: a host is a name, an address, or "*." before a name (write the name alone: app.example.com)',
  ],
  [
    { match: '{ host: .example.com }' },
    '5:20: error: routes[0].match.host: a host is a name, an address, or "*." before a name (write "*.example.com")',
  ],
  [
    { match: '{ path: "wss://a.example.com/ws" }' },
    '5:20: error: routes[0].match.path: a path starts with "/" (write the path alone, and the name as match.host)',
  ],
  [
    { match: '{ path: /api/.* }' },
    '5:20: error: routes[0].match.path: "*" stands only as "/*" at the end, and a path has no "?" or "#" (there are no regular expressions; write /a, /a/* or /a/{name})',
  ],
  [{ match: '{ path: [/ws, ws] }' }, '5:26: error: routes[0].match.path[1]: a path starts with "/" (write /ws)'],
  [{ match: '{ hosts: [a.example.com] }' }, '5:14: error: routes[0].match.hosts: unknown key (did you mean "host"?)'],
  [
    { match: '{ location: /ws }' },
    '5:14: error: routes[0].match.location: unknown key (write path: /chat, or path: /chat/* for all below it)',
  ],
  [
    { match: '{ path_regex: "^/ws" }' },
    '5:14: error: routes[0].match.path_regex: unknown key (there are no regular expressions; write path: /a, /a/* or /a/{name})',
  ],
  [
    { match: '{ method: GET }' },
    '5:14: error: routes[0].match.method: unknown key (routes go by host, path, scheme, headers and query; a handshake is a GET)',
  ],
  [{ match: '{ domain: a.example.com }' }, '5:14: error: routes[0].match.domain: unknown key (did you mean "host"?)'],
  [
    { listeners: '\n  - port:80' },
    '2:5: error: listeners[0]: must be a map, got "port:80" (a ":" needs a space behind it: port: 80)',
  ],
  [{ listeners: '[80]' }, '1:13: error: listeners[0]: must be a map, got 80 (write { port: 80 })'],
  [{ listeners: '[":80"]' }, '1:13: error: listeners[0]: must be a map, got ":80" (write { port: 80 })'],
  [
    { listeners: '[0.0.0.0:80]' },
    '1:13: error: listeners[0]: must be a map, got "0.0.0.0:80" (write { host: ADDRESS, port: PORT })',
  ],
  [
    { listeners: '[{port:80}]' },
    '1:14: error: listeners[0]."port:80": unknown key (a ":" needs a space behind it: port: …)',
  ],
  [
    { listeners: '{ port: 80 }' },
    '1:12: error: listeners: must be a list, got a map (write it as a list: [{ port: 80 }])',
  ],
  [
    { listeners: '[{ port: "80" }]' },
    '1:21: error: listeners[0].port: must be a whole number, got "80" (take the quotes away)',
  ],
  [
    { listeners: '[{ listen: 80 }]' },
    '1:15: error: listeners[0].listen: unknown key (write port: 80, and host: 127.0.0.1 for one address)',
  ],
  [
    { listeners: '[{ address: 0.0.0.0, port: 80 }]' },
    '1:15: error: listeners[0].address: unknown key (did you mean "host"?)',
  ],
  [{ listeners: '[{ port: 443, ssl: true }]' }, `1:26: error: listeners[0].ssl: unknown key (write ${TLS})`],
  [
    { listeners: '[{ port: 443, tls: true }]' },
    `1:31: error: listeners[0].tls: must be a map, got true (write ${TLS}, or { self_signed: [localhost] } to try it out)`,
  ],
  [
    { listeners: '[{ port: 443, tls: {} }]' },
    '1:31: error: listeners[0].tls: needs "certificates", "acme" or "self_signed"',
  ],
  [
    { listeners: '[{ port: 443, tls: { cert: a.pem, key: a.key } }]' },
    '1:33: error: listeners[0].tls.cert: unknown key (write certificates: [{ cert: chain.pem, key: key.pem }])',
    '1:46: error: listeners[0].tls.key: unknown key (write certificates: [{ cert: chain.pem, key: key.pem }])',
  ],
  [
    { listeners: '[{ port: 80, server_name: a.example.com }]' },
    '1:25: error: listeners[0].server_name: unknown key (names belong to a route: match: { host: app.example.com })',
  ],
  [
    { route: 'ssl: true' },
    `7:5: error: routes[0].ssl: unknown key (TLS belongs to a listener: listeners: [{ port: 443, ${TLS} }])`,
  ],
  [{ route: 'gzip: true' }, `7:5: error: routes[0].gzip: unknown key (${COMPRESSION})`],
  [{ route: 'root: /var/www' }, `7:5: error: routes[0].root: unknown key (${NO_FILES})`],
  [{ route: 'location: /ws' }, '7:5: error: routes[0].location: unknown key (write match: { path: /chat/* })'],
  [{ route: 'path: /ws' }, '7:5: error: routes[0].path: unknown key (did you mean "path" under "match"?)'],
  [
    { route: 'hosts: [a.example.com]' },
    '7:5: error: routes[0].hosts: unknown key (did you mean "host" under "match"?)',
  ],
  [
    { route: 'server_name: a.example.com' },
    '7:5: error: routes[0].server_name: unknown key (write match: { host: app.example.com })',
  ],
  [
    { route: 'basic_auth: { users: {} }' },
    '7:5: error: routes[0].basic_auth: unknown key (write auth: { basic: { users_file: htpasswd } } in a route)',
  ],
  [
    { route: 'strip_prefix: /ws' },
    '7:5: error: routes[0].strip_prefix: unknown key (write rewrite: { prefix: / } in a route whose match.path ends in /*)',
  ],
  [
    { route: 'upstream: ws://127.0.0.1:3000' },
    '7:5: error: routes[0].upstream: unknown key (it goes under websocket: { mode: splice, upstream: NAME } or http: { upstream: NAME }, with NAME from "upstreams")',
  ],
  [{ route: 'proxy_pass: http://127.0.0.1:3000' }, `7:5: error: routes[0].proxy_pass: unknown key (${BY_NAME})`],
  [
    { route: 'timeout: 60s' },
    '7:5: error: routes[0].timeout: unknown key (did you mean "timeouts" under "websocket"?)',
  ],
  [
    { route: 'proxy_read_timeout: 60s' },
    '7:5: error: routes[0].proxy_read_timeout: unknown key (write timeouts: { idle: 1h } under websocket, or under http)',
  ],
  [
    { route: 'rate_limit: 10' },
    '7:5: error: routes[0].rate_limit: unknown key (write limits: { … } here, or under websocket or http of a route)',
  ],
  [
    { route: 'cors: true' },
    "7:5: error: routes[0].cors: unknown key (write origins: [https://app.example.com] under websocket; CORS of plain requests is the backend's)",
  ],
  [
    { route: 'proxy_set_header: { X-A: b }' },
    '7:5: error: routes[0].proxy_set_header: unknown key (write headers: { request: { set: { X-Name: value } } } in a route, or response)',
  ],
  [
    { route: 'return: 301' },
    '7:5: error: routes[0].return: unknown key (write redirect: { scheme: https } or respond: { status: 200, body: text })',
  ],
  [
    { route: 'allow: all' },
    '7:12: error: routes[0].allow: must be a list, got "all" (leave "allow" out to let everybody in)',
  ],
  [
    { websocket: '{ mode: splice, upstream: ws://127.0.0.1:3000 }' },
    `6:42: error: routes[0].websocket.upstream: ${A_NAME}, got "ws://127.0.0.1:3000" (${AN_ADDRESS})`,
  ],
  [
    { websocket: '{ mode: splice, upstream: 127.0.0.1:3000 }' },
    `6:42: error: routes[0].websocket.upstream: ${A_NAME}, got "127.0.0.1:3000" (${AN_ADDRESS})`,
  ],
  [
    { upstreams: '{ chat: ws://127.0.0.1:3000 }' },
    '2:20: error: upstreams.chat: must be a map, got "ws://127.0.0.1:3000" (write { servers: [ws://127.0.0.1:3000] })',
  ],
  [
    { upstreams: '{ chat: [ws://127.0.0.1:3000] }' },
    '2:20: error: upstreams.chat: must be a map, got a list (write { servers: [ws://127.0.0.1:3000] })',
  ],
  [
    { upstreams: '{ chat: { servers: ws://127.0.0.1:3000 } }' },
    '2:31: error: upstreams.chat.servers: must be a list, got "ws://127.0.0.1:3000" (put it in [ ])',
  ],
  [
    { upstreams: '{ chat: { servers: ["127.0.0.1:3000"] } }' },
    '2:32: error: upstreams.chat.servers[0]: must be a server address, got "127.0.0.1:3000" (write it as ws://host:port or http://host:port, with wss or https for TLS, or as unix:/path)',
  ],
  [
    { upstreams: '{ chat: { servers: [ws://127.0.0.1:3000/ws] } }' },
    '2:32: error: upstreams.chat.servers[0]: must hold no path, query or fragment, got "ws://127.0.0.1:3000/ws" (the path of each request is passed on as it is)',
  ],
  [
    { upstreams: '{ chat: { url: ws://127.0.0.1:3000 } }' },
    '2:22: error: upstreams.chat.url: unknown key (write servers: [ws://127.0.0.1:3000])',
  ],
  [
    { upstreams: '{ chat: { servers: [ws://127.0.0.1:3000], strategy: hash } }' },
    '2:54: error: upstreams.chat.strategy: unknown key (write balance: round_robin, least_connections, random_two or hash)',
  ],
  [
    { upstreams: '{ chat: { servers: [ws://127.0.0.1:3000], health_check: /up } }' },
    '2:54: error: upstreams.chat.health_check: unknown key (write health: { active: { type: http, path: /health } })',
  ],
  [idle('60'), `6:66: error: routes[0].websocket.timeouts.idle: ${A_DURATION}, got 60 (write 60s)`],
  [idle('60 s'), `6:66: error: routes[0].websocket.timeouts.idle: ${A_DURATION}, got "60 s" (write 60s)`],
  [idle('1d'), `6:66: error: routes[0].websocket.timeouts.idle: ${A_DURATION}, got "1d" (write 24h)`],
  [idle('5min'), `6:66: error: routes[0].websocket.timeouts.idle: ${A_DURATION}, got "5min" (write 5m)`],
  [idle('0.5'), `6:66: error: routes[0].websocket.timeouts.idle: ${A_DURATION}, got 0.5 (write 0.5s)`],
  [maxMessage('1MB'), `6:71: error: routes[0].websocket.limits.max_message: ${A_SIZE}, got "1MB" (write 1MiB)`],
  [maxMessage('1m'), `6:71: error: routes[0].websocket.limits.max_message: ${A_SIZE}, got "1m" (write 1MiB)`],
  [maxMessage('64k'), `6:71: error: routes[0].websocket.limits.max_message: ${A_SIZE}, got "64k" (write 64KiB)`],
  [
    maxMessage('1048576'),
    `6:71: error: routes[0].websocket.limits.max_message: ${A_SIZE}, got 1048576 (write 1048576B)`,
  ],
  [maxMessage('1 GiB'), `6:71: error: routes[0].websocket.limits.max_message: ${A_SIZE}, got "1 GiB" (write 1GiB)`],
  [
    { root: 'ssl: { certificate: a.pem }' },
    `7:1: error: ssl: unknown key (TLS belongs to a listener: listeners: [{ port: 443, ${TLS} }])`,
  ],
  [{ root: 'gzip: on' }, `7:1: error: gzip: unknown key (${COMPRESSION})`],
  [
    { root: 'include: conf.d/*.yaml' },
    '7:1: error: include: unknown key (a config is one file; values may come from the environment, and an anchor (&a, *a) repeats one)',
  ],
  [{ root: 'server: { listen: 80 }' }, `7:1: error: server: unknown key (${A_ROUTE})`],
  [{ root: 'locations: []' }, `7:1: error: locations: unknown key (${A_ROUTE})`],
  [{ root: 'listen: 80' }, '7:1: error: listen: unknown key (write listeners: [{ port: 80 }])'],
  [{ root: 'port: 80' }, '7:1: error: port: unknown key (write listeners: [{ port: 80 }])'],
  [
    { root: 'host: a.example.com' },
    '7:1: error: host: unknown key (names belong to a route: match: { host: app.example.com })',
  ],
  [
    { root: 'basic_auth: {}' },
    '7:1: error: basic_auth: unknown key (write auth: { basic: { users_file: htpasswd } } in a route)',
  ],
  [
    { root: 'timeouts: { idle: 60s }' },
    '7:1: error: timeouts: unknown key ("timeouts" stands in a listener, and in websocket and http of a route)',
  ],
  [
    { root: 'backends: {}' },
    '7:1: error: backends: unknown key (write upstreams: { chat: { servers: [ws://127.0.0.1:3000] } })',
  ],
  [
    { root: 'origins: [https://a.example.com]' },
    '7:1: error: origins: unknown key (write origins: [https://app.example.com] under websocket of a route)',
  ],
  [
    { root: 'access_log: off' },
    '7:1: error: access_log: unknown key (write log: { level: info, access: true, format: json })',
  ],
  [{ root: 'worker_processes: 4' }, '7:1: error: worker_processes: unknown key (write relay: { threads: 4 })'],
  [
    { websocket: '{ mode: splice, upstream: chat, ping: 30s }' },
    '6:54: error: routes[0].websocket.ping: must be a map, got "30s" (known here: every, timeout)',
  ],
  [{ root: 'metrics: true' }, '7:1: error: metrics: unknown key (they are at /metrics of the listener "admin")'],
  [
    { root: 'trusted_proxies: ["*"]' },
    `7:19: error: trusted_proxies[0]: must be an IP address or a CIDR range, such as 10.0.0.0/8, or "unix", got "*" (${EVERYBODY})`,
  ],
  [{ root: 'trusted_proxies: [*]' }, `7:19: error: trusted_proxies[0]: ${STAR} (${EVERYBODY})`],
  [{ root: 'trusted_proxies: *' }, `7:18: error: trusted_proxies: ${STAR} (${EVERYBODY})`],
];

it('the config that the cases begin with is valid', async () => {
  expect(await check({})).toEqual([]);
});

it.each(CASES.map(([change, ...expected]) => ({ change, expected })))('$change', async ({ change, expected }) => {
  expect(await check(change)).toEqual(expected);
});
