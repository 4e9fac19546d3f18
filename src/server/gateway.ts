// Every request's way through the gateway: its head is read and decided (routing/decide.ts), then the action of its
// verdict runs. What broke on the way ends here, as an answer and an event. Binding and timeouts are listener.ts.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { RouteContext } from '../actions/context.ts';
import { answer, completed, forward, type Plain } from '../actions/forward.ts';
import { peerOf } from '../actions/peer.ts';
import { SpliceError } from '../actions/reach.ts';
import { passRequest, passUpgrade, refusalOf, rejectUpgrade } from '../actions/reject.ts';
import { respond } from '../actions/respond.ts';
import type { Splice } from '../actions/splice.ts';
import { terminate } from '../actions/terminate.ts';
import type { ForeignAnswer } from '../auth/authenticator.ts';
import { asGatewayError, GatewayError, statusOf } from '../errors.ts';
import type { Mode, Sample, Sampler } from '../events.ts';
import { wantsWebSocket } from '../handshake/handshake.ts';
import { isRejection, type Reason, type Rejection, reject } from '../handshake/rejection.ts';
import { MOST_FIELDS } from '../http/head.ts';
import { decide, type Forward, type Respond, type Upgrade, type Verdict } from '../routing/decide.ts';
import type { Snapshot } from '../runtime/snapshot.ts';
import type { Permit } from '../sessions/permit.ts';
import { Departure } from '../upstream/departure.ts';
import { AcceptFirst } from './accept-first.ts';
import { type Asked, named, readAsked } from './asked.ts';
import { afterEarlierAnswers, answerable, pendingAnswer, Turns } from './earlier.ts';
import { type Entrance, isEntered } from './entrance.ts';
import { headWithoutUpgrade, putBack } from './put-back.ts';

export interface GatewayOptions {
  /** The snapshot that is current now. */
  readonly snapshot: () => Snapshot;
  readonly entrance: Entrance;
  readonly splice: Splice;
  /** Whether a connection holds one of the last descriptors. */
  readonly crowded: (socket: Socket) => boolean;
}

/** The connection of a request that node's parser has let go of. */
interface Released {
  readonly server: Server;
  readonly socket: Socket;
  readonly rest: Buffer;
}

export class Gateway implements Sampler {
  readonly #options: GatewayOptions;
  /** Told by every listener of what it accepts. */
  readonly acceptFirst = new AcceptFirst();
  readonly #turns = new Turns();
  #draining = false;
  #requests = 0;
  #handshakes = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** From now on handshakes are refused, and a plain request is the last one of its connection. */
  startDraining(): void {
    this.#draining = true;
  }

  /** Whether no request is being answered and no handshake decided. */
  idle(): boolean {
    return this.#requests === 0 && this.#handshakes === 0;
  }

  *sample(): Iterable<Sample> {
    yield { metric: 'http_requests_in_flight', labels: {}, value: this.#requests };
  }

  /** A plain request, as node's server gives it. */
  readonly onRequest = (req: IncomingMessage, res: ServerResponse): void => {
    // The answer before it said that the connection ends, and there is no request behind that (RFC 9112 §9.6): node may
    // have read one all the same, where it came along with the one before.
    if (!req.socket.writable) return;
    const serve = (): void => this.#serve(req, res);
    if (this.#turns.take(req, res, () => this.acceptFirst.hold(serve))) return;
    const { emit } = this.#options.snapshot().services;
    const client = peerOf(req.socket).address;
    const { reason, status } = reject('limit');
    emit({ type: 'head_refused', client, status, reason, detail: 'too many requests wait on one connection' });
  };

  #serve(req: IncomingMessage, res: ServerResponse): void {
    this.#requests++;
    res.once('close', () => this.#requests--);
    const asked = readAsked(req, this.#options.snapshot());
    const { context } = asked;
    const plain = { req, res, writtenBefore: req.socket.bytesWritten };
    this.#plain(asked, plain).catch((thrown: unknown) => {
      const error = asGatewayError(thrown);
      context.services.emit({
        type: 'notice',
        level: 'error',
        message: 'a request broke',
        data: { id: context.subject.id, detail: detailOf(error) },
      });
      answer(context, plain, refusalOf(error));
    });
  }

  async #plain(asked: Asked, plain: Plain): Promise<void> {
    const { context } = asked;
    const { req, res } = plain;
    if (this.#draining) res.shouldKeepAlive = false;
    const verdict = this.#judge(asked, req.socket);
    switch (verdict.kind) {
      case 'forward':
      case 'respond':
        return this.#admit(named(context, verdict), verdict, plain);
      case 'reject':
        if (LAST.has(verdict.rejection.reason)) res.shouldKeepAlive = false;
        return answer(named(context, verdict), plain, verdict.rejection);
      default:
        // node's parser did not see the upgrade (such as a tab before the token) and still owns the connection.
        res.shouldKeepAlive = false;
        return answer(
          named(context, verdict),
          plain,
          reject('malformed', 'Upgrade or Connection is written in a way that cannot be taken over'),
        );
    }
  }

  /** Runs the action of a plain request that is let in. */
  async #admit(context: RouteContext, verdict: Forward | Respond, plain: Plain): Promise<void> {
    const asked = this.#options.entrance.plain(context, verdict, () => departureOf(plain.res));
    const entry = asked instanceof Promise ? await asked.catch(nullIfGone) : asked;
    if (entry === null) {
      const { status, detail } = refusalOf(LEFT);
      return completed(context, plain, { at: null, reason: LEFT.code, detail, status });
    }
    if (isEntered(entry)) {
      if (verdict.kind === 'forward') return forward(entry.context, verdict, plain);
      return respond(entry.context, verdict, plain);
    }
    if (isRejection(entry)) return answer(context, plain, entry);
    passRequest(plain.res, entry);
    completed(context, plain, { at: null, reason: 'auth', detail: passedDetail(entry) });
  }

  /** A request with an Upgrade, as node's server gives it: its parser has let go of the connection. */
  onUpgrade(server: Server, req: IncomingMessage, socket: Socket, rest: Buffer): void {
    // First of all: an upgraded socket has no listener of its own, and a reset would end the process.
    socket.on('error', ignore);
    this.#handshakes++;
    void this.#take(readAsked(req, this.#options.snapshot()), { server, socket, rest });
  }

  /** Never rejects. */
  async #take(asked: Asked, released: Released): Promise<void> {
    const { socket } = released;
    try {
      const free = pendingAnswer(socket) === null ? answerable(socket) : await afterEarlierAnswers(socket);
      if (free) await this.#upgrade(asked, released);
    } catch (thrown) {
      this.#failed(asked.context, socket, 'splice', asGatewayError(thrown));
    } finally {
      this.#handshakes--;
    }
  }

  /** Of a connection that can be answered on. */
  async #upgrade(asked: Asked, released: Released): Promise<void> {
    const { context, head } = asked;
    const { server, socket, rest } = released;
    if (!wantsWebSocket(head) && head.method !== 'CONNECT')
      return putBack(server, socket, headWithoutUpgrade(head), rest);
    const verdict = this.#judge(asked, socket);
    const known = named(context, verdict);
    if (verdict.kind === 'reject') return this.#refuse(known, socket, verdict.rejection, modeOf(verdict));
    if (verdict.kind !== 'splice' && verdict.kind !== 'terminate') return void socket.destroy();
    if (this.#draining) return this.#refuse(known, socket, reject('draining'), verdict.kind);
    await this.#open(known, verdict, released);
  }

  /** Runs the action of a handshake that is let in; its permit stays with the session where one opens, else it comes back here. */
  async #open(context: RouteContext, verdict: Upgrade, { socket, rest }: Released): Promise<void> {
    const gone = new Departure();
    const onClose = (): void => gone.tell();
    socket.on('close', onClose);
    let permit: Permit | null = null;
    try {
      const entry = await this.#options.entrance.handshake(context, verdict, gone);
      if (!isEntered(entry)) {
        if (isRejection(entry)) return this.#refuse(context, socket, entry, verdict.kind);
        passUpgrade(socket, entry);
        return this.#rejected(context, { ...entry, reason: 'auth', detail: passedDetail(entry) }, verdict.kind);
      }
      permit = entry.permit;
      const client = { socket, rest, gone, permit };
      const action = verdict.kind === 'terminate' ? terminate : this.#options.splice;
      const outcome = await action(entry.context, verdict, client);
      if (outcome === 'opened') permit = null;
      if (typeof outcome !== 'string') this.#refuse(entry.context, socket, outcome, verdict.kind);
    } catch (thrown) {
      const error = asGatewayError(thrown);
      // Whoever waits for this client must learn it also where its socket broke at the very last.
      if (error.code === 'client_gone') gone.tell();
      this.#failed(context, socket, verdict.kind, error);
    } finally {
      socket.removeListener('close', onClose);
      permit?.release();
    }
  }

  /** The verdict, after what stands before any route: too many fields, too few descriptors. */
  #judge({ snapshot, head, context }: Asked, socket: Socket): Verdict {
    if (head.names.length > MOST_FIELDS)
      return refuse(reject('head_too_large', `a head has at most ${MOST_FIELDS} fields`));
    if (this.#options.crowded(socket)) return refuse(reject('limit'));
    return decide(snapshot.table, head, context.client.address);
  }

  #refuse(context: RouteContext, socket: Socket, rejection: Rejection, mode: Mode | null): void {
    rejectUpgrade(socket, rejection, context.subject.id);
    this.#rejected(context, rejection, mode);
  }

  #rejected(context: RouteContext, { reason, status, detail }: Omit<Rejection, 'fields'>, mode: Mode | null): void {
    context.services.emit({
      ...context.subject,
      type: 'handshake_rejected',
      mode,
      reason,
      status,
      detail,
      origin: context.origin,
    });
  }

  #failed(context: RouteContext, socket: Socket, mode: Mode, error: GatewayError): void {
    rejectUpgrade(socket, refusalOf(error), context.subject.id);
    context.services.emit({
      ...context.subject,
      type: 'handshake_failed',
      mode,
      reason: error.code,
      status: statusOf(error),
      detail: detailOf(error),
      at: error instanceof SpliceError ? error.at : null,
    });
  }
}

/**
 * Refusals after which the connection has no next request: where framing was not understood none could be found, and a
 * greedy client or a crowded gateway should not go on.
 */
const LAST: ReadonlySet<Reason> = new Set(['malformed', 'head_too_large', 'limit']);

/** Tells of a plain request's client. */
function departureOf(res: ServerResponse): Departure {
  const gone = new Departure();
  if (res.destroyed) gone.tell();
  else res.once('close', () => gone.tell());
  return gone;
}

function passedDetail({ status }: ForeignAnswer): string {
  return `the server that judges credentials answered ${status}`;
}

function modeOf({ route }: Verdict): Mode | null {
  return route?.websocket?.config.mode ?? null;
}

function refuse(rejection: Rejection): Verdict {
  return { kind: 'reject', route: null, rejection };
}

function detailOf(error: GatewayError): string {
  return error.code === 'internal' && error.cause instanceof Error
    ? (error.cause.stack ?? error.message)
    : error.message;
}

const LEFT = new GatewayError('client_gone', 'the client left');

/** A client that left while something was found out about it needs no answer. */
function nullIfGone(error: unknown): null {
  if (error instanceof GatewayError && error.code === LEFT.code) return null;
  throw error;
}

function ignore(): void {}
