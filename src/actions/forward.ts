// Verdict `forward`: sends a plain request to a server of the route's upstream. This file picks the server and turns failures
// into answers. http/policy/policy.ts decides which fields are forwarded, and an engine in proxy/ transfers the message.
import type { SlotSet } from '../base/slot-set.ts';
import { asGatewayError } from '../errors.ts';
import type { ServerRef } from '../events.ts';
import { reject } from '../handshake/rejection.ts';
import { listHas, lowerNames } from '../http/fields.ts';
import type { RequestHead } from '../http/head.ts';
import { requestFields, responseFields, responsePolicy } from '../http/policy/policy.ts';
import type { Refusal } from '../http/problem.ts';
import type { ClientRequest, ClientResponse } from '../proxy/client.ts';
import { type Exchange, ExchangeError, IDEMPOTENT, type Timeouts } from '../proxy/http-engine.ts';
import type { Forward } from '../routing/decide.ts';
import type { Ask } from '../upstream/balance/key.ts';
import type { EndlessAnswer } from '../upstream/endless.ts';
import { isRetryableStatus, type Lease, outcomeOf } from '../upstream/lease.ts';
import type { Pool } from '../upstream/pool.ts';
import { RetryState } from '../upstream/retry/retry-state.ts';
import type { Server } from '../upstream/server.ts';
import { factsOf, type RouteContext } from './context.ts';
import { preambleFor } from './peer.ts';
import { type Plain, refusalOf, rejectRequest } from './reject.ts';

/** HTTP/1.0 has no interim answers, so no client waits for one (RFC 9110 §10.1.1). */
const OF_HTTP_1_0: ReadonlySet<string> = new Set(['expect']);
const NOTHING: ReadonlySet<string> = new Set();

/** Forwards one request and its answer, and reports the request at its end. */
export function forward(context: RouteContext, verdict: Forward, plain: Plain): void {
  new Forwarding(context, verdict, plain).begin();
}

/** A running request: exchanges with one server after the other, until the client has its answer. */
class Forwarding implements Exchange {
  readonly request: ClientRequest;
  readonly response: ClientResponse;
  readonly target: string;
  readonly maxBody: number | null;
  readonly endless: SlotSet<EndlessAnswer>;
  readonly timeouts: Timeouts;
  fields: readonly string[] = [];
  ownFields: readonly string[] = [];
  preamble: Buffer | null = null;
  bodyBytes = 0;
  readonly #context: RouteContext;
  readonly #verdict: Forward;
  readonly #plain: Plain;
  readonly #ask: Ask;
  readonly #pool: Pool;
  readonly #retryState: RetryState;
  #policy = responseFields;
  #lease: Lease | null = null;
  /** The next server, because the answer of the last one was declined. */
  #next: Lease | null = null;

  constructor(context: RouteContext, verdict: Forward, plain: Plain) {
    const { services, client } = context;
    const { http } = verdict.route;
    this.request = plain.request;
    this.response = plain.response;
    this.target = verdict.sent.target;
    this.maxBody = http.max_body ?? null;
    this.endless = services.endless;
    this.timeouts = http.timeouts;
    this.#context = context;
    this.#verdict = verdict;
    this.#plain = plain;
    const bound = services.http.bound?.servers(plain.request.authScope) ?? null;
    const { address, viaTrusted } = client;
    this.#ask = { client: address, viaTrusted, request: verdict.request, kind: 'plain', bound };
    this.#pool = services.pool(http.upstream);
    this.#retryState = new RetryState(this.#pool, this.#ask, services.emit);
  }

  get server(): Server {
    return (this.#lease as Lease).server;
  }

  begin(): void {
    const lease = this.#retryState.next();
    if (lease === null) answer(this.#context, this.#plain, reject('no_server'));
    else this.#sendTo(lease);
  }

  #sendTo(lease: Lease): void {
    this.#lease = lease;
    try {
      this.#prepare(lease.server);
      this.#context.services.http.forward(this);
    } catch (thrown) {
      this.settled(new ExchangeError(asGatewayError(thrown, 'request', this.#context.subject.id), 'begun'));
    }
  }

  /** The request for this server, and the policy for its answer. */
  #prepare(server: Server): void {
    const { request, route, sent } = this.#verdict;
    const facts = factsOf(this.#context, this.#verdict);
    const own = server.authority;
    const skip = request.head.version === '1.0' ? OF_HTTP_1_0 : NOTHING;
    const fields = requestFields(facts, skip, route.policy, own);
    if (takesTrailers(request.head)) fields.push('TE', 'trailers', 'Connection', 'TE');
    this.fields = fields;
    this.ownFields = this.#pool.sticky?.fieldsFor(server, this.#ask) ?? [];
    this.preamble = preambleFor(server, this.#context.client.address, this.request.connection);
    this.#policy = responsePolicy(route.policy, { facts, sent, own });
  }

  responseFields(fields: readonly string[], names?: readonly string[]): string[] {
    return this.#policy(fields, names);
  }

  /** An idempotent request (RFC 9110 §9.2.2) may go to another server if this one answers that it can't serve it. */
  declines(status: number, answered: readonly string[]): boolean {
    const retryAfter = status >= 500 && lowerNames(answered).includes('retry-after');
    this.#lease?.reportOutcome(outcomeOf(status, retryAfter));
    if (this.#repeatable() && isRetryableStatus(status, retryAfter)) this.#next = this.#retryState.next();
    return this.#next !== null;
  }

  #repeatable(): boolean {
    return IDEMPOTENT.has(this.request.message.method ?? '');
  }

  /**
   * Another server may be tried if nothing of the request was sent. An idempotent request without a body may also be retried
   * after it was sent, if no part of an answer arrived.
   */
  settled(failure: ExchangeError | null): void {
    const lease = this.#lease;
    if (lease === null) return;
    this.#lease = null;
    const at = { upstream: this.#pool.name, server: lease.server.url };
    try {
      // After an interim answer was forwarded, the final one can't be declined.
      if (failure === null) lease.reportOutcome(outcomeOf(this.response.status, false));
      else if (failure.source === 'upstream') lease.reportOutcome('failed');
      const next = failure === null ? null : this.#nextAfter(failure);
      lease.release();
      const { bodyBytes } = this;
      if (failure === null) completed(this.#context, this.#plain, { at, reason: null, detail: null, bodyBytes });
      else this.#failed(failure, at, next);
    } catch (thrown) {
      answer(this.#context, this.#plain, refusalOf(asGatewayError(thrown, 'request', this.#context.subject.id)));
    } finally {
      lease.release();
    }
  }

  #nextAfter({ source, progress }: ExchangeError): Lease | null {
    const declined = this.#next;
    this.#next = null;
    if (declined !== null || source !== 'upstream') return declined;
    return progress === 'unsent' || (progress === 'head' && this.#repeatable()) ? this.#retryState.next() : null;
  }

  #failed(error: ExchangeError, at: ServerRef, next: Lease | null): void {
    const { services, subject } = this.#context;
    if (error.source === 'upstream')
      services.emit({ type: 'upstream_failed', ...at, id: subject.id, reason: error.code, detail: error.message });
    if (next !== null) return void this.#sendTo(next);
    const begun = this.response.headersSent;
    if (!begun && error.code !== 'client_gone') rejectRequest(this.#plain, refusalOf(error), subject.id);
    const status = begun ? {} : { status: refusalOf(error).status };
    const { bodyBytes } = this;
    completed(this.#context, this.#plain, { at, reason: error.code, detail: error.message, bodyBytes, ...status });
  }
}

/** Whether the client accepts trailers in an answer (RFC 9110 §10.1.4), as gRPC requires. */
function takesTrailers(head: RequestHead): boolean {
  return head.version === '1.1' && listHas(head, 'te', 'trailers');
}

/** Refuses a plain request, and reports it. */
export function answer(context: RouteContext, plain: Plain, refusal: Refusal): void {
  rejectRequest(plain, refusal, context.subject.id);
  const { reason, detail, limit } = refusal;
  completed(context, plain, { at: null, reason, detail, limit });
}

interface Outcome {
  readonly at: ServerRef | null;
  readonly reason: string | null;
  readonly detail: string | null;
  readonly limit?: string | undefined;
  /** Bytes of the request's body that were sent to a server; unset: none. */
  readonly bodyBytes?: number;
  /** Replaces the status of the response. */
  readonly status?: number;
}

/** Reports the end of a plain request. */
export function completed(
  context: RouteContext,
  { response }: Plain,
  { at, reason, detail, limit, bodyBytes, status }: Outcome,
): void {
  const { id, route, client, method, host, path, protocol, secure, user, trace } = context.subject;
  // No spread here: it would cost more than the rest of the event.
  context.services.emit({
    type: 'request_completed',
    id,
    route,
    client,
    method,
    host,
    path,
    protocol,
    secure,
    user,
    trace,
    status: status ?? response.status,
    reason,
    detail,
    limit,
    at,
    durationMs: performance.now() - context.startedAt,
    bytesFromClient: bodyBytes ?? 0,
    bytesToClient: response.bytesToClient,
  });
}
