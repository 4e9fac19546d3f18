// What needs two fields of an upstream to judge: servers that are there twice, options that exclude or need each other.
import { isIP } from 'node:net';
import { hostsMeet, normaliseHost } from '../address.ts';
import type { ConfigPath } from '../problem.ts';
import type { Written } from '../problems/prune.ts';
import type { Config, ListenerConfig, RouteConfig, UpstreamConfig, WebSocketConfig } from '../schema/schema.ts';
import type { ForwardAuthConfig } from '../schema/schema-auth.ts';
import { error, findDuplicates, nameOf, type Problems, warning } from './findings.ts';

/** Problems of upstreams and of the routes that name them. */
export function* checkUpstreams({ listeners, upstreams, routes }: Config, written: Written): Problems {
  const named = routes.flatMap(({ websocket, http, auth }) => [websocket, http, auth?.forward].flatMap(upstreamsOf));
  const used = new Set(named.map(({ name }) => name));
  // A route that is broken may be the one that uses it, and so may one whose upstream's name is mistyped.
  const allKnown = !written.lostWithin(['routes']) && named.every(({ name }) => Object.hasOwn(upstreams, name));
  for (const [name, upstream] of Object.entries(upstreams)) {
    const path = ['upstreams', name];
    if (allKnown && !used.has(name)) yield warning(path, 'no route uses this upstream', { at: 'key' });
    const servers = upstream.servers.map(({ secure, host, port, unix }) => JSON.stringify([secure, host, port, unix]));
    yield* findDuplicates(servers, [...path, 'servers'], written);
    yield* checkServers(upstream, path, written);
    yield* checkOwn(upstream, path, { listeners, written });
    yield* checkBalance(upstream, path, written);
    yield* checkHealth(upstream, [...path, 'health'], written);
    yield* checkTls(upstream, path, written);
  }
  yield* checkCookies(upstreams, written);
}

interface Own {
  readonly listeners: readonly ListenerConfig[];
  readonly written: Written;
}

/** A request sent to a listener of this gateway would come in again, and again. */
function* checkOwn({ servers }: UpstreamConfig, path: ConfigPath, { listeners, written }: Own): Problems {
  for (const [index, server] of servers.entries()) {
    const own = listeners.findIndex((listener) => leadsTo(server, listener));
    if (own === -1) continue;
    yield error([...path, 'servers', index], `is ${nameOf(['listeners', own], written)} of this gateway`, {
      hint: 'its requests would come in again without end; name the address of the backend itself',
    });
  }
}

/** As far as text tells: a name other than `localhost`, and an address other than loopback, may be another machine's. */
function leadsTo(server: UpstreamConfig['servers'][number], { unix, port, host }: ListenerConfig): boolean {
  if (server.unix !== undefined || unix !== undefined) return server.unix === unix;
  if (port === 0 || server.port !== port) return false;
  const bound = normaliseHost(host ?? '::');
  const addresses = server.host === 'localhost' ? ['localhost', '127.0.0.1', '::1'] : [server.host];
  const isHere = server.host === 'localhost' || server.host === '::1' || /^127\./.test(server.host);
  return bound === server.host || (isHere && addresses.some((address) => hostsMeet(bound, address)));
}

/** Two upstreams of one site would take each other's cookie away. */
function* checkCookies(upstreams: Config['upstreams'], written: Written): Problems {
  const firsts = new Map<string, string>();
  for (const [name, { sticky }] of Object.entries(upstreams)) {
    const cookie = sticky?.cookie;
    if (cookie === undefined) continue;
    const first = firsts.get(cookie);
    const path = ['upstreams', name, 'sticky', 'cookie'];
    if (first === undefined) firsts.set(cookie, name);
    else
      yield error(path, `the same cookie as ${nameOf(['upstreams', first], written)}`, {
        hint: 'give it another name',
      });
  }
}

/** The upstreams that an action or a kind of credentials names, each with where it does. */
export function upstreamsOf(
  action: WebSocketConfig | RouteConfig['http'] | ForwardAuthConfig | undefined,
): { name: string; path: ConfigPath }[] {
  if (action === undefined) return [];
  if ('upstream' in action) return [{ name: action.upstream, path: ['upstream'] }];
  if (!('mode' in action) || action.mode !== 'terminate' || action.webhook === undefined) return [];
  return [{ name: action.webhook.upstream, path: ['webhook', 'upstream'] }];
}

function* checkServers({ servers, dns }: UpstreamConfig, path: ConfigPath, written: Written): Problems {
  const known = !written.lostWithin([...path, 'servers']);
  if (known && servers.every(({ backup }) => backup)) {
    yield error([...path, 'servers'], 'all of them are backups', { hint: 'a backup is for when the others are down' });
  }
  if (dns === undefined) return;
  if (known && servers.every(({ host, unix }) => unix !== undefined || isIP(host) !== 0)) {
    const hint = 'take it out, or name a server by its host name';
    yield error([...path, 'dns'], 'none of the servers has a name', { hint, at: 'key' });
  }
  if (dns.min_ttl > dns.max_ttl && !written.lostWithin([...path, 'dns'])) {
    yield error(
      [...path, 'dns', written.has([...path, 'dns', 'min_ttl']) ? 'min_ttl' : 'max_ttl'],
      '"min_ttl" is longer than "max_ttl"',
    );
  }
}

function* checkBalance(
  { balance, sticky, rebalance, slow_start }: UpstreamConfig,
  path: ConfigPath,
  written: Written,
): Problems {
  const hashed = balance === 'hash' || typeof balance === 'object';
  if (typeof balance === 'object' && !written.lostWithin([...path, 'balance'])) {
    const named = Object.values(balance.hash).filter((value) => value !== undefined);
    const hint = 'one of header, query, cookie and segment; `balance: hash` is by the client address';
    if (named.length !== 1) yield error([...path, 'balance', 'hash'], 'must name exactly one key', { hint });
  }
  if (hashed && slow_start > 0) {
    const hint = 'with hash a key has one server; take it out';
    yield error([...path, 'slow_start'], 'has no meaning with "hash"', { hint, at: 'key' });
  }
  if (rebalance === undefined) return;
  const holder = hashed ? 'hash' : sticky === undefined ? null : 'sticky';
  const hint = 'a client that comes back is sent to where it was; take one of them out';
  if (holder !== null) yield error([...path, 'rebalance'], `cannot move what "${holder}" holds`, { hint, at: 'key' });
}

/** What each option of a check is for. */
const CHECK_OPTIONS = {
  path: ['http', 'websocket'],
  host: ['http', 'websocket'],
  status: ['http'],
  body: ['http'],
} as const;

function* checkHealth({ health: { active, passive } }: UpstreamConfig, path: ConfigPath, written: Written): Problems {
  if (active !== undefined && !written.lostWithin([...path, 'active'])) {
    const at = [...path, 'active'];
    for (const [key, types] of Object.entries(CHECK_OPTIONS)) {
      if (!written.has([...at, key]) || (types as readonly string[]).includes(active.type)) continue;
      const hint = `take it out, or set type: ${types[0]}`;
      yield error([...at, key], `has no meaning for a check of type ${active.type}`, { hint, at: 'key' });
    }
    if (active.timeout > active.every) {
      const key = written.has([...at, 'timeout']) ? 'timeout' : 'every';
      yield error([...at, key], '"timeout" is longer than "every"', {
        hint: 'a check ends before the next one begins',
      });
    }
  }
  if (passive === 'off' || passive.eject <= passive.max_eject || written.lostWithin([...path, 'passive'])) return;
  const key = written.has([...path, 'passive', 'eject']) ? 'eject' : 'max_eject';
  yield error([...path, 'passive', key], '"eject" is longer than "max_eject"');
}

function* checkTls({ servers, tls }: UpstreamConfig, path: ConfigPath, written: Written): Problems {
  if (tls === undefined) return;
  const at = [...path, 'tls'];
  if (!written.lostWithin([...path, 'servers']) && servers.every(({ secure }) => !secure)) {
    const hint = 'write their addresses as wss:// or https://, or take it out';
    yield error(at, 'none of the servers speaks TLS', { hint, at: 'key' });
  }
  const lost = (key: string) => written.lost([...at, key]);
  if ((tls.cert === undefined) !== (tls.key === undefined) && !lost('cert') && !lost('key')) {
    const [there, missing] = tls.cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
    yield error([...at, there], `"${there}" without "${missing}"`, {
      hint: 'a client certificate needs both',
      at: 'key',
    });
  }
  if (!tls.verify) {
    const hint = 'anyone in between can read and change the traffic; name the authority by ca';
    yield warning([...at, 'verify'], 'certificates of these servers are not verified', { hint });
  }
}
