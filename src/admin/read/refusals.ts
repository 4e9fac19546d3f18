// `GET /refusals`: the last refusals and failures, each with the rule that decided.
import { type AdminResponse, json } from '../answer.ts';
import { malformed, readLimit, readNamed, readWhole } from './paging.ts';

/** One of them, as it is shown; observe/refusals.ts says what the members mean. */
export interface RefusalRow {
  readonly id: number;
  readonly client: string;
  readonly route: string | null;
  readonly host: string | null;
  readonly path: string | null;
  readonly reason: string;
  readonly request_id: string | null;
  readonly upstream: string | null;
  readonly server: string | null;
}

export interface Refusals {
  /** The id of the newest one; 0: there was none yet. */
  readonly newest: number;
  newestFirst(): Iterable<RefusalRow>;
}

const FILTERS = ['route', 'reason', 'client', 'host', 'path', 'request_id', 'upstream', 'server'] as const;
const TAKEN = [...FILTERS, 'after', 'before', 'limit'];

/** Answers `GET /refusals`, newest first; 400 where the query is malformed. */
export function listRefusals(refusals: Refusals, query: URLSearchParams): AdminResponse {
  const given = readNamed(query, TAKEN);
  if (typeof given === 'string') return malformed(given);
  const limit = readLimit(query);
  const after = readWhole(query, 'after', 0);
  const before = readWhole(query, 'before', Number.MAX_SAFE_INTEGER);
  for (const read of [limit, after, before]) if (typeof read === 'string') return malformed(read);
  const wanted = FILTERS.filter((name) => given[name] !== undefined);
  const found: RefusalRow[] = [];
  let more = false;
  for (const row of refusals.newestFirst()) {
    if (row.id <= Number(after)) break;
    if (row.id >= Number(before) || !wanted.every((name) => row[name] === given[name])) continue;
    more = found.length === limit;
    if (more) break;
    found.push(row);
  }
  return json(200, { newest: refusals.newest, refusals: found, next: more ? String(found.at(-1)?.id) : null });
}
