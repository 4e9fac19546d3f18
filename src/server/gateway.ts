// Every request's way through the gateway: its head is read and decided (routing/decide.ts), then the action of its
// verdict runs. What broke on the way ends here, as an answer and an event. Binding and timeouts are listener.ts.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { RouteContext } from '../actions/context.ts';
import { answer, forward, type Plain } from '../actions/forward.ts';
import { SpliceError } from '../actions/reach.ts';
import { refusalOf, rejectUpgrade } from '../actions/reject.ts';
import { respond } from '../actions/respond.ts';
import type { Splice } from '../actions/splice.ts';
import { terminate } from '../actions/terminate.ts';
import { asGatewayError, type GatewayError, statusOf } from '../errors.ts';
import type { Mode, Sample, Sampler } from '../events.ts';
import { wantsWebSocket } from '../handshake/handshake.ts';
import { type Reason, type Rejection, reject } from '../handshake/rejection.ts';
import { readClient, vouchedScheme } from '../http/forwarded.ts';
import { MOST_FIELDS, plainAddress, type RequestHead, readHead } from '../http/head.ts';
import { loggedPath } from '../http/target.ts';
import { decide, type Upgrade, type Verdict } from '../routing/decide.ts';
import type { Snapshot } from '../runtime/snapshot.ts';
import type { Admission } from '../sessions/admission.ts';
import { Departure } from '../upstream/departure.ts';
import { Arrivals } from './arrivals.ts';
import { afterEarlierAnswers, answerable, pendingAnswer, Turns } from './earlier.ts';
import { headWithoutUpgrade, putBack } from './put-back.ts';

export interface GatewayOptions {
  /** The snapshot that is current now. */
  readonly snapshot: () => Snapshot;
  readonly admission: Admission;
  readonly splice: Splice;
  /** Whether a connection holds one of the last descriptors. */
  readonly crowded: (socket: Socket) => boolean;
}

/** A request as it came, and the config it is judged by. */
interface Asked {
  readonly snapshot: Snapshot;
  readonly head: RequestHead;
  readonly context: RouteContext;
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
  readonly arrivals = new Arrivals();
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
    const serve = (): void => this.#serve(req, res);
    if (this.#turns.take(req, res, () => this.arrivals.hold(serve))) return;
    const { emit } = this.#options.snapshot().services;
    const client = plainAddress(req.socket.remoteAddress ?? '');
    const { reason, status } = reject('limit');
    emit({ type: 'head_refused', client, status, reason, detail: 'too many requests wait on one connection' });
  };

  #serve(req: IncomingMessage, res: ServerResponse): void {
    this.#requests++;
    res.once('close', () => this.#requests--);
    const asked = this.#read(req);
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

  async #plain({ snapshot, context, head }: Asked, plain: Plain): Promise<void> {
    const { req, res } = plain;
    if (this.#draining) res.shouldKeepAlive = false;
    const verdict = this.#judge(snapshot, head, req.socket);
    switch (verdict.kind) {
      case 'forward':
        return forward(named(context, verdict), verdict, plain);
      case 'respond':
        return respond(named(context, verdict), verdict, plain);
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

  /** A request with an Upgrade, as node's server gives it: its parser has let go of the connection. */
  onUpgrade(server: Server, req: IncomingMessage, socket: Socket, rest: Buffer): void {
    // First of all: an upgraded socket has no listener of its own, and a reset would end the process.
    socket.on('error', ignore);
    this.#handshakes++;
    void this.#take(this.#read(req), { server, socket, rest });
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
  async #upgrade({ snapshot, context, head }: Asked, released: Released): Promise<void> {
    const { server, socket, rest } = released;
    if (!wantsWebSocket(head) && head.method !== 'CONNECT')
      return putBack(server, socket, headWithoutUpgrade(head), rest);
    const verdict = this.#judge(snapshot, head, socket);
    const known = named(context, verdict);
    if (verdict.kind === 'reject') return this.#refuse(known, socket, verdict.rejection, modeOf(verdict));
    if (verdict.kind !== 'splice' && verdict.kind !== 'terminate') return void socket.destroy();
    if (this.#draining) return this.#refuse(known, socket, reject('draining'), verdict.kind);
    const { name, websocket } = verdict.route;
    const permit = this.#options.admission.acquire(name, known.subject.client, websocket.config.limits);
    if (typeof permit === 'string') return this.#refuse(known, socket, reject(permit), verdict.kind);
    await this.#open(known, verdict, released, permit);
  }

  /** Runs the action; the permit stays with the session where one opens, and comes back here where none does. */
  async #open(context: RouteContext, verdict: Upgrade, { socket, rest }: Released, permit: () => void): Promise<void> {
    const gone = new Departure();
    const onClose = (): void => gone.tell();
    socket.on('close', onClose);
    let opened = false;
    try {
      const client = { socket, rest, gone, permit };
      const action = verdict.kind === 'terminate' ? terminate : this.#options.splice;
      const outcome = await action(context, verdict, client);
      opened = outcome === 'opened';
      if (typeof outcome !== 'string') this.#refuse(context, socket, outcome, verdict.kind);
    } catch (thrown) {
      const error = asGatewayError(thrown);
      // Whoever waits for this client must learn it also where its socket broke at the very last.
      if (error.code === 'client_gone') gone.tell();
      this.#failed(context, socket, verdict.kind, error);
    } finally {
      socket.removeListener('close', onClose);
      if (!opened) permit();
    }
  }

  /** The verdict, after what stands before any route: too many fields, too few descriptors. */
  #judge(snapshot: Snapshot, head: RequestHead, socket: Socket): Verdict {
    if (head.names.length > MOST_FIELDS)
      return refuse(reject('head_too_large', `a head has at most ${MOST_FIELDS} fields`));
    if (this.#options.crowded(socket)) return refuse(reject('limit'));
    return decide(snapshot.table, head);
  }

  #refuse(context: RouteContext, socket: Socket, rejection: Rejection, mode: Mode | null): void {
    rejectUpgrade(socket, rejection, context.subject.id);
    const { reason, status, detail } = rejection;
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

  /** Captures the snapshot, once, so that a reload can't mix two in one request. */
  #read(req: IncomingMessage): Asked {
    const snapshot = this.#options.snapshot();
    const received = readHead(req, 'encrypted' in req.socket, req.socket.remoteAddress ?? '');
    const head = vouchedScheme(received, snapshot.trusted);
    const client = readClient(head, snapshot.trusted, freshId());
    const subject = {
      id: client.id,
      route: null,
      client: client.address,
      method: head.method,
      host: fieldOf(head, 'host') ?? '',
      path: loggedPath(head.target),
    };
    const context = {
      services: snapshot.services,
      subject,
      client,
      origin: fieldOf(head, 'origin'),
      startedAt: performance.now(),
    };
    return { snapshot, head, context };
  }
}

/**
 * Refusals after which the connection has no next request: where framing was not understood none could be found, and a
 * greedy client or a crowded gateway should not go on.
 */
const LAST: ReadonlySet<Reason> = new Set(['malformed', 'head_too_large', 'limit']);

function fieldOf(head: RequestHead, name: string): string | null {
  const i = head.names.indexOf(name);
  return i === -1 ? null : (head.fields[2 * i + 1] as string);
}

/** The context once a route is known. Written out: this is done for every request, and a spread is slow. */
function named(context: RouteContext, { route }: Verdict): RouteContext {
  if (route === null) return context;
  const { services, subject, client, origin, startedAt } = context;
  const { id, client: address, method, host, path } = subject;
  const named = { id, route: route.name, client: address, method, host, path };
  return { services, subject: named, client, origin, startedAt };
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

function ignore(): void {}

/** An id in one piece: node puts a UUID together of twenty, which would all be kept as long as the id is. */
function freshId(): string {
  const id = randomUUID();
  Number(id);
  return id;
}
