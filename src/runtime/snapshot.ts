// One config made ready to serve: compiled routes, pools, engines, acceptors. A snapshot never changes; a reload builds
// the next one and swaps one reference. Live sessions hold nothing of it.
import type { Services } from '../actions/context.ts';
import type { Config, TerminateConfig, UpstreamConfig } from '../config/schema.ts';
import type { Emit } from '../events.ts';
import { compileTrustedProxies, type TrustedProxies } from '../http/forwarded.ts';
import type { RouteTable } from '../routing/table.ts';
import type { Registry } from '../sessions/registry.ts';
import type { Acceptor, Terminator } from '../terminate/accept.ts';
import { buildHandler } from '../terminate/handlers.ts';
import type { HttpEngines } from '../upstream/http-engines.ts';
import { Pool } from '../upstream/pool.ts';

export interface Snapshot {
  readonly config: Config;
  readonly table: RouteTable;
  readonly trusted: TrustedProxies;
  readonly services: Services;
  readonly pools: ReadonlyMap<string, Pool>;
}

/** What lives as long as the process and is used by every snapshot. */
export interface Shared {
  readonly emit: Emit;
  readonly sessions: Registry;
  readonly http: Pick<HttpEngines, 'pick'>;
  readonly terminator: Terminator;
}

/** Builds the snapshot of a checked config. Pools of upstreams that stayed the same are taken over from `previous`. */
export function buildSnapshot(config: Config, table: RouteTable, shared: Shared, previous: Snapshot | null): Snapshot {
  const pools = new Map(
    Object.entries(config.upstreams).map(([name, upstream]) => [name, poolFor(name, upstream, previous)]),
  );
  const acceptors = buildAcceptors(config, shared.terminator);
  return {
    config,
    table,
    trusted: compileTrustedProxies(config.trusted_proxies),
    pools,
    services: {
      emit: shared.emit,
      sessions: shared.sessions,
      http: shared.http.pick(config.http.engine),
      pool: (upstream) => get(pools, upstream),
      acceptor: (route) => get(acceptors, route),
    },
  };
}

function poolFor(name: string, upstream: UpstreamConfig, previous: Snapshot | null): Pool {
  const kept = previous?.config.upstreams[name];
  const pool = previous?.pools.get(name);
  return pool && JSON.stringify(kept) === JSON.stringify(upstream) ? pool : new Pool(name, upstream);
}

function buildAcceptors(config: Config, terminator: Terminator): Map<string, Acceptor> {
  const acceptors = new Map<string, Acceptor>();
  for (const { name, websocket } of config.routes) {
    if (websocket?.mode === 'terminate') acceptors.set(name, buildAcceptor(name, websocket, terminator));
  }
  return acceptors;
}

function buildAcceptor(route: string, config: TerminateConfig, terminator: Terminator): Acceptor {
  return terminator.acceptor({ route, config, handler: buildHandler(config) });
}

/** The check of the config holds that every name is there. */
function get<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new Error(`the config names ${name}, which it does not have`);
  return value;
}
