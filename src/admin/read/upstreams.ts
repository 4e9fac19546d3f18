// `GET /upstreams`: every server of every upstream: healthy or not, whether it gets new traffic, why, since when, and what it carries.
import type { Pool, Server } from '../../upstream/pool.ts';
import { reportServer } from '../../upstream/server-report.ts';
import { type AdminResponse, json } from '../answer.ts';
import { isoTime } from '../body.ts';
import { malformed, readLimit, readNamed, readWhole } from './paging.ts';

/** What went on with a server since the start; observe/server-activity.ts keeps it. */
export interface ServerHistory {
  readonly handshakes: number;
  readonly requests: number;
  readonly errors: number;
  readonly ejections: number;
  readonly lastError: { readonly at: number; readonly reason: string; readonly detail: string } | null;
  readonly lastChange: {
    readonly at: number;
    readonly up: boolean;
    readonly reason: string;
    readonly detail: string;
  } | null;
  readonly handshakeRate: { perSecond(now: number): number };
  readonly requestRate: { perSecond(now: number): number };
}

export interface UpstreamSource {
  readonly pools: () => ReadonlyMap<string, Pool>;
  readonly historyOf: (upstream: string, server: string) => ServerHistory | null;
  readonly startedAt: number;
}

const TAKEN = ['upstream', 'limit', 'cursor'];

/** Answers `GET /upstreams`; 400 where the query is malformed. */
export function listUpstreams(source: UpstreamSource, query: URLSearchParams): AdminResponse {
  const given = readNamed(query, TAKEN);
  if (typeof given === 'string') return malformed(given);
  const limit = readLimit(query);
  const from = readWhole(query, 'cursor', 0);
  if (typeof limit === 'string') return malformed(limit);
  if (typeof from === 'string') return malformed(from);
  const all = [...serversOf(source.pools())].filter(
    ({ pool }) => given['upstream'] === undefined || pool.name === given['upstream'],
  );
  const shown = all.slice(from, from + limit);
  return json(200, {
    total: all.length,
    servers: shown.map(({ pool, server }) => describeServer(source, pool, server)),
    next: from + limit < all.length ? String(from + limit) : null,
  });
}

/** All servers, by upstream in the order of the config. */
export function* serversOf(
  pools: ReadonlyMap<string, Pool>,
): Iterable<{ readonly pool: Pool; readonly server: Server }> {
  for (const pool of pools.values()) for (const server of pool.servers) yield { pool, server };
}

/** One server as the API shows it, with what was last seen of it. */
export function describeServer({ historyOf, startedAt }: UpstreamSource, pool: Pool, server: Server): object {
  const now = performance.now();
  const history = historyOf(pool.name, server.url);
  const { healthy, eligible, why } = reportServer(server, now);
  const change = history?.lastChange ?? null;
  const error = history?.lastError ?? null;
  return {
    upstream: pool.name,
    server: server.url,
    ...{ healthy, eligible, why: healthy || change === null ? why : `${why}: ${change.detail}` },
    since: isoTime(pool.setSince(server) ?? change?.at ?? startedAt),
    state: server.state.set,
    ...{ weight: server.weight, backup: server.backup, live: server.live, tunnels: server.state.tunnels.size },
    handshakes: history?.handshakes ?? 0,
    requests: history?.requests ?? 0,
    errors: history?.errors ?? 0,
    ejections: history?.ejections ?? 0,
    handshakes_per_second: round(history?.handshakeRate.perSecond(now) ?? 0),
    requests_per_second: round(history?.requestRate.perSecond(now) ?? 0),
    last_error: error === null ? null : { at: isoTime(error.at), reason: error.reason, detail: error.detail },
  };
}

function round(perSecond: number): number {
  return Math.round(perSecond * 10) / 10;
}
