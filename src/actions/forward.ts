// Verdict `forward`: a plain request goes to a server of the route's REST upstream. Which fields cross is http/policy/policy.ts,
// how the message moves is the engine's; here a server is picked, and failures become answers.
import { asGatewayError, type GatewayError } from '../errors.ts';
import type { ServerRef } from '../events.ts';
import { reject } from '../handshake/rejection.ts';
import { listHas, lowerNames } from '../http/fields.ts';
import type { RequestHead } from '../http/head.ts';
import { requestFields, responsePolicy } from '../http/policy/policy.ts';
import type { Refusal } from '../http/problem.ts';
import { type Exchange, ExchangeError, type HttpEngine, IDEMPOTENT } from '../proxy/http-engine.ts';
import type { Forward } from '../routing/decide.ts';
import { type Lease, mayDoBetter, outcomeOf } from '../upstream/lease.ts';
import { RetryState } from '../upstream/retry/retry-state.ts';
import { factsOf, type RouteContext } from './context.ts';
import { preambleFor } from './peer.ts';
import { type Plain, refusalOf, rejectRequest } from './reject.ts';

/** HTTP/1.0 knows no interim answers, so that nobody would wait for one (RFC 9110 §10.1.1). */
const OF_HTTP_1_0: ReadonlySet<string> = new Set(['expect']);
const NOTHING: ReadonlySet<string> = new Set();

/** Moves one request and its answer; resolves when the exchange is over and reported. */
export async function forward(context: RouteContext, verdict: Forward, plain: Plain): Promise<void> {
  const { services, subject } = context;
  const { request, response } = plain;
  const { http } = services;
  const pool = services.pool(verdict.route.http.upstream);
  const { address, viaTrusted } = context.client;
  const bound = http.bound?.servers(request.connection) ?? null;
  const ask = { client: address, viaTrusted, request: verdict.request, kind: 'plain', bound } as const;
  const retryState = new RetryState(pool, ask, services.emit);
  let lease = retryState.next();
  if (lease === null) return answer(context, plain, reject('no_server'));
  for (;;) {
    const at = { upstream: pool.name, server: lease.server.url };
    const ownFields = pool.sticky?.fieldsFor(lease.server, ask) ?? [];
    let ended: Ended | null;
    try {
      const message = buildMessage(context, verdict, {
        plain,
        own: lease.server.authority,
        ownFields,
        preamble: preambleFor(lease.server, address, request.connection),
      });
      ended = await tryOn(http, { lease, retryState }, message);
    } finally {
      lease.release();
    }
    if (ended === null) return completed(context, plain, { at, reason: null, detail: null });
    const { error, next } = ended;
    if (error.source === 'upstream') {
      services.emit({ type: 'upstream_failed', ...at, id: subject.id, reason: error.code, detail: error.message });
    }
    if (next !== null) {
      lease = next;
      continue;
    }
    const begun = response.headersSent;
    if (!begun && error.code !== 'client_gone') rejectRequest(plain, refusalOf(error), subject.id);
    const status = begun ? {} : { status: refusalOf(error).status };
    return completed(context, plain, { at, reason: error.code, detail: error.message, ...status });
  }
}

/** What a server gets. */
type Message = Omit<Exchange, 'server' | 'declines'>;

interface OfServer {
  readonly plain: Plain;
  /** The server's authority, which the route's policy may go by. */
  readonly own: string;
  readonly ownFields: readonly string[];
  readonly preamble: Buffer | null;
}

function buildMessage(context: RouteContext, verdict: Forward, { plain, own, ownFields, preamble }: OfServer): Message {
  const { request, route, sent } = verdict;
  const facts = factsOf(context, verdict);
  const skip = request.head.version === '1.0' ? OF_HTTP_1_0 : NOTHING;
  const fields = requestFields(facts, skip, route.policy, own);
  if (takesTrailers(request.head)) fields.push('TE', 'trailers', 'Connection', 'TE');
  return {
    request: plain.request,
    response: plain.response,
    target: sent.target,
    fields,
    responseFields: responsePolicy(route.policy, { facts, sent, own }),
    ownFields,
    preamble,
    maxBody: route.http.max_body ?? null,
    endless: context.services.endless,
    timeouts: route.http.timeouts,
  };
}

/** Whether the client would see the trailers of an answer (RFC 9110 §10.1.4); gRPC asks for nothing less. */
function takesTrailers(head: RequestHead): boolean {
  return head.version === '1.1' && listHas(head, 'te', 'trailers');
}

/** How an exchange failed, and the server that is tried next, where one may be. */
interface Ended {
  readonly error: GatewayError;
  readonly next: Lease | null;
}

/**
 * One server's try; null where the client has its answer. Another one may be tried where none of the request was sent,
 * and for an idempotent one (RFC 9110 §9.2.2) without a body also where it was, but nothing of an answer came through.
 */
async function tryOn(
  http: HttpEngine,
  { lease, retryState }: { lease: Lease; retryState: RetryState },
  message: Message,
): Promise<Ended | null> {
  const { request, response, preamble, target, fields, responseFields, ownFields, maxBody, endless, timeouts } =
    message;
  const repeatable = IDEMPOTENT.has(request.message.method ?? '');
  let next: Lease | null = null;
  const declines = (status: number, answered: readonly string[]): boolean => {
    const retryAfter = status >= 500 && lowerNames(answered).includes('retry-after');
    lease.reportOutcome(outcomeOf(status, retryAfter));
    if (repeatable && mayDoBetter(status, retryAfter)) next = retryState.next();
    return next !== null;
  };
  try {
    const { server } = lease;
    // Written out: a spread costs a plain request more than its decision does.
    await http.forward({
      request,
      response,
      server,
      preamble,
      target,
      fields,
      responseFields,
      ownFields,
      declines,
      maxBody,
      endless,
      timeouts,
    });
    // Behind an interim answer that went out, the final one was not asked about.
    lease.reportOutcome(outcomeOf(response.status, false));
    return null;
  } catch (thrown) {
    const error = asGatewayError(thrown, 'request');
    if (error.source === 'upstream') lease.reportOutcome('failed');
    const progress = error instanceof ExchangeError && error.source === 'upstream' ? error.progress : 'begun';
    if (progress === 'unsent' || (progress === 'head' && repeatable)) next ??= retryState.next();
    return { error, next };
  }
}

/** Refuses a plain request, and reports it. */
export function answer(context: RouteContext, plain: Plain, refusal: Refusal): void {
  rejectRequest(plain, refusal, context.subject.id);
  completed(context, plain, { at: null, reason: refusal.reason, detail: refusal.detail });
}

interface Outcome {
  readonly at: ServerRef | null;
  readonly reason: string | null;
  readonly detail: string | null;
  /** In place of the response's own. */
  readonly status?: number;
}

/** Reports a plain request as over. */
export function completed(context: RouteContext, { response }: Plain, { at, reason, detail, status }: Outcome): void {
  const { id, route, client, method, host, path, user } = context.subject;
  // Written out: a spread costs more than all the rest of an event.
  context.services.emit({
    type: 'request_completed',
    id,
    route,
    client,
    method,
    host,
    path,
    user,
    status: status ?? response.status,
    reason,
    detail,
    at,
    durationMs: performance.now() - context.startedAt,
    bytesToClient: response.bytesToClient,
  });
}
