// What a reload means for the sessions that are live: those whose route and server stay the same in effect are not touched. The
// others are kept, or closed at a pace or at once, as their route says.
import type { RouteConfig } from '../config/schema/schema.ts';
import { PacedClose } from '../sessions/paced-close.ts';
import type { Session } from '../sessions/registry.ts';
import type { Pool } from '../upstream/pool.ts';
import type { RouteIdentities } from './route-identity.ts';

/** The config that serves from now on, as far as sessions go. */
export interface NextRoutes {
  readonly identities: RouteIdentities;
  readonly pools: ReadonlyMap<string, Pool>;
}

/** Sessions that a reload ends, and why. */
export interface Draining {
  readonly why: string;
  readonly sessions: number;
}

export interface SessionsReport {
  readonly kept: number;
  readonly draining: readonly Draining[];
}

interface Group {
  readonly sessions: Session[];
  readonly how: 'drain' | 'close';
  /** Closed a second. */
  readonly rate: number;
}

/** Where no upstream says another: as `close_rate` of one. */
const DEFAULT_RATE = 100;

export class ReloadSessions {
  /** Of the last reload. */
  #closing: PacedClose[] = [];
  readonly #closed = new WeakSet<Session>();

  /** Judges every live session by the next config, and begins to close those that go. One that may stay again is not closed. */
  apply(sessions: readonly Session[], next: NextRoutes): SessionsReport {
    this.stop();
    const groups = new Map<string, Group>();
    const draining = new Map<string, number>();
    let kept = 0;
    for (const session of sessions) {
      const verdict = judge(session, next);
      if (verdict === null) {
        kept++;
        continue;
      }
      const key = `${verdict.how} ${verdict.why}`;
      const group = groups.get(key) ?? { sessions: [], how: verdict.how, rate: rateOf(session, next) };
      groups.set(key, group);
      group.sessions.push(session);
      draining.set(verdict.why, (draining.get(verdict.why) ?? 0) + 1);
    }
    for (const group of groups.values()) this.#close(group);
    return { kept, draining: [...draining].map(([why, count]) => ({ why, sessions: count })) };
  }

  /** Closes no more of those that the last reload has left to close. */
  stop(): void {
    for (const closing of this.#closing) closing.stop();
    this.#closing = [];
  }

  #close({ sessions, how, rate }: Group): void {
    const left = sessions.filter((session) => !this.#closed.has(session));
    const closing = new PacedClose(left, {
      code: RESTART,
      reason: 'reload',
      rate: how === 'close' ? Number.POSITIVE_INFINITY : rate,
      onClose: (session) => this.#closed.add(session),
    });
    this.#closing.push(closing);
  }
}

/** Service Restart: come back, and be served by the config that there is then. */
const RESTART = 1012;

interface Leaves {
  readonly why: string;
  readonly how: 'drain' | 'close';
}

/** Null: it stays. */
function judge(session: Session, { identities, pools }: NextRoutes): Leaves | null {
  const { fingerprint, onChange } = session.identity;
  const named = identities.route(session.route);
  const same = named !== undefined && identities.of(named.name).fingerprint === fingerprint;
  // A route may have been given another name.
  const renamed = named === undefined ? identities.find(fingerprint) : undefined;
  const found = same ? named : renamed;
  if (found !== undefined) {
    if (hasServer(session, found, pools)) return null;
    return leaves(`server ${session.at?.server} removed`, found.on_change ?? 'drain');
  }
  if (named === undefined) return leaves(`route ${session.route} removed`, onChange ?? 'drain');
  return leaves(`route ${session.route} changed`, named.on_change ?? 'keep');
}

function leaves(why: string, how: 'keep' | 'drain' | 'close'): Leaves | null {
  return how === 'keep' ? null : { why, how };
}

/** Whether the route's upstream still has the server. One that DNS has dropped is the pool's to close or to keep. */
function hasServer({ at }: Session, { websocket }: RouteConfig, pools: ReadonlyMap<string, Pool>): boolean {
  if (at === null || websocket?.mode !== 'splice') return true;
  const pool = pools.get(websocket.upstream);
  return pool?.serverAt(at.server) !== undefined || pool?.config.dns?.on_leave === 'keep';
}

function rateOf({ at, route }: Session, { identities, pools }: NextRoutes): number {
  const websocket = identities.route(route)?.websocket;
  const upstream = websocket?.mode === 'splice' ? websocket.upstream : at?.upstream;
  return (upstream === undefined ? undefined : pools.get(upstream)?.config.close_rate) ?? DEFAULT_RATE;
}
