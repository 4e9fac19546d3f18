// Verdict `forward`: a plain request goes to a server of the route's REST upstream. Which fields cross is http/policy.ts,
// how the message moves is the engine's; here a server is picked, and failures become answers.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { asGatewayError } from '../errors.ts';
import type { ServerRef } from '../events.ts';
import { reject } from '../handshake/rejection.ts';
import { requestFields, responsePolicy } from '../http/policy.ts';
import type { Refusal } from '../http/problem.ts';
import type { Forward } from '../routing/decide.ts';
import { authorityOf, factsOf, type RouteContext } from './context.ts';
import { refusalOf, rejectRequest } from './reject.ts';

/** HTTP/1.0 knows no interim answers, so that nobody would wait for one (RFC 9110 §10.1.1). */
const OF_HTTP_1_0: ReadonlySet<string> = new Set(['expect']);
const NOTHING: ReadonlySet<string> = new Set();

/** A plain request and its response, as node's server gives them. */
export interface Plain {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** What the connection had been sent before this answer. */
  readonly writtenBefore: number;
}

/** Moves one request and its answer; resolves when the exchange is over and reported. */
export async function forward(context: RouteContext, verdict: Forward, plain: Plain): Promise<void> {
  const { services, subject } = context;
  const { req, res } = plain;
  const { request, route, sent } = verdict;
  const server = services.pool(route.http.upstream).pick();
  if (server === null) return answer(context, plain, reject('no_server'));
  const at = { upstream: server.upstream, server: server.url };
  const facts = factsOf(context, verdict);
  const own = authorityOf(server);
  const release = services.pool(route.http.upstream).acquire(server);
  try {
    await services.http.forward({
      req,
      res,
      server,
      target: sent.target,
      fields: requestFields(facts, request.head.version === '1.0' ? OF_HTTP_1_0 : NOTHING, route.policy, own),
      responseFields: responsePolicy(route.policy, { facts, sent, own }),
      maxBody: route.http.max_body ?? null,
      timeouts: route.http.timeouts,
    });
    completed(context, plain, { at, reason: null, detail: null });
  } catch (thrown) {
    const error = asGatewayError(thrown);
    if (error.source === 'upstream') {
      services.emit({ type: 'upstream_failed', ...at, id: subject.id, reason: error.code, detail: error.message });
    }
    const begun = res.headersSent;
    if (!begun && error.code !== 'client_gone') rejectRequest(res, refusalOf(error), subject.id);
    completed(context, plain, {
      at,
      reason: error.code,
      detail: error.message,
      ...(begun ? {} : { status: refusalOf(error).status }),
    });
  } finally {
    release();
  }
}

/** Refuses a plain request, and reports it. */
export function answer(context: RouteContext, plain: Plain, refusal: Refusal): void {
  rejectRequest(plain.res, refusal, context.subject.id);
  completed(context, plain, { at: null, reason: refusal.reason, detail: refusal.detail });
}

interface Outcome {
  readonly at: ServerRef | null;
  readonly reason: string | null;
  readonly detail: string | null;
  /** Where the response does not tell it. */
  readonly status?: number;
}

/** Reports a plain request as over. */
export function completed(
  context: RouteContext,
  { req, res, writtenBefore }: Plain,
  { at, reason, detail, status }: Outcome,
): void {
  const { id, route, client, method, host, path } = context.subject;
  // Written out: a spread costs more than all the rest of an event.
  context.services.emit({
    type: 'request_completed',
    id,
    route,
    client,
    method,
    host,
    path,
    status: status ?? res.statusCode,
    reason,
    detail,
    at,
    durationMs: performance.now() - context.startedAt,
    bytesToClient: req.socket.bytesWritten - writtenBefore,
  });
}
