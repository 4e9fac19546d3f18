// The admin API: finds the operation of a request, checks the token, and reports the call. The operations are in the files
// beside this one. openapi.ts describes their parameters and answers, and a test compares the two.
import type { IncomingMessage } from 'node:http';
import type { Emit } from '../events.ts';
import { parametersOf } from '../http/query.ts';
import { BrokerError } from '../websocket/broker/broker.ts';
import { type AdminResponse, problem } from './answer.ts';
import { presentsToken } from './bearer.ts';

export interface ApiOptions {
  /** The token of callers; undefined: the API is off. */
  readonly token: () => string | undefined;
  readonly operations: readonly Operation[];
  readonly emit: Emit;
}

/** One request, as an operation gets it. */
export interface ApiCall {
  /** The decoded parameters of the path, in order. */
  readonly params: readonly string[];
  readonly query: URLSearchParams;
  readonly req: IncomingMessage;
}

export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** The path, with parameters in braces; each is a whole segment. */
  readonly path: string;
  readonly run: (call: ApiCall) => AdminResponse | Promise<AdminResponse>;
}

/** An operation whose path fits a request's. */
interface Fitting {
  readonly operation: Operation;
  /** The parameters as written in the path. */
  readonly segments: readonly string[];
}

/** Answers requests of the API; null if the path is not one of the API's. */
export function createApi(options: ApiOptions): (req: IncomingMessage) => Promise<AdminResponse | null> {
  return async (req) => {
    const { pathname, searchParams } = splitTarget(req.url ?? '');
    const fitting = fittingOf(options.operations, pathname);
    if (fitting.length === 0) return null;
    const startedAt = performance.now();
    const found = fitting.find(({ operation }) => operation.method === req.method);
    const answer = refuse(options, req) ?? (await run(req, found, searchParams));
    const name = found === undefined ? `other ${fitting[0]?.operation.path}` : `${req.method} ${found.operation.path}`;
    options.emit({
      type: 'api_called',
      operation: name,
      target: decodeAll(fitting[0]?.segments ?? [])?.join(' ') || null,
      status: answer.status,
      reason: answer.reason ?? null,
      client: req.socket.remoteAddress ?? '',
      durationMs: performance.now() - startedAt,
    });
    if (answer.status !== 405) return answer;
    return { ...answer, fields: { Allow: fitting.map(({ operation }) => operation.method).join(', ') } };
  };
}

function splitTarget(target: string): { pathname: string; searchParams: URLSearchParams } {
  const [pathname = '', ...query] = target.split('?');
  return { pathname, searchParams: parametersOf(query.join('?')) };
}

/** The operations of one path; an exact path comes before one with parameters. */
function fittingOf(operations: readonly Operation[], pathname: string): readonly Fitting[] {
  const fitting = operations.flatMap((operation) => {
    const segments = matchPath(operation.path, pathname);
    return segments === null ? [] : [{ operation, segments }];
  });
  const fewest = Math.min(...fitting.map(({ segments }) => segments.length));
  return fitting.filter(({ segments }) => segments.length === fewest);
}

/** The parameters as written in the path; null if the path does not match. */
function matchPath(template: string, path: string): string[] | null {
  const [wanted, given] = [template.split('/'), path.split('/')];
  if (wanted.length !== given.length) return null;
  const found: string[] = [];
  for (const [i, segment] of wanted.entries()) {
    const text = given[i] as string;
    if (!segment.startsWith('{')) {
      if (segment !== text) return null;
    } else if (text === '') return null;
    else found.push(text);
  }
  return found;
}

/** The decoded parameters; null if one has an invalid escape. */
function decodeAll(segments: readonly string[]): string[] | null {
  try {
    return segments.map(decodeURIComponent);
  } catch {
    return null;
  }
}

/** The checks before every operation. */
function refuse({ token }: ApiOptions, req: IncomingMessage): AdminResponse | null {
  const wanted = token();
  if (wanted === undefined) return problem(403, 'api_off', 'there is no API without admin.token in the config');
  if (presentsToken(req.headers.authorization, wanted)) return null;
  const challenge = req.headers.authorization === undefined ? 'Bearer' : 'Bearer error="invalid_token"';
  return problem(401, 'unauthorized', 'the token of the API is missing or wrong', { 'WWW-Authenticate': challenge });
}

async function run(req: IncomingMessage, found: Fitting | undefined, query: URLSearchParams): Promise<AdminResponse> {
  if (found === undefined) return problem(405, 'method', 'the method is not allowed here');
  const params = decodeAll(found.segments);
  if (params === null) return problem(400, 'malformed', 'the path holds an escape that is none');
  try {
    return await found.operation.run({ params, query, req });
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return error.fault === 'unavailable'
      ? problem(503, 'broker_unavailable', error.message, { 'Retry-After': '1' })
      : problem(504, 'broker_unconfirmed', error.message);
  }
}
