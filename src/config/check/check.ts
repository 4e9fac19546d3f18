// Checks that need two fields: names that do not exist, alternatives of which both or none are present, unused options.
// routing/ checks patterns of hosts, paths and origins, and routes that can never be reached. Pure.
import { hostsMeet, normaliseHost } from '../address.ts';
import type { ConfigPath, Problem } from '../problem.ts';
import { nearest } from '../problems/nearest.ts';
import type { Written } from '../problems/prune.ts';
import type {
  Config,
  ListenerConfig,
  RouteConfig,
  SpliceConfig,
  TerminateConfig,
  WebSocketConfig,
} from '../schema/schema.ts';
import { checkAcme } from './check-acme.ts';
import { checkAddresses } from './check-addresses.ts';
import { checkAuth } from './check-auth.ts';
import { checkLimits } from './check-limits.ts';
import { checkRooms } from './check-rooms.ts';
import { checkUpstreams, upstreamsOf } from './check-upstreams.ts';
import { error, findDuplicates, nameOf, type Problems, warning } from './findings.ts';

/** RFC 9110 §5.6.2; RFC 6455 §4.1 demands it of subprotocols. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

type Handler = TerminateConfig['handler'];

/** The handlers with options, each under the handler's name. */
const HANDLERS_WITH_OPTIONS = ['push', 'rooms', 'webhook'] as const satisfies readonly Handler[];

/** All problems across the fields of a config. In a partial config, missing values are not problems. */
export function check(config: Config, written: Written): Problem[] {
  return [
    ...checkListeners(config, written),
    ...checkAcme(config, written),
    ...checkAddresses(config, written),
    ...checkUpstreams(config, written),
    ...checkRouteNames(config.routes, written),
    ...config.routes.flatMap((route, index) => [...checkRoute(route, ['routes', index], { config, written })]),
    ...checkSecret(config.admin, 'token', ['admin']),
    ...checkHttp(config),
    ...checkDrain(config, written),
    ...checkLimits(config, written),
  ];
}

function* checkListeners({ listeners, admin }: Config, written: Written): Problems {
  const taken: { readonly path: ConfigPath; readonly address: Address }[] = [];
  for (const [index, listener] of listeners.entries()) {
    const path = ['listeners', index];
    yield* checkListener(listener, path, written);
    const address = addressOf(listener);
    if (address === undefined) continue;
    const same = taken.find((other) => meet(other.address, address));
    const hint = 'only one can have it; without `host` a listener takes every address, IPv4 and IPv6';
    if (same) yield error([...path, address.key], `the same address as ${nameOf(same.path, written)}`, { hint });
    taken.push({ path, address });
  }
  if (written.lostWithin(['admin'])) return;
  const own: Address = { key: 'port', host: normaliseHost(admin.host), port: admin.port };
  const same = taken.find((other) => meet(other.address, own));
  if (same)
    yield error(['admin', 'port'], `the same address as ${nameOf(same.path, written)}`, {
      hint: 'give it another port',
    });
}

function* checkListener(listener: ListenerConfig, path: ConfigPath, written: Written): Problems {
  const { port, unix, host, tls } = listener;
  const lost = (key: string) => written.lost([...path, key]);
  if (port === undefined && unix === undefined && !lost('port') && !lost('unix')) {
    yield error(path, 'needs "port" or "unix"');
  }
  if (port !== undefined && unix !== undefined) {
    yield error([...path, 'unix'], '"unix" beside "port"', {
      hint: 'a listener has one of them; make it two',
      at: 'key',
    });
  } else if (host !== undefined && unix !== undefined) {
    yield error([...path, 'host'], '"host" beside "unix"', { hint: 'a unix socket has no host', at: 'key' });
  }
  yield* checkHttp2(listener, path);
  yield* checkHttps(listener, path);
  if (tls === undefined) return;
  const { certificates, self_signed, acme } = tls;
  const tlsPath = [...path, 'tls'];
  if (certificates !== undefined && self_signed !== undefined) {
    const hint = 'take one of them out';
    yield error([...tlsPath, 'self_signed'], '"self_signed" beside "certificates"', { hint, at: 'key' });
  } else if (acme !== undefined && self_signed !== undefined) {
    const hint = 'take one of them out; until there is a certificate, one of our own is served';
    yield error([...tlsPath, 'self_signed'], '"self_signed" beside "acme"', { hint, at: 'key' });
  } else if ((certificates ?? self_signed ?? acme) === undefined && !written.lostWithin(tlsPath)) {
    yield error(tlsPath, 'needs "certificates", "acme" or "self_signed"');
  }
}

/** Options that only a listener with TLS may have, or only one without. */
function* checkHttps({ tls, hsts, redirect_to_https }: ListenerConfig, path: ConfigPath): Problems {
  const hint = 'take it out';
  if (tls !== undefined && redirect_to_https !== undefined)
    yield warning([...path, 'redirect_to_https'], 'does nothing with TLS', { hint, at: 'key' });
  if (tls === undefined && hsts !== undefined)
    yield warning([...path, 'hsts'], 'does nothing without TLS', {
      hint: `${hint}, or leave it to who speaks TLS`,
      at: 'key',
    });
}

/** With TLS a client chooses HTTP/2 by ALPN, without TLS by prior knowledge only; other options have no effect. */
function* checkHttp2({ tls, http2 }: ListenerConfig, path: ConfigPath): Problems {
  if (http2 === undefined || http2 === null) return;
  const at = [...path, 'http2'];
  if (tls !== undefined && http2.prior_knowledge)
    yield warning([...at, 'prior_knowledge'], 'does nothing with TLS', { hint: 'clients choose HTTP/2 by ALPN there' });
  if (tls === undefined && !http2.prior_knowledge)
    yield warning(at, 'does nothing without TLS', { hint: 'set prior_knowledge: true to take HTTP/2 there' });
}

function* checkHttp({ http }: Config): Problems {
  if (http.warm_up === undefined) return;
  const hint = 'take it out; a gateway binds its listeners at once';
  yield warning(['http', 'warm_up'], '"warm_up" does nothing any more', { hint, at: 'key' });
}

type Address =
  | { readonly key: 'port'; readonly host: string; readonly port: number }
  | { readonly key: 'unix'; readonly unix: string };

function addressOf({ port, unix, host }: ListenerConfig): Address | undefined {
  if (unix !== undefined) return { key: 'unix', unix };
  return port === undefined ? undefined : { key: 'port', host: normaliseHost(host ?? '::'), port };
}

function meet(one: Address, other: Address): boolean {
  if (one.key === 'unix') return other.key === 'unix' && one.unix === other.unix;
  // Port 0 is a different free port each time.
  return other.key === 'port' && one.port === other.port && one.port !== 0 && hostsMeet(one.host, other.host);
}

function* checkRouteNames(routes: readonly RouteConfig[], written: Written): Problems {
  const firsts = new Map<string, number>();
  for (const [index, { name }] of routes.entries()) {
    const first = firsts.get(name);
    if (first === undefined) {
      firsts.set(name, index);
      continue;
    }
    const message = `"${name}" is already the name of ${nameOf(['routes', first], written)}`;
    yield error(['routes', index, 'name'], message, { hint: 'metrics and logs tell routes apart by their names' });
  }
}

interface Whole {
  readonly config: Config;
  readonly written: Written;
}

function* checkRoute(route: RouteConfig, path: ConfigPath, whole: Whole): Problems {
  const { websocket, http, match } = route;
  yield* checkActions(route, path, whole.written);
  for (const key of ['host', 'path'] as const)
    yield* findDuplicates(match[key] ?? [], [...path, 'match', key], whole.written);
  yield* checkFields(match.headers ?? {}, [...path, 'match', 'headers']);
  if (route.auth !== undefined) yield* checkAuth(route.auth, [...path, 'auth'], whole.written);
  for (const { name, path: at } of upstreamsOf(route.auth?.forward))
    yield* checkUpstreamName(name, [...path, 'auth', 'forward', ...at], whole);
  for (const [key, action] of Object.entries({ websocket, http })) {
    for (const { name, path: at } of upstreamsOf(action)) yield* checkUpstreamName(name, [...path, key, ...at], whole);
  }
  if (websocket === undefined) return;
  const at = [...path, 'websocket'];
  yield* checkSubprotocols(websocket, at, whole.written);
  yield* findDuplicates(websocket.versions.map(String), [...at, 'versions'], whole.written);
  if (websocket.mode === 'terminate') {
    yield* checkHandler(websocket, at, whole.written);
    yield* checkRooms(route, websocket, path, whole.written);
  } else yield* checkInspect(websocket, at);
  yield* checkSameHost(route, path, whole.written);
}

/**
 * Cookies and passwords belong to a host name, so a page under another name does not have them. A client that is admitted by
 * its address or certificate is also admitted from any page whose own name resolves here ("DNS rebinding").
 */
function* checkSameHost({ match, allow, auth, websocket }: RouteConfig, path: ConfigPath, written: Written): Problems {
  const at = [...path, 'websocket', 'origins'];
  const byPlace = allow !== undefined ? 'allow' : auth?.certificate !== undefined ? 'auth.certificate' : null;
  if (byPlace === null || websocket?.origins !== 'same-host' || match.host !== undefined) return;
  if (written.lost(at) || written.lost([...path, 'match', 'host'])) return;
  yield warning(at, `same-host is any host here, and "${byPlace}" lets in pages of every one`, {
    hint: 'give the route a match.host, or list its origins; origins: any where none matters',
  });
}

/** The ways to answer plain requests; a route has at most one. */
const PLAIN_ACTIONS = ['http', 'redirect', 'respond'] as const;

function* checkActions(route: RouteConfig, path: ConfigPath, written: Written): Problems {
  const has = (key: keyof RouteConfig) => route[key] !== undefined || written.lost([...path, key]);
  const plain = PLAIN_ACTIONS.filter(has);
  if (plain.length === 0 && !has('websocket')) {
    yield error(path, 'needs "websocket" or "http"', { hint: 'or both; or "redirect", or "respond"' });
  }
  const [first, second] = plain;
  if (first !== undefined && second !== undefined) {
    const hint = 'a plain request gets one answer; make it two routes';
    yield error([...path, second], `"${second}" beside "${first}"`, { hint, at: 'key' });
  }
  const backend = has('http') || route.websocket?.mode === 'splice' || written.lost([...path, 'websocket']);
  for (const key of ['rewrite', 'headers'] as const) {
    if (route[key] === undefined || backend) continue;
    yield error([...path, key], 'there is no backend here', { hint: 'it goes with http, or mode: splice', at: 'key' });
  }
}

/** The options that an opaque tunnel can't have. */
function* checkInspect({ inspect, limits, ping }: SpliceConfig, path: ConfigPath): Problems {
  if (inspect === 'on') return;
  const hint = 'take it out, or leave inspect on';
  for (const key of ['max_message', 'messages_per_second', 'bytes_per_second'] as const) {
    if (limits[key] !== undefined)
      yield error([...path, 'limits', key], 'needs the frames, and inspect is off', { hint });
  }
  if (ping !== undefined) yield error([...path, 'ping'], 'needs the frames, and inspect is off', { hint });
}

function* checkUpstreamName(name: string, path: ConfigPath, { config, written }: Whole): Problems {
  if (Object.hasOwn(config.upstreams, name) || written.lost(['upstreams', name])) return;
  const known = Object.keys(config.upstreams);
  const similar = nearest(name, known);
  const listed = written.lostWithin(['upstreams'])
    ? 'look at the upstreams that are broken'
    : known.length === 0
      ? 'there are none'
      : `there is ${known.map((each) => `"${each}"`).join(', ')}`;
  const hint = similar === undefined ? listed : `did you mean "${similar}"?`;
  yield error(path, `no upstream is named "${name}"`, { hint });
}

function* checkFields(fields: Readonly<Record<string, string>>, path: ConfigPath): Problems {
  const names = Object.keys(fields);
  const lowerCase = names.map((name) => name.toLowerCase());
  for (const [index, name] of names.entries()) {
    const hint = "RFC 9110: letters, digits and -_.!#$%&'*+^`|~";
    if (!TOKEN.test(name)) yield error([...path, name], 'must be the name of a header field', { hint, at: 'key' });
    if (lowerCase.indexOf(name.toLowerCase()) === index) continue;
    yield error([...path, name], 'the same header field twice', {
      hint: 'upper and lower case are the same',
      at: 'key',
    });
  }
}

function* checkSubprotocols(websocket: WebSocketConfig, path: ConfigPath, written: Written): Problems {
  const { subprotocols } = websocket;
  if (subprotocols === undefined) {
    const required = [...path, 'subprotocol_required'];
    if (!written.has(required) || written.lost([...path, 'subprotocols'])) return;
    const hint = 'list the subprotocols, or take it out';
    yield error(required, 'has no meaning without "subprotocols"', { hint, at: 'key' });
    return;
  }
  for (const [index, name] of subprotocols.entries()) {
    const hint = "RFC 6455: letters, digits and -_.!#$%&'*+^`|~, without spaces";
    if (!TOKEN.test(name)) yield error([...path, 'subprotocols', index], 'must be the name of a subprotocol', { hint });
  }
  yield* findDuplicates(subprotocols, [...path, 'subprotocols'], written);
}

function* checkHandler(websocket: TerminateConfig, path: ConfigPath, written: Written): Problems {
  const { handler, webhook } = websocket;
  const webhookPath = [...path, 'webhook'];
  if (handler === 'webhook' && webhook === undefined && !written.lost(webhookPath)) {
    yield error(path, 'handler "webhook" needs "webhook"', { hint: 'webhook: { upstream: rest, path: /events }' });
  }
  if (webhook !== undefined) yield* checkSecret(webhook, 'key', webhookPath);
  for (const handler of HANDLERS_WITH_OPTIONS) {
    if (websocket.handler === handler || websocket[handler] === undefined) continue;
    const hint = `take it out, or set handler: ${handler}`;
    yield error([...path, handler], 'options of a handler that this route does not have', { hint, at: 'key' });
  }
}

/** A secret is either in the config, usually as `${NAME}`, or in a file. */
function* checkSecret(section: Readonly<Record<string, unknown>>, key: 'key' | 'token', path: ConfigPath): Problems {
  const file = `${key}_file`;
  if (section[key] === undefined || section[file] === undefined) return;
  yield error([...path, file], `"${file}" beside "${key}"`, { hint: 'take one of them out', at: 'key' });
}

function* checkDrain({ drain }: Config, written: Written): Problems {
  if (drain.spread <= drain.grace || written.lostWithin(['drain'])) return;
  const hint = 'the closes must all be out before the rest is cut';
  yield error(['drain', 'spread'], '"spread" is longer than "grace"', { hint });
}
