// Keys as other servers call them (nginx, Caddy, HAProxy, Traefik, Envoy), and what says the same here. Only for hints: a key
// that the schema knows never gets here.
import type { ConfigPath } from '../problem.ts';

/** What says the same here. */
export interface Translation {
  readonly hint: string;
  /** The key beside it that was meant, so that nothing else complains of its absence. */
  readonly meant?: string;
}

interface ForeignWord extends Translation {
  readonly words: string;
  /** Kinds of maps in which the words mean this, as placeOf() writes them; unset: everywhere. */
  readonly places?: readonly string[];
}

const ROOT = '';
const LISTENER = 'listeners[]';
const TLS = 'listeners[].tls';
const UPSTREAM = 'upstreams.*';
const ROUTE = 'routes[]';
const MATCH = 'routes[].match';

const CERTIFICATES = 'tls: { certificates: [{ cert: chain.pem, key: key.pem }] }';
const A_ROUTE = 'write routes: [{ name: chat, match: { host: app.example.com, path: /chat/* }, … }]';

/** The first entry that fits a word and its place says what it means; words are compared without `-` and `_`. */
const ENTRIES: readonly ForeignWord[] = [
  {
    words: 'cert key certfile keyfile sslcertificate sslcertificatekey',
    places: [TLS],
    hint: 'write certificates: [{ cert: chain.pem, key: key.pem }]',
    meant: 'certificates',
  },
  {
    words: 'ssl https cert key certfile keyfile certificate certificates sslcertificate sslcertificatekey',
    places: [LISTENER],
    hint: `write ${CERTIFICATES}`,
    meant: 'tls',
  },
  {
    words: 'ssl tls https cert certificate certificates sslcertificate sslcertificatekey',
    places: [ROOT, ROUTE],
    hint: `TLS belongs to a listener: listeners: [{ port: 443, ${CERTIFICATES} }]`,
  },
  {
    words: 'listen bind port entrypoints frontend frontends',
    places: [ROOT],
    hint: 'write listeners: [{ port: 80 }]',
    meant: 'listeners',
  },
  {
    words: 'listen bind',
    places: [LISTENER],
    hint: 'write port: 80, and host: 127.0.0.1 for one address',
    meant: 'port',
  },
  { words: 'address ip interface', places: [LISTENER], hint: 'did you mean "host"?', meant: 'host' },
  {
    words: 'backend backends cluster clusters service services pool pools',
    places: [ROOT],
    hint: 'write upstreams: { chat: { servers: [ws://127.0.0.1:3000] } }',
    meant: 'upstreams',
  },
  {
    words: 'server servers location locations vhost vhosts virtualhosts router routers handle site sites path',
    places: [ROOT],
    hint: A_ROUTE,
    meant: 'routes',
  },
  {
    words: 'location locations handle handlepath pathprefix',
    places: [ROUTE],
    hint: 'write match: { path: /chat/* }',
    meant: 'match',
  },
  {
    words: 'servername domain domains hostname',
    places: [ROUTE],
    hint: 'write match: { host: app.example.com }',
    meant: 'match',
  },
  { words: 'servername domain domains hostname', places: [MATCH], hint: 'did you mean "host"?', meant: 'host' },
  {
    words: 'servername domain domains hostname host hosts',
    places: [ROOT, LISTENER],
    hint: 'names belong to a route: match: { host: app.example.com }',
  },
  {
    words: 'location uri url prefix pathprefix',
    places: [MATCH],
    hint: 'write path: /chat, or path: /chat/* for all below it',
    meant: 'path',
  },
  {
    words: 'regex regexp pathregex pathregexp pathre',
    places: [MATCH],
    hint: 'there are no regular expressions; write path: /a, /a/* or /a/{name}',
    meant: 'path',
  },
  {
    words: 'method methods',
    places: [MATCH],
    hint: 'routes go by host, path, scheme, headers and query; a handshake is a GET',
  },
  {
    words: 'proxypass reverseproxy proxy backend forwardto target service upstreams url to',
    places: [ROUTE],
    hint: 'write websocket: { mode: splice, upstream: NAME } or http: { upstream: NAME }, with NAME from "upstreams"',
  },
  {
    words: 'upstream',
    places: [ROUTE],
    hint: 'it goes under websocket: { mode: splice, upstream: NAME } or http: { upstream: NAME }, with NAME from "upstreams"',
  },
  {
    words: 'stripprefix strippathprefix uristripprefix stripuriprefix striphandle replaceprefix',
    hint: 'write rewrite: { prefix: / } in a route whose match.path ends in /*',
  },
  {
    words: 'basicauth authbasic authbasicuserfile htpasswd users',
    places: [ROOT, ROUTE],
    hint: 'write auth: { basic: { users_file: htpasswd } } in a route',
  },
  {
    words: 'forwardauth authrequest jwt oidc',
    places: [ROOT, ROUTE],
    hint: 'write auth: { forward: … } or auth: { jwt: … } in a route',
  },
  {
    words: 'root fileserver static statics tryfiles index autoindex alias',
    places: [ROOT, LISTENER, ROUTE],
    hint: 'files are not served here; forward to a web server by http: { upstream: NAME }',
  },
  {
    words: 'gzip brotli zstd compress compression encode deflate permessagedeflate',
    places: [ROOT, LISTENER, ROUTE, 'routes[].http'],
    hint: 'answers pass as the backend compresses them; messages are compressed by websocket.compression with mode: terminate',
  },
  {
    words: 'include includes import',
    hint: 'a config is one file; values may come from the environment, and an anchor (&a, *a) repeats one',
  },
  {
    words: 'timeout timeouts proxyreadtimeout readtimeout keepalivetimeout keepalive',
    places: [ROOT],
    hint: '"timeouts" stands in a listener, and in websocket and http of a route',
  },
  {
    words: 'proxyreadtimeout proxysendtimeout readtimeout idletimeout',
    places: [ROUTE],
    hint: 'write timeouts: { idle: 1h } under websocket, or under http',
  },
  {
    words: 'ratelimit ratelimits limitreq limitconn maxconn',
    places: [ROOT, ROUTE],
    hint: 'write limits: { … } here, or under websocket or http of a route',
  },
  {
    words: 'origin origins',
    places: [ROOT],
    hint: 'write origins: [https://app.example.com] under websocket of a route',
  },
  {
    words: 'cors alloworigin allowedorigins alloworigins checkorigin',
    places: [ROOT, ROUTE],
    hint: "write origins: [https://app.example.com] under websocket; CORS of plain requests is the backend's",
  },
  {
    words: 'proxysetheader addheader header setheader requestheaders headerup headerdown',
    places: [ROOT, ROUTE],
    hint: 'write headers: { request: { set: { X-Name: value } } } in a route, or response',
  },
  {
    words: 'return redir',
    places: [ROUTE],
    hint: 'write redirect: { scheme: https } or respond: { status: 200, body: text }',
  },
  {
    words: 'server url urls address addresses target targets nodes node hosts host endpoints to',
    places: [UPSTREAM],
    hint: 'write servers: [ws://127.0.0.1:3000]',
    meant: 'servers',
  },
  {
    words: 'healthcheck healthchecks healthuri check option',
    places: [UPSTREAM],
    hint: 'write health: { active: { type: http, path: /health } }',
  },
  {
    words: 'lbpolicy strategy algorithm policy loadbalancing loadbalancer lb method leastconn iphash',
    places: [UPSTREAM],
    hint: 'write balance: round_robin, least_connections, random_two or hash',
  },
  {
    words: 'accesslog errorlog loglevel logformat logging logs',
    places: [ROOT],
    hint: 'write log: { level: info, access: true, format: json }',
  },
  {
    words: 'metrics prometheus stats',
    places: [ROOT],
    hint: 'they are at /metrics of the listener "admin"',
  },
  {
    words: 'workers workerprocesses threads nbthread',
    places: [ROOT],
    hint: 'write relay: { threads: 4 }',
  },
];

const WORDS: ReadonlyMap<string, readonly ForeignWord[]> = byWord();

function byWord(): Map<string, ForeignWord[]> {
  const found = new Map<string, ForeignWord[]>();
  for (const entry of ENTRIES)
    for (const word of entry.words.split(' ')) found.set(word, [...(found.get(word) ?? []), entry]);
  return found;
}

/** What another server's word for a key says here, in the map at `parent`; undefined where it is no such word. */
export function translate(key: string, parent: ConfigPath): Translation | undefined {
  const place = placeOf(parent);
  const entries = WORDS.get(key.toLowerCase().replaceAll(/[-_]/g, '')) ?? [];
  return entries.find(({ places }) => places === undefined || places.includes(place));
}

/** A kind of map, whichever of its list or of its names: `routes[].match`, `upstreams.*`. */
function placeOf(path: ConfigPath): string {
  const steps = path.map((step, i) => (i === 1 && path[0] === 'upstreams' ? '*' : step));
  return steps.map((step, i) => (typeof step === 'number' ? '[]' : i === 0 ? step : `.${step}`)).join('');
}
