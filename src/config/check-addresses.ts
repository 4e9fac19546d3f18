// What needs two entries of lists of addresses to judge: the same one twice, one that another list takes back, and peers
// that a listener can't have. A part of check.ts.
import { type AddressRange, parseRange, rangeCovers, UNIX_PEERS } from './address.ts';
import { error, type Found, warning } from './findings.ts';
import type { ConfigPath } from './problem.ts';
import type { Config, ListenerConfig, RouteConfig } from './schema.ts';

export function* checkAddresses({ listeners, routes, trusted_proxies }: Config): Found {
  yield* checkList(trusted_proxies, ['trusted_proxies']);
  for (const [index, listener] of listeners.entries()) yield* checkSenders(listener, ['listeners', index]);
  for (const [index, route] of routes.entries()) yield* checkRoute(route, ['routes', index]);
}

function* checkRoute({ allow = [], deny = [] }: RouteConfig, path: ConfigPath): Found {
  yield* checkList(allow, [...path, 'allow']);
  yield* checkList(deny, [...path, 'deny']);
  for (const [index, entry] of allow.entries()) {
    const by = deny.find((denied) => covers(denied, entry));
    const hint = `it is refused by ${by} of "deny", which is looked at first`;
    if (by !== undefined) yield warning([...path, 'allow', index], 'lets nobody in', { hint });
  }
}

/** Entries that add nothing to those before or behind them. */
function* checkList(entries: readonly string[], path: ConfigPath): Found {
  for (const [index, entry] of entries.entries()) {
    // Of two that are the same the second is too much.
    const by = entries.find(
      (other, at) => at !== index && covers(other, entry) && (at < index || !covers(entry, other)),
    );
    if (by !== undefined) yield warning([...path, index], `adds nothing to ${by}`, { hint: 'take it out' });
  }
}

function* checkSenders({ proxy_protocol: proxy, unix }: ListenerConfig, path: ConfigPath): Found {
  if (proxy === undefined) return;
  const at = [...path, 'proxy_protocol', 'from'];
  yield* checkList(proxy.from, at);
  const named = proxy.from.includes(UNIX_PEERS);
  if (unix !== undefined && !named && proxy.from.length > 0)
    yield error(at, 'no peer on a unix socket has an address', { hint: 'write from: [unix]' });
  if (unix === undefined && named && proxy.from.length === 1)
    yield error(at, '"unix" is for a listener on a unix socket', { hint: 'name the proxies by their addresses' });
}

function covers(wide: string, narrow: string): boolean {
  if (wide === UNIX_PEERS || narrow === UNIX_PEERS) return wide === narrow;
  const ranges = [parseRange(wide), parseRange(narrow)];
  if (!ranges.every((range) => range !== null)) return false;
  const [outer, inner] = ranges as [AddressRange, AddressRange];
  return rangeCovers(outer, inner);
}
