// What needs two entries of lists of addresses to judge: the same one twice, one that another list takes back, peers that a
// listener can't have, and what is believed of trusted ones. A part of check.ts.
import { UNIX_PEERS } from '../address.ts';
import type { ConfigPath } from '../problem.ts';
import type { Written } from '../problems/prune.ts';
import { RangeList } from '../range-list.ts';
import type { Config, ListenerConfig, RouteConfig } from '../schema/schema.ts';
import { error, type Problems, warning } from './findings.ts';

/** Problems of trusted proxies, of `allow` and `deny`, and of peers that may send a preamble. */
export function* checkAddresses(config: Config, written: Written): Problems {
  const { listeners, routes, trusted_proxies } = config;
  yield* checkList(trusted_proxies, ['trusted_proxies']);
  yield* checkTrusted(config, written);
  for (const [index, listener] of listeners.entries()) yield* checkSenders(listener, ['listeners', index]);
  for (const [index, route] of routes.entries()) yield* checkRoute(route, ['routes', index]);
}

function* checkRoute({ allow = [], deny = [] }: RouteConfig, path: ConfigPath): Problems {
  yield* checkList(allow, [...path, 'allow']);
  yield* checkList(deny, [...path, 'deny']);
  const denied = new RangeList(deny);
  for (const [index, entry] of allow.entries()) {
    const by = denied.covering(entry);
    const hint = `it is refused by ${deny[by ?? -1]} of "deny", which is looked at first`;
    if (by !== undefined) yield warning([...path, 'allow', index], 'lets nobody in', { hint });
  }
}

function* checkTrusted({ trusted_proxies, http }: Config, written: Written): Problems {
  const path = ['http', 'believe'];
  if (trusted_proxies.length === 0) return;
  if (http.believe === 'forwarded')
    yield warning(path, 'a proxy that hands on the Forwarded of its clients lets them name any address', {
      hint: 'every one of trusted_proxies has to write it anew; nginx and HAProxy do so only where they are told to',
    });
  if (http.believe === 'auto' && written.has(path))
    yield warning(path, '"auto" is X-Forwarded-* alone, and no Forwarded is read', {
      hint: 'write x-forwarded; or forwarded, where that is what the proxies write',
    });
}

/** Entries that add nothing to those before or behind them. */
function* checkList(entries: readonly string[], path: ConfigPath): Problems {
  const list = new RangeList(entries);
  for (const [index, entry] of entries.entries()) {
    // Of two that are the same the second is too much.
    const by = list.covering(entry, index);
    if (by !== undefined) yield warning([...path, index], `adds nothing to ${entries[by]}`, { hint: 'take it out' });
  }
}

function* checkSenders({ proxy_protocol: proxy, unix }: ListenerConfig, path: ConfigPath): Problems {
  if (proxy === undefined) return;
  const at = [...path, 'proxy_protocol', 'from'];
  yield* checkList(proxy.from, at);
  const named = proxy.from.includes(UNIX_PEERS);
  if (unix !== undefined && !named && proxy.from.length > 0)
    yield error(at, 'no peer on a unix socket has an address', { hint: 'write from: [unix]' });
  if (unix === undefined && named && proxy.from.length === 1)
    yield error(at, '"unix" is for a listener on a unix socket', { hint: 'name the proxies by their addresses' });
}
