// What the admin API changes: the gateway drained, a server taken out or back, sessions closed at a pace, the level of the log, a
// reload. openapi-change.ts describes it, and a test holds the two together. What carries it out comes in as `Changes`.
import type { LogLevel } from '../config/schema/schema.ts';
import { LOG_LEVELS } from '../config/schema/schema.ts';
import type { ReloadReport } from '../runtime/reload.ts';
import type { Session } from '../sessions/registry.ts';
import { SERVER_STATES, type SetState } from '../upstream/server-overrides.ts';
import { type AdminResponse, json, problem, problemList } from './answer.ts';
import type { ApiCall, Operation } from './api.ts';
import { CLOSE_CODES, MAX_REASON } from './backend-operations.ts';
import { isoTime, readObject } from './body.ts';
import { CRITERION_NAMES, readConditions } from './session-filter.ts';

/** Which sessions are to be closed, and how. */
export interface CloseOrder {
  /** As it was asked for. */
  readonly filter: Readonly<Record<string, string>>;
  readonly fits: (session: Session) => boolean;
  readonly code: number;
  readonly reason: string;
  /** Sessions a second. */
  readonly rate: number;
}

/** What became of setting a server: tunnels that are closed for it, or what is missing and which there are. */
export type SetServer =
  | { readonly missing: null; readonly closing: number }
  | { readonly missing: 'upstream' | 'server'; readonly known: readonly string[] };

export interface DrainStarted {
  readonly sessions: number;
  readonly requests: number;
  /** Milliseconds within which it ends. */
  readonly withinMs: number;
}

export interface Changes {
  /** Drains the gateway, as SIGTERM does; the process ends then. */
  drain(): DrainStarted;
  setServer(upstream: string, server: string, set: SetState): SetServer;
  /** How many sessions there are to close; null where too many such orders are under way. */
  closeSessions(order: CloseOrder): number | null;
  /** Null: the config's. */
  setLogLevel(level: LogLevel | null): { readonly level: LogLevel; readonly configured: LogLevel };
  reload(): Promise<ReloadReport>;
}

/** Sessions closed a second where nothing else is asked for, and at most. */
const DEFAULT_RATE = 100;
const MAX_RATE = 100_000;
/** Service Restart: come back. */
const DEFAULT_CODE = 1012;
/** Names in a refusal. */
const MAX_SHOWN = 20;

/** What operators change, as operations of the API; each takes effect at once, and lasts until the process ends. */
export function changeOperations(changes: Changes): readonly Operation[] {
  return [
    { method: 'POST', path: '/drain', run: () => drain(changes) },
    { method: 'PUT', path: '/upstreams/{upstream}/servers/{server}', run: (call) => setServer(changes, call) },
    { method: 'POST', path: '/connections/close', run: (call) => closeSessions(changes, call) },
    { method: 'PUT', path: '/log', run: (call) => setLog(changes, call) },
    { method: 'POST', path: '/reload', run: () => reload(changes) },
  ];
}

/** What every change that the config knows nothing of says of itself. */
const UNTIL = { until: 'restart' } as const;

const malformed = (detail: string): AdminResponse => problem(400, 'malformed', detail);

function drain(changes: Changes): AdminResponse {
  const { sessions, requests, withinMs } = changes.drain();
  return json(202, { draining: true, sessions, requests, within_ms: withinMs });
}

async function setServer(
  changes: Changes,
  { params: [upstream = '', server = ''], req }: ApiCall,
): Promise<AdminResponse> {
  const body = await readObject(req);
  if ('status' in body) return body;
  const { state, ...other } = body.object;
  const [unknown] = Object.keys(other);
  if (unknown !== undefined) return malformed(`${JSON.stringify(unknown)} is not known; the body is {"state": …}`);
  const set = SERVER_STATES.find((name) => name === state);
  if (set === undefined) return malformed(`state is one of ${SERVER_STATES.join(', ')}`);
  const done = changes.setServer(upstream, server, set);
  if (done.missing === null) return json(200, { upstream, server, state: set, closing: done.closing, ...UNTIL });
  const shown = done.known.slice(0, MAX_SHOWN).join(', ') || 'none';
  return done.missing === 'upstream'
    ? problem(404, 'no_upstream', `there is no such upstream; there are: ${shown}`)
    : problem(404, 'no_server', `the upstream has no such server (its URL, percent-encoded); it has: ${shown}`);
}

async function closeSessions(changes: Changes, { req }: ApiCall): Promise<AdminResponse> {
  const body = await readObject(req);
  if ('status' in body) return body;
  const order = readOrder(body.object);
  if (typeof order === 'string') return malformed(order);
  const closing = changes.closeSessions(order);
  if (closing === null) return problem(429, 'busy', 'too many such orders are under way', { 'Retry-After': '10' });
  return json(202, { closing, rate: order.rate, code: order.code });
}

/** A string says what is wrong. */
function readOrder({ code, reason, rate, all, ...criteria }: Readonly<Record<string, unknown>>): CloseOrder | string {
  const how = readHow({ code, reason, rate });
  if (typeof how === 'string') return how;
  const conditions = readConditions(criteria, ['all', 'code', 'reason', 'rate']);
  if (typeof conditions === 'string') return conditions;
  if (all !== undefined && all !== true) return 'all is true, or not there';
  if ((conditions.length === 0) !== (all === true))
    return `either one of ${CRITERION_NAMES.join(', ')} is needed, or "all": true`;
  const filter = all === true ? { all: 'true' } : (criteria as Readonly<Record<string, string>>);
  return { filter, fits: (session) => conditions.every((holds) => holds(session)), ...how };
}

function readHow({
  code = DEFAULT_CODE,
  reason = 'closed by an operator',
  rate = DEFAULT_RATE,
}: Readonly<Record<'code' | 'reason' | 'rate', unknown>>): Pick<CloseOrder, 'code' | 'reason' | 'rate'> | string {
  const fine = typeof code === 'number' && (CLOSE_CODES.has(code) || (code >= 3000 && code <= 4999));
  if (!fine || !Number.isInteger(code)) return `code is one of ${[...CLOSE_CODES].join(', ')}, or from 3000 to 4999`;
  if (typeof reason !== 'string' || Buffer.byteLength(reason) > MAX_REASON)
    return `reason is a text of at most ${MAX_REASON} bytes`;
  if (typeof rate !== 'number' || !(rate >= 0.1 && rate <= MAX_RATE))
    return `rate is a number of sessions a second, from 0.1 to ${MAX_RATE}`;
  return { code, reason, rate };
}

async function setLog(changes: Changes, { req }: ApiCall): Promise<AdminResponse> {
  const body = await readObject(req);
  if ('status' in body) return body;
  const { level, ...other } = body.object;
  const [unknown] = Object.keys(other);
  if (unknown !== undefined) return malformed(`${JSON.stringify(unknown)} is not known; the body is {"level": …}`);
  const found = LOG_LEVELS.find((name) => name === level);
  if (found === undefined && level !== null)
    return malformed(`level is one of ${LOG_LEVELS.join(', ')}, or null for the one of the config`);
  return json(200, { ...changes.setLogLevel(found ?? null), ...UNTIL });
}

async function reload(changes: Changes): Promise<AdminResponse> {
  const { at, outcome, problems } = await changes.reload();
  if (outcome !== null) {
    const { kept, draining, restartNeeded } = outcome;
    return json(200, { at: isoTime(at), kept, draining, restart_needed: restartNeeded });
  }
  return problemList(422, 'not_reloaded', 'nothing has changed', problems);
}
