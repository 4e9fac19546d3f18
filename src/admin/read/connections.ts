// `GET /connections`: the live sessions of this gateway, filtered, sorted, a page at a time. It looks at all of them in slices, and
// keeps no more than a page of them, so that a hundred thousand hold nobody up.
import { runInSlices } from '../../base/slices.ts';
import type { Session } from '../../sessions/registry.ts';
import { type AdminResponse, json } from '../answer.ts';
import { isoTime } from '../body.ts';
import { readConditions } from '../session-filter.ts';
import { malformed, readLimit, readOnce } from './paging.ts';

export interface SessionList {
  sessions(): readonly Session[];
}

/** What a list can be sorted by, greatest first. */
const KEYS = {
  opened: ({ serial }) => serial,
  bytes: (session) => {
    const { fromClient, toClient } = session.activity();
    return fromClient.bytes + toClient.bytes;
  },
  messages: (session) => {
    const { fromClient, toClient } = session.activity();
    return (fromClient.messages ?? 0) + (toClient.messages ?? 0);
  },
  rate: (session) => session.bytesPerSecond(),
  idle: (session) => session.activity().idleMs,
} as const satisfies Record<string, (session: Session) => number>;

export const SORTS = Object.keys(KEYS) as readonly (keyof typeof KEYS)[];
const TAKEN = ['search', 'sort', 'order', 'limit', 'cursor'];

interface Listing {
  readonly fits: (session: Session) => boolean;
  readonly keyOf: (session: Session) => number;
  /** 1: the greatest first; -1: the least. */
  readonly order: 1 | -1;
  readonly limit: number;
  readonly after: Place | null;
}

/** Where a session stands in the order. */
interface Place {
  readonly key: number;
  readonly serial: number;
}

/** Answers `GET /connections`; 400 where the query is malformed. */
export async function listConnections(list: SessionList, query: URLSearchParams): Promise<AdminResponse> {
  const listing = readListing(query);
  if (typeof listing === 'string') return malformed(listing);
  const all = list.sessions();
  const { found, matching } = await runInSlices(pageOf(all, listing));
  const last = found.at(-1);
  const more = last !== undefined && found.length === listing.limit && matching > found.length;
  return json(200, {
    total: all.length,
    matching,
    connections: found.filter(({ session }) => session.live).map(({ session }) => describe(session)),
    next: more ? `${last.key}:${last.serial}` : null,
  });
}

function readListing(query: URLSearchParams): Listing | string {
  const given = readOnce(query);
  if (typeof given === 'string') return given;
  const { search, sort = 'opened', order = 'desc', cursor, limit: _, ...criteria } = given;
  const limit = readLimit(query);
  if (typeof limit === 'string') return limit;
  const conditions = readConditions(criteria, TAKEN);
  if (typeof conditions === 'string') return conditions;
  const key = SORTS.find((name) => name === sort);
  if (key === undefined) return `sort is one of ${SORTS.join(', ')}`;
  if (order !== 'asc' && order !== 'desc') return 'order is asc or desc';
  const after = cursor === undefined ? null : readPlace(cursor);
  if (after === undefined) return 'cursor is the `next` of another page';
  const wanted = search?.toLowerCase() ?? '';
  const fits = (session: Session): boolean => contains(session, wanted) && conditions.every((holds) => holds(session));
  return { fits, keyOf: KEYS[key], order: order === 'desc' ? 1 : -1, limit, after };
}

function readPlace(cursor: string): Place | undefined {
  const [, key, serial] = /^([0-9.e+-]{1,32}):(\d{1,15})$/.exec(cursor) ?? [];
  const place = { key: Number(key), serial: Number(serial) };
  return Number.isFinite(place.key) && Number.isFinite(place.serial) ? place : undefined;
}

function contains({ id, route, client, user, host, path, at }: Session, wanted: string): boolean {
  if (wanted === '') return true;
  return [id, route, client, user, host, path, at?.server].some((text) => text?.toLowerCase().includes(wanted));
}

interface Found extends Place {
  readonly session: Session;
}

/** The first `limit` of those that fit, behind `after`, in order; and how many fit from there on. */
function* pageOf(
  sessions: readonly Session[],
  { fits, keyOf, order, limit, after }: Listing,
): Generator<void, { found: Found[]; matching: number }> {
  const found: Found[] = [];
  let matching = 0;
  for (const [i, session] of sessions.entries()) {
    // One step is cheap, the clock between two of them is not.
    if (i % 64 === 63) yield;
    if (!session.live || !fits(session)) continue;
    const one = { key: keyOf(session), serial: session.serial, session };
    if (after !== null && !precedes(after, one, order)) continue;
    matching++;
    const last = found.at(-1);
    if (found.length === limit && last !== undefined && precedes(last, one, order)) continue;
    found.splice(placeIn(found, one, order), 0, one);
    if (found.length > limit) found.pop();
  }
  return { found, matching };
}

/** Of two that are equal the later one comes first, or last in the other order. */
function precedes(one: Place, other: Place, order: 1 | -1): boolean {
  return (one.key === other.key ? one.serial - other.serial : one.key - other.key) * order > 0;
}

function placeIn(found: readonly Found[], one: Place, order: 1 | -1): number {
  let [low, high] = [0, found.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (precedes(found[middle] as Place, one, order)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function describe(session: Session): object {
  const { id, route, mode, client, user, host, path, subprotocol, at, openedAt } = session;
  const { fromClient, toClient, idleMs } = session.activity();
  return {
    ...{ id, route, mode, client, user, host, path, subprotocol },
    upstream: at?.upstream ?? null,
    server: at?.server ?? null,
    opened_at: isoTime(openedAt),
    age_seconds: seconds(Date.now() - openedAt),
    idle_seconds: seconds(idleMs),
    bytes_in: fromClient.bytes,
    bytes_out: toClient.bytes,
    messages_in: fromClient.messages,
    messages_out: toClient.messages,
    bytes_per_second: Math.round(session.bytesPerSecond()),
  };
}

/** Milliseconds as seconds with one decimal, never below 0. */
export function seconds(ms: number): number {
  return Math.max(0, Math.round(ms / 100) / 10);
}
