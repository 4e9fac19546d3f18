// Every handshake, step by step: its head is read (incoming.ts) and decided (decide-incoming.ts), access.ts admits it, then
// the action of its verdict runs. An error in any step is caught here and becomes an answer and an event. Plain requests are in
// requests.ts.
import type { Socket } from 'node:net';
import type { RouteContext } from '../actions/context.ts';
import { HandshakeResources } from '../actions/handshake-resources.ts';
import { peerOf, setPeer } from '../actions/peer.ts';
import { SpliceError } from '../actions/reach.ts';
import { ReadAhead } from '../actions/read-ahead.ts';
import { passUpgrade, refusalOf, rejectUpgrade } from '../actions/reject.ts';
import { respondUpgrade } from '../actions/respond.ts';
import type { Splice } from '../actions/splice.ts';
import { terminate } from '../actions/terminate.ts';
import type { PassthroughResponse } from '../auth/authenticator.ts';
import { background, ignore } from '../base/guard.ts';
import { asGatewayError, statusOf } from '../errors.ts';
import type { HandshakeFields } from '../events/handshake.ts';
import type { Mode } from '../events.ts';
import { isRejection, type Rejection } from '../handshake/rejection.ts';
import { shownFields } from '../handshake/shown-fields.ts';
import { valuesOf } from '../http/fields.ts';
import type { MessageLike, RequestHead } from '../http/head.ts';
import { ClientClosed } from '../net/client-closed.ts';
import type { Connection, FdConnection, StreamConnection } from '../net/fd-connection.ts';
import type { Verdict } from '../routing/decide.ts';
import type { Snapshot } from '../runtime/snapshot.ts';
import { type AccessPhase, isGranted } from './access.ts';
import type { ChallengeText } from './challenge.ts';
import { decideIncoming, type GatewayState } from './decide-incoming.ts';
import { DisconnectWatch, type WatchClient } from './disconnect-watch.ts';
import { type Incoming, readIncoming, withRoute } from './incoming.ts';

export interface HandshakesOptions {
  /** Returns the current snapshot. */
  readonly snapshot: () => Snapshot;
  readonly access: AccessPhase;
  readonly splice: Splice;
  /** Watches clients whose connections are not sockets of node's. */
  readonly watchClient: WatchClient;
  readonly challengeText: ChallengeText;
}

/** The connection of a handshake; no parser reads it any more. */
interface Released {
  /** Of the handshake. */
  readonly head: RequestHead;
  readonly connection: Connection;
  readonly ahead: ReadAhead;
  readonly clientClosed: ClientClosed;
  /** Returns it to the server that accepted it, with the received part of its next request; null if none can follow. */
  readonly returnToServer: ((rest: Buffer) => void) | null;
}

/** A handshake that was read, and its verdict. */
interface Decided {
  readonly incoming: Incoming;
  readonly verdict: Verdict;
}

/** The result for an offered handshake; `declined`: nothing was done. */
export type Offered = 'taken' | 'declined';

export class Handshakes {
  readonly #options: HandshakesOptions;
  readonly #state: Readonly<GatewayState>;
  readonly #disconnectWatch: DisconnectWatch;
  #underWay = 0;

  constructor(options: HandshakesOptions, state: Readonly<GatewayState>) {
    this.#options = options;
    this.#state = state;
    this.#disconnectWatch = new DisconnectWatch(options.watchClient);
  }

  /** The number of handshakes without an answer. */
  underWay(): number {
    return this.#underWay;
  }

  /**
   * A handshake that has come whole with its connection. It is taken where its verdict is `splice`. All else is declined:
   * it is for the listener's server, which reads and decides it once more. `bytes` holds what came behind its head, and is not
   * kept. `returnToServer` gives the connection to that server later.
   */
  offer(
    message: MessageLike,
    connection: FdConnection,
    bytes: Buffer,
    returnToServer: (socket: Socket, rest: Buffer) => void,
  ): Offered {
    const decided = this.#decide(message, connection, connection);
    if (decided === null) return 'taken';
    const { incoming, verdict } = decided;
    if (verdict.kind !== 'splice') return 'declined';
    const ahead = new ReadAhead(bytes.length === 0 ? NOTHING : Buffer.from(bytes));
    const again = (rest: Buffer): void => {
      const socket = connection.socket();
      setPeer(socket, peerOf(connection));
      returnToServer(socket, rest);
    };
    const { head } = incoming;
    const released = { head, connection, ahead, clientClosed: new ClientClosed(), returnToServer: again };
    const watched = this.#disconnectWatch.watch(released);
    const run = this.#run(withRoute(incoming.context, verdict), verdict, released);
    this.#track(connection, run, () => this.#disconnectWatch.forget(watched));
    return 'taken';
  }

  /** Takes a handshake on an HTTP/2 stream: `connection` is the stream, `below` the connection that it shares. */
  onStream(message: MessageLike, connection: StreamConnection, below: Socket): void {
    setPeer(connection, peerOf(below));
    const decided = this.#decide(message, below, connection);
    if (decided !== null) this.#begin(decided, connection, NOTHING, null);
  }

  /**
   * A handshake, or a CONNECT, whose connection nobody reads any more, paused: `rest` came behind its head, and no earlier
   * answer is still to be written. `returnToServer` gives it back to who read it.
   */
  onReleased(message: MessageLike, socket: Socket, rest: Buffer, returnToServer: (rest: Buffer) => void): void {
    const decided = this.#decide(message, socket, socket);
    if (decided !== null) this.#begin(decided, socket, rest, returnToServer);
  }

  /** Reports an Upgrade to anything but `websocket`, which the server ignores. */
  dropUpgrade(message: MessageLike, connection: Socket): void {
    reportDropped(readIncoming(message, connection, this.#options.snapshot()));
  }

  /**
   * Reads and decides a handshake that came on `from`. Null where that broke: it is answered on `connection` then, without an
   * id, and there is no event but the defect's.
   */
  #decide(message: MessageLike, from: Connection, connection: Connection): Decided | null {
    try {
      const incoming = readIncoming(message, from, this.#options.snapshot());
      return { incoming, verdict: decideIncoming(incoming, this.#state) };
    } catch (thrown) {
      rejectUpgrade(connection, refusalOf(asGatewayError(thrown, 'handshake')), null);
      return null;
    }
  }

  #begin(
    { incoming, verdict }: Decided,
    connection: StreamConnection,
    rest: Buffer,
    returnToServer: Released['returnToServer'],
  ): void {
    const ahead = new ReadAhead(rest);
    const { head } = incoming;
    const released = { head, connection, ahead, clientClosed: new ClientClosed(), returnToServer };
    ahead.watch(connection, released.clientClosed);
    this.#track(connection, this.#run(withRoute(incoming.context, verdict), verdict, released));
  }

  /** Counts a handshake until it is answered; a defect ends its connection. */
  #track(connection: Connection, run: Promise<void>, onOver: () => void = ignore): void {
    this.#underWay++;
    const over = run.finally(() => {
      this.#underWay--;
      onOver();
    });
    background('handshake', over, () => connection.destroy());
  }

  /** Runs the action of a verdict, and releases the resources unless a session has opened. Never rejects. */
  async #run(context: RouteContext, verdict: Verdict, released: Released): Promise<void> {
    const resources = new HandshakeResources();
    try {
      await this.#carryOut(context, verdict, released, resources);
    } catch (thrown) {
      fail(context, released, verdict, thrown);
    } finally {
      resources.endHandshake();
    }
  }

  /** The access phase, then the action. */
  async #carryOut(
    context: RouteContext,
    verdict: Verdict,
    released: Released,
    resources: HandshakeResources,
  ): Promise<void> {
    const { connection, ahead, clientClosed } = released;
    if (verdict.kind === 'reject') return refuse(context, released, verdict.rejection, verdict);
    // Handshakes never get this verdict.
    if (verdict.kind === 'forward') return void connection.destroy();
    const { access, splice } = this.#options;
    const result =
      verdict.kind === 'respond'
        ? await access.plain(context, verdict, () => clientClosed)
        : await access.handshake(context, verdict, { clientClosed, resources });
    if (isRejection(result)) return refuse(context, released, result, verdict);
    if (!isGranted(result)) {
      ahead.take();
      passUpgrade(connection, result, context.subject);
      return rejected(context, released, { ...result, reason: 'auth', detail: passedDetail(result) }, verdict);
    }
    if (verdict.kind === 'respond') {
      ahead.take();
      return respondUpgrade(result.context, verdict, connection);
    }
    const returnToServer = this.#state.draining ? null : released.returnToServer;
    const client = { connection, ahead, clientClosed, returnToServer, resources };
    const refused =
      verdict.kind === 'terminate'
        ? await terminate(result.context, verdict, client)
        : await splice(result.context, verdict, client);
    if (refused !== null) refuse(result.context, released, refused, verdict);
  }
}

const NOTHING = Buffer.alloc(0);

/** Reports a dropped Upgrade, so that the log explains it. */
export function reportDropped({ context, head }: Incoming): void {
  const upgrade = valuesOf(head, 'upgrade').join(', ');
  context.services.emit({ type: 'upgrade_dropped', ...context.subject, upgrade });
}

function refuse(context: RouteContext, released: Released, rejection: Rejection, verdict: Verdict): void {
  released.ahead.take();
  rejectUpgrade(released.connection, rejection, context.subject);
  rejected(context, released, rejection, verdict);
}

function rejected(
  { services, subject }: RouteContext,
  { head }: Released,
  { reason, status, detail, limit }: Omit<Rejection, 'fields'>,
  verdict: Verdict,
): void {
  const fields = fieldsOfHandshake(head, verdict);
  services.emit({ ...subject, type: 'handshake_rejected', ...fields, reason, status, detail, limit });
}

/** Answers and reports an error. */
function fail(
  context: RouteContext,
  { head, connection, ahead, clientClosed }: Released,
  verdict: Verdict,
  thrown: unknown,
): void {
  const { services, subject } = context;
  const error = asGatewayError(thrown, 'handshake', subject.id);
  // What waits for this client is notified also where its socket broke at the last moment.
  if (error.code === 'client_gone') clientClosed.notify();
  ahead.take();
  rejectUpgrade(connection, refusalOf(error), subject);
  services.emit({
    ...subject,
    type: 'handshake_failed',
    ...fieldsOfHandshake(head, verdict),
    reason: error.code,
    status: statusOf(error),
    detail: error.message,
    at: error instanceof SpliceError ? error.at : null,
  });
}

/** What the log says of an answer that another server gave in our place. */
export function passedDetail({ status }: PassthroughResponse): string {
  return `the server that judges credentials answered ${status}`;
}

/** What is told of a handshake that gets no session. */
function fieldsOfHandshake(head: RequestHead, { route }: Verdict): HandshakeFields & { readonly mode: Mode | null } {
  const rule = route?.websocket ?? null;
  if (rule === null) return { mode: null, ...shownFields(head, null) };
  return { mode: rule.config.mode, ...shownFields(head, rule.subprotocols.subprotocols) };
}
