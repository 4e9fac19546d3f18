// One config made ready to serve: compiled routes, pools, engines, acceptors. A snapshot never changes; a reload builds
// the next one and swaps one reference. Live sessions hold nothing of it.

import type { LookupFunction } from 'node:net';
import type { Services } from '../actions/context.ts';
import { Authenticators } from '../auth/authenticators.ts';
import type { Emit, ExpectedSeries } from '../events.ts';
import { compileTrustedProxies, type TrustedProxies } from '../http/forwarding/forwarded.ts';
import { Limits } from '../limits/limits.ts';
import type { HttpEngines } from '../proxy/http-engines.ts';
import type { InternalClient } from '../proxy/internal-client.ts';
import type { Registry } from '../sessions/registry.ts';
import { Pool } from '../upstream/pool.ts';
import type { ServerOverrides } from '../upstream/server-overrides.ts';
import type { Broker } from '../websocket/broker/broker.ts';
import type { Terminator, WebSocketAcceptor } from '../websocket/connection/accept.ts';
import type { Connections } from '../websocket/connections.ts';
import { buildHandler } from '../websocket/handlers.ts';
import type { PendingDeliveries } from '../websocket/webhook/webhook-backend.ts';
import { expectedSeries } from './expected-series.ts';
import type { Prepared } from './prepare.ts';
import { RouteIdentities } from './route-identity.ts';

export interface Snapshot {
  readonly config: Prepared['config'];
  readonly table: Prepared['table'];
  readonly source: Prepared['source'];
  readonly trusted: TrustedProxies;
  readonly services: Services;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly identities: RouteIdentities;
  readonly authenticators: Authenticators;
  /** The series that metrics show of it before the first event. */
  readonly expected: readonly ExpectedSeries[];
}

/** What lives as long as the process and is used by every snapshot. */
export interface SharedServices {
  readonly emit: Emit;
  readonly sessions: Registry;
  readonly http: Pick<HttpEngines, 'pick' | 'endless'>;
  readonly terminator: Terminator;
  /** Random; for sticky cookies of upstreams that name no secret. */
  readonly stickySecret: string;
  /** Sends the events of terminated connections to backends. */
  readonly caller: InternalClient;
  readonly deliveries: PendingDeliveries;
  readonly broker: Broker;
  readonly connections: Connections;
  /** The servers that an operator has taken out. */
  readonly overrides: ServerOverrides;
  /** How the names of servers are looked up. */
  readonly lookup: LookupFunction;
}

/**
 * Builds the snapshot of a checked config. Pools of upstreams that stayed the same are kept from `previous`; the others
 * begin with what is live in the pool of the same name, and run once startPools() has been called.
 */
export function buildSnapshot(prepared: Prepared, shared: SharedServices, previous: Snapshot | null): Snapshot {
  const { config, table, source } = prepared;
  // The functions below live as long as the snapshot, and so does whatever any function in here uses: `previous` may be
  // used by none, or each snapshot would keep all those before it.
  const pools = buildPools(prepared, shared, previous);
  const acceptors = buildAcceptors(config, shared, pools);
  const authDeps = { emit: shared.emit, caller: shared.caller, pool: (upstream: string) => get(pools, upstream) };
  const authenticators = new Authenticators(config, authDeps, previous?.authenticators ?? null);
  const identities = new RouteIdentities(config);
  return {
    config,
    table,
    source,
    trusted: compileTrustedProxies(config.trusted_proxies, config.http.believe),
    pools,
    identities,
    authenticators,
    expected: expectedSeries(config),
    services: {
      emit: shared.emit,
      sessions: shared.sessions,
      http: shared.http.pick(config.http.engine),
      endless: shared.http.endless,
      connections: shared.connections,
      identityOf: identities.of,
      pool: (upstream) => get(pools, upstream),
      acceptor: (route) => get(acceptors, route),
      limits: new Limits(config, previous?.services.limits ?? null),
      authenticator: (route) => authenticators.get(route),
    },
  };
}

/** Resolves the names that `next` has and `previous` has not, so that it has servers from the beginning; returns `next`. */
export async function preparePools(next: Snapshot, previous: Snapshot | null): Promise<Snapshot> {
  const fresh = [...next.pools].filter(([name, pool]) => pool !== previous?.pools.get(name));
  await Promise.all(fresh.map(([, pool]) => pool.prepare()));
  return next;
}

/** Starts the pools that `next` has and `previous` has not, stops those that it has no more, and fetches key sets. */
export function startPools(next: Snapshot, previous: Snapshot | null): void {
  next.authenticators.start();
  for (const [name, old] of previous?.pools ?? []) {
    const pool = next.pools.get(name);
    if (pool !== old) old.stop(pool === undefined ? 'for good' : 'replaced');
  }
  for (const [name, pool] of next.pools) {
    const old = previous?.pools.get(name) ?? null;
    if (pool !== old) pool.start(old);
  }
}

function buildPools(prepared: Prepared, shared: SharedServices, previous: Snapshot | null): Map<string, Pool> {
  const pools = new Map<string, Pool>();
  for (const name of Object.keys(prepared.config.upstreams)) {
    pools.set(name, poolFor(name, prepared, shared, previous?.pools.get(name)));
  }
  return pools;
}

function poolFor(name: string, { config, backendTls }: Prepared, shared: SharedServices, old: Pool | undefined): Pool {
  const upstream = get(new Map(Object.entries(config.upstreams)), name);
  const tls = backendTls.get(name) ?? null;
  const same = JSON.stringify(old?.config) === JSON.stringify(upstream) && old?.tls?.id === tls?.id;
  if (old !== undefined && same) return old;
  const { emit, stickySecret: secret, lookup, overrides } = shared;
  return new Pool({ name, config: upstream, tls, emit, secret, lookup, overrides }, old);
}

function buildAcceptors(
  config: Prepared['config'],
  { terminator, ...shared }: SharedServices,
  pools: ReadonlyMap<string, Pool>,
): Map<string, WebSocketAcceptor> {
  const acceptors = new Map<string, WebSocketAcceptor>();
  for (const { name: route, websocket } of config.routes) {
    if (websocket?.mode !== 'terminate') continue;
    const handler = buildHandler(websocket, {
      ...shared,
      route,
      budgets: terminator.budgets,
      pool: (upstream) => get(pools, upstream),
    });
    acceptors.set(route, terminator.acceptor({ route, config: websocket, handler }));
  }
  return acceptors;
}

/** The check of the config ensures that every name exists. */
function get<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new Error(`the config names ${name}, which it does not have`);
  return value;
}
