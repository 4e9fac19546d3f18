// Every plain request, step by step: its head is read (incoming.ts) and decided (decide-incoming.ts), access.ts admits it,
// then the action of its verdict runs. What breaks in a step ends here, as an answer and an event. Handshakes are
// handshakes.ts, binding listener.ts, node's server listen/node/.
import type { RouteContext } from '../actions/context.ts';
import { answer, completed, forward } from '../actions/forward.ts';
import { peerOf } from '../actions/peer.ts';
import { type Plain, passRequest, refusalOf, rejectRequest } from '../actions/reject.ts';
import { respond } from '../actions/respond.ts';
import { guarded } from '../base/guard.ts';
import { oldGenerationLimit } from '../base/heap.ts';
import { MemoryBudget } from '../base/memory-budget.ts';
import { asGatewayError, GatewayError } from '../errors.ts';
import type { Sample, Sampler } from '../events.ts';
import { wantsWebSocket } from '../handshake/handshake.ts';
import { isRejection, type Reason, reject } from '../handshake/rejection.ts';
import { ClientClosed } from '../net/client-closed.ts';
import type { ClientRequest, ClientResponse } from '../proxy/client.ts';
import { HstsResponse } from '../proxy/hsts-response.ts';
import type { Forward, Respond } from '../routing/decide.ts';
import { AcceptPriority } from './accept-priority.ts';
import { type AccessResult, isGranted } from './access.ts';
import { answerChallenge, mayAskForChallenge } from './challenge.ts';
import { decideIncoming, type GatewayState } from './decide-incoming.ts';
import { Handshakes, type HandshakesOptions, passedDetail, reportDropped } from './handshakes.ts';
import { type Incoming, readIncoming, withRoute } from './incoming.ts';

/** The part of the heap that requests may take which wait behind others of their connection. */
const WAITING_SHARE = 1 / 16;

export class Gateway implements Sampler {
  readonly #options: HandshakesOptions;
  /** Every listener that node accepts for reports each connection to it. */
  readonly acceptPriority = new AcceptPriority();
  readonly handshakes: Handshakes;
  /** Of what waits behind a request of its connection, over all connections. */
  readonly waiting = new MemoryBudget(Math.floor(oldGenerationLimit() * WAITING_SHARE));
  readonly #state: GatewayState = { draining: false };
  /** A plain request is the last one of its connection. */
  #closing = false;
  #requests = 0;

  constructor(options: HandshakesOptions) {
    this.#options = options;
    this.handshakes = new Handshakes(options, this.#state);
  }

  /** From now on a plain request is the last one of its connection. */
  startClosing(): void {
    this.#closing = true;
  }

  /** From now on handshakes are refused, too. */
  startDraining(): void {
    this.#closing = true;
    this.#state.draining = true;
  }

  /** How many requests are being answered and handshakes decided. */
  underWay(): number {
    return this.#requests + this.handshakes.underWay();
  }

  *sample(): Iterable<Sample> {
    yield { metric: 'http_requests_in_flight', labels: {}, value: this.#requests };
    const labels = { budget: 'pipelining' };
    yield { metric: 'memory_budget_bytes', labels, value: this.waiting.used };
    yield { metric: 'memory_budget_limit_bytes', labels, value: this.waiting.limit };
  }

  /**
   * Serves a plain request whose answer can be written now: over HTTP/1 it is the first one on its connection that is not
   * answered yet. Never throws.
   */
  readonly serve = guarded(
    'request',
    (request: ClientRequest, response: ClientResponse) => this.#serve(request, response),
    (request, response) => rejectRequest({ request, response }, refusalOf(BROKEN), null),
  );

  readonly #onClosed = (): void => void this.#requests--;

  #serve(request: ClientRequest, received: ClientResponse): void {
    const response = asListenerSays(request, received);
    this.#requests++;
    response.onClosed(this.#onClosed);
    const incoming = readIncoming(request.message, request.connection, this.#options.snapshot());
    const plain = { request, response };
    if (!mayAskForChallenge(incoming)) this.#decide(incoming, plain);
    else answerChallenge(this.#options.challengeText, incoming, plain, () => this.#decide(incoming, plain));
  }

  #decide(incoming: Incoming, plain: Plain): void {
    try {
      this.#plain(incoming, plain);
    } catch (thrown) {
      refuseBroken(incoming.context, plain, thrown);
    }
  }

  /** Reports a request whose client left before its turn came. */
  missed(request: ClientRequest, response: ClientResponse): void {
    const incoming = readIncoming(request.message, request.connection, this.#options.snapshot());
    const verdict = decideIncoming(incoming, this.#state);
    reportClientClosed(withRoute(incoming.context, verdict), { request, response });
  }

  #plain(incoming: Incoming, plain: Plain): void {
    const { context } = incoming;
    const { response } = plain;
    if (this.#closing) response.closeAfter();
    if (incoming.head.names.includes('upgrade') && !wantsWebSocket(incoming.head)) reportDropped(incoming);
    const verdict = decideIncoming(incoming, this.#state);
    switch (verdict.kind) {
      case 'forward':
      case 'respond':
        return void this.#admit(withRoute(context, verdict), verdict, plain);
      case 'reject':
        if (LAST.has(verdict.rejection.reason)) response.closeAfter();
        return void answer(withRoute(context, verdict), plain, verdict.rejection);
      default:
        // node's parser did not see the upgrade (such as a tab before the token) and still owns the connection.
        response.closeAfter();
        return void answer(
          withRoute(context, verdict),
          plain,
          reject('malformed', 'Upgrade or Connection is written in a way that cannot be taken over'),
        );
    }
  }

  /** Admits a plain request and runs its action, at once where nothing has to be awaited. */
  #admit(context: RouteContext, verdict: Forward | Respond, plain: Plain): void {
    const result = this.#options.access.plain(context, verdict, () => clientClosedOf(plain.response));
    if (!(result instanceof Promise)) return void run(result, context, verdict, plain);
    result
      .catch(nullIfClientClosed)
      .then((admitted) => {
        if (admitted === null) reportClientClosed(context, plain);
        else run(admitted, context, verdict, plain);
      })
      .catch((thrown: unknown) => refuseBroken(context, plain, thrown));
  }
}

function run(result: AccessResult, context: RouteContext, verdict: Forward | Respond, plain: Plain): void {
  if (isGranted(result)) {
    if (verdict.kind === 'forward') return void forward(result.context, verdict, plain);
    return void respond(result.context, verdict, plain);
  }
  if (isRejection(result)) return void answer(context, plain, result);
  passRequest(plain, result);
  completed(context, plain, { at: null, reason: 'auth', detail: passedDetail(result) });
}

/** The response as the listener wants it. */
function asListenerSays({ connection }: ClientRequest, response: ClientResponse): ClientResponse {
  const hsts = peerOf(connection).listener?.hsts ?? null;
  return hsts === null ? response : new HstsResponse(response, hsts);
}

/** Answers a request that broke on its way. */
function refuseBroken(context: RouteContext, plain: Plain, thrown: unknown): void {
  answer(context, plain, refusalOf(asGatewayError(thrown, 'request', context.subject.id)));
}

/**
 * Refusals after which the connection has no next request: where framing was not understood none could be found, and a
 * client that sends too much, or a gateway at its limit, should get no further request.
 */
const LAST: ReadonlySet<Reason> = new Set(['malformed', 'transfer_encoding', 'head_too_large', 'limit']);

/** Notified when the client of a plain request leaves. */
function clientClosedOf(response: ClientResponse): ClientClosed {
  const clientClosed = new ClientClosed();
  response.onClosed(() => clientClosed.notify());
  return clientClosed;
}

/** For a request that broke before it had an id. */
const BROKEN = new GatewayError('internal', 'the request could not be read');

const CLIENT_CLOSED = new GatewayError('client_gone', 'the client left');

/** Reports a request that nobody waits for any more. */
function reportClientClosed(context: RouteContext, plain: Plain): void {
  const { status, detail } = refusalOf(CLIENT_CLOSED);
  completed(context, plain, { at: null, reason: CLIENT_CLOSED.code, detail, status });
}

/** A client that left while its request waited to be admitted gets no answer. */
function nullIfClientClosed(error: unknown): null {
  if (error instanceof GatewayError && error.code === CLIENT_CLOSED.code) return null;
  throw error;
}
