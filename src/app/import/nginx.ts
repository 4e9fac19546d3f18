// nginx.conf as a draft: servers become listeners and routes, upstreams stay what they are. A directive that is not known is
// named in a remark beside the part it stood in; nothing is left out silently but what means nothing here.
import { bySpecificity, type Draft, type DraftPart, hostRank, NamesGiven } from './draft.ts';
import { AUTH, INTERNAL } from './nginx-auth.ts';
import { NginxListeners } from './nginx-listeners.ts';
import { REAL_IP, trustedProxies } from './nginx-real-ip.ts';
import { type Location, routeOf } from './nginx-routes.ts';
import { type Directive, parseNginx } from './nginx-syntax.ts';
import { NginxUpstreams } from './nginx-upstreams.ts';

/** What says nothing about where a request goes: how nginx itself runs, and what the gateway does in any case. */
const WITHOUT_MEANING = new Set(
  `user pid worker_processes worker_rlimit_nofile worker_cpu_affinity error_log access_log log_format events include load_module
  sendfile tcp_nopush tcp_nodelay keepalive_timeout keepalive_requests types_hash_max_size server_tokens default_type types
  server_names_hash_bucket_size map_hash_bucket_size proxy_http_version proxy_buffering proxy_request_buffering
  proxy_cache_bypass proxy_no_cache proxy_send_timeout send_timeout client_body_timeout client_header_timeout
  client_body_buffer_size proxy_buffers proxy_buffer_size proxy_busy_buffers_size ssl_protocols ssl_ciphers
  ssl_prefer_server_ciphers ssl_session_cache ssl_session_timeout ssl_session_tickets ssl_dhparam ssl_ecdh_curve http2
  gzip_types gzip_vary gzip_proxied gzip_comp_level gzip_min_length resolver resolver_timeout reset_timedout_connection
  underscores_in_headers large_client_header_buffers client_header_buffer_size proxy_socket_keepalive`.split(/\s+/),
);

/** What the gateway does not do: no word where nginx does not do it either, or as it does by default. */
const NOT_DONE = new Set(['gzip', 'proxy_redirect']);

/**
 * A draft of a config from that of nginx; `source` is its name in the remarks. Throws an ImportError where it can't be
 * read.
 */
export function importNginx(text: string, source: string): Draft {
  const found = parseNginx(text);
  const http = found.flatMap((each) => (each.name === 'http' ? (each.block ?? []) : [each]));
  const remarks: string[] = [];
  const upstreams = new NginxUpstreams(http.filter(({ name }) => name === 'upstream'));
  const listeners = new NginxListeners();
  const locations: Location[] = [];
  const shared = http.filter(({ name, block }) => block === null && SETTINGS.has(name));
  for (const directive of http) {
    if (directive.name === 'server' && directive.block !== null)
      locations.push(...serverOf(directive, shared, listeners));
    else if (!isKnown(directive)) remarks.push(remarkOf(directive));
  }
  for (const directive of found.filter(({ name }) => name === 'include' || name === 'stream'))
    remarks.push(`line ${directive.line}: ${directive.name} is not read: import what it holds by itself`);
  const servers = http.filter(({ name }) => name === 'server').map(({ block }) => block ?? []);
  const proxies = trustedProxies(http, servers);
  remarks.push(...proxies.remarks);
  const names = new NamesGiven();
  const routes = inOrder(locations).map((location) => routeOf(location, upstreams, names));
  return {
    source,
    remarks: [...remarks, ...(routes.length === 0 ? ['no server has a location that could be carried'] : [])],
    listeners: listeners.parts(),
    trusted: proxies.trusted,
    upstreams: upstreams.parts(),
    routes: routes.length === 0 ? [NOTHING_FOUND] : routes,
  };
}

/** A config has a route at least. */
const NOTHING_FOUND: DraftPart = { remarks: [], value: { name: 'nothing', respond: { status: 404 } } };

function isKnown({ name, args }: Directive): boolean {
  // The usual map of $http_upgrade is what the gateway does by itself.
  return (
    WITHOUT_MEANING.has(name) ||
    (NOT_DONE.has(name) && /^(?:off|default)$/.test(args[0] ?? '')) ||
    name === 'upstream' ||
    (name === 'map' && args[0] === '$http_upgrade') ||
    SETTINGS.has(name) ||
    REAL_IP.has(name)
  );
}

/** Taken from where they stand into each location within. */
const SETTINGS: ReadonlySet<string> = new Set([
  ...['proxy_set_header', 'proxy_read_timeout', 'proxy_connect_timeout', 'client_max_body_size', 'add_header'],
  ...AUTH,
  ...['allow', 'deny', 'proxy_ssl_verify', 'proxy_ssl_server_name', 'proxy_ssl_trusted_certificate', 'proxy_ssl_name'],
]);

function remarkOf({ name, args, line }: Directive): string {
  return `line ${line}: ${[name, ...args].join(' ')} is not carried`;
}

/** The locations of a server; its listeners are added to the others'. */
function serverOf({ block, line }: Directive, shared: readonly Directive[], listeners: NginxListeners): Location[] {
  const own = block ?? [];
  const { scheme, remarks } = listeners.add(own);
  const { hosts, unclear } = hostsOf(own);
  const inherited = inherit(shared, own);
  const base = { hosts, scheme, line };
  const about = [...remarks, ...unclear];
  const locations = own.filter(({ name, args }) => name === 'location' && !isNamed(args[0]));
  const named = new Map(
    own.flatMap(({ name, args, block: of }) => (name === 'location' && isNamed(args[0]) ? [[args[0], of ?? []]] : [])),
  );
  const answers = own.find(({ name }) => name === 'return');
  for (const directive of own) if (!isOfServer(directive)) about.push(remarkOf(directive));
  const made = locations.map((location): Location => {
    const { inner, led } = followed(location.block ?? [], named, inherited);
    const extra = [...led, ...inner.filter((each) => !isOfLocation(each)).map(remarkOf)];
    return { ...base, args: location.args, line: location.line, settings: inherit(inherited, inner), remarks: extra };
  });
  if (answers !== undefined)
    made.push({ ...base, args: ['/'], settings: [...inherited, answers], remarks: [], line: answers.line });
  const [first, ...rest] = made;
  return first === undefined ? [] : [{ ...first, remarks: [...about, ...first.remarks] }, ...rest];
}

function isNamed(path: string | undefined): path is string {
  return path?.startsWith('@') === true;
}

/** What keeps some from a location. */
const GUARDS: ReadonlySet<string> = new Set([...AUTH, INTERNAL, 'allow', 'deny']);
const isGuard = ({ name }: Directive): boolean => GUARDS.has(name);

/**
 * What serves a location: the named one, where its `try_files` leads to one in the end, behind the guards of both (nginx asks those of
 * the first before it follows). Where both have some it is not followed, for one route can't say that.
 */
function followed(
  inner: readonly Directive[],
  named: ReadonlyMap<string, readonly Directive[]>,
  inherited: readonly Directive[],
): { inner: readonly Directive[]; led: string[] } {
  const files = inner.find(({ name }) => name === 'try_files');
  const last = files?.args.at(-1) ?? '';
  const block = named.get(last);
  if (files === undefined || block === undefined) return { inner, led: [] };
  if (block.some(isGuard) && inherit(inherited, inner).some(isGuard)) return { inner, led: [] };
  const led = [`line ${files.line}: the gateway serves no files: everything goes to ${last}`];
  return { inner: [...inner.filter(isGuard), ...block], led };
}

const OF_SERVER = new Set([
  'listen',
  'server_name',
  'ssl_certificate',
  'ssl_certificate_key',
  'location',
  'return',
  'ssl',
]);
const OF_LOCATION = new Set(['proxy_pass', 'return', INTERNAL]);

function isOfServer(directive: Directive): boolean {
  return OF_SERVER.has(directive.name) || isKnown(directive);
}

function isOfLocation(directive: Directive): boolean {
  return OF_LOCATION.has(directive.name) || isKnown(directive);
}

/** nginx takes settings of a kind from outside only where there is none of the kind within. */
function inherit(outer: readonly Directive[], inner: readonly Directive[]): Directive[] {
  const own = new Set(inner.map(({ name }) => name));
  return [...outer.filter(({ name }) => SETTINGS.has(name) && !own.has(name)), ...inner];
}

/** Undefined: any host. */
function hostsOf(server: readonly Directive[]): { hosts: string[] | undefined; unclear: string[] } {
  const names = server.filter(({ name }) => name === 'server_name').flatMap(({ args }) => args);
  const unclear: string[] = [];
  const hosts = names.flatMap((name) => {
    if (name === '_' || name === '' || name === 'localhost') return name === 'localhost' ? [name] : [];
    if (name.startsWith('.')) return [name.slice(1), `*${name}`];
    if (name.startsWith('~') || name.slice(1).includes('*')) {
      unclear.push(`server_name ${name} is not carried: hosts are exact, or *. and a suffix`);
      return [];
    }
    if (name.startsWith('*.')) unclear.push(`server_name ${name}: a * stands for exactly one label here`);
    return [name];
  });
  return { hosts: hosts.length === 0 ? undefined : [...new Set(hosts)], unclear };
}

/** As nginx looks: exact names before patterns, exact paths before prefixes, the longest prefix first. */
function inOrder(locations: readonly Location[]): Location[] {
  const paths = (location: Location): string[] => [location.args.at(-1) ?? '/'];
  const exact = (location: Location): number => (location.args[0] === '=' ? 0 : 1);
  return [...locations].sort(
    (one, other) =>
      hostRank(one.hosts) - hostRank(other.hosts) ||
      exact(one) - exact(other) ||
      bySpecificity(
        paths(one).map((path) => `${path}*`),
        paths(other).map((path) => `${path}*`),
      ),
  );
}
