// Every handshake, step by step: its head is read (incoming.ts) and decided (decide-incoming.ts), access.ts admits it, then
// the action of its verdict runs. What breaks in a step ends here, as an answer and an event. Plain requests are
// requests.ts.
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { RouteContext } from '../actions/context.ts';
import { peerOf, setPeer } from '../actions/peer.ts';
import { SpliceError } from '../actions/reach.ts';
import { ReadAhead } from '../actions/read-ahead.ts';
import { passUpgrade, refusalOf, rejectUpgrade } from '../actions/reject.ts';
import { respondUpgrade } from '../actions/respond.ts';
import type { Splice } from '../actions/splice.ts';
import { terminate } from '../actions/terminate.ts';
import type { PassthroughResponse } from '../auth/authenticator.ts';
import { background, ignore } from '../base/guard.ts';
import { asGatewayError, type GatewayError, statusOf } from '../errors.ts';
import type { Mode } from '../events.ts';
import { wantsWebSocket } from '../handshake/handshake.ts';
import { isRejection, type Rejection, reject } from '../handshake/rejection.ts';
import { valuesOf } from '../http/fields.ts';
import type { MessageLike } from '../http/head.ts';
import type { Permit } from '../limits/permit.ts';
import { ClientClosed } from '../net/client-closed.ts';
import { asSocket, type Connection, type FdConnection } from '../net/fd-connection.ts';
import type { Respond, Upgrade, Verdict } from '../routing/decide.ts';
import type { Snapshot } from '../runtime/snapshot.ts';
import { type AccessPhase, isGranted } from './access.ts';
import { decideIncoming } from './decide-incoming.ts';
import { DisconnectWatch, type WatchClient } from './disconnect-watch.ts';
import { headWithoutUpgrade, replayAsPlainHttp, returnToServer } from './downgrade.ts';
import { type Incoming, readIncoming, withRoute } from './incoming.ts';
import { afterEarlierAnswers, answerable, pendingAnswer } from './pipelining.ts';

export interface HandshakesOptions {
  /** The snapshot that is current now. */
  readonly snapshot: () => Snapshot;
  readonly access: AccessPhase;
  readonly splice: Splice;
  /** For clients whose connections are no sockets of node's. */
  readonly watchClient: WatchClient;
}

/** The connection of a handshake that no parser reads any more. */
interface Released {
  readonly connection: Connection;
  readonly ahead: ReadAhead;
  readonly clientClosed: ClientClosed;
  /** Gives it back to the server that accepted it, with what has come of its next request. */
  readonly returnToServer: (socket: Socket, rest: Buffer) => void;
}

/** One that node's server has released. */
interface ReleasedSocket extends Released {
  readonly connection: Socket;
  readonly server: Server;
}

export class Handshakes {
  readonly #options: HandshakesOptions;
  readonly #disconnectWatch: DisconnectWatch;
  #draining = false;
  #underWay = 0;

  constructor(options: HandshakesOptions) {
    this.#options = options;
    this.#disconnectWatch = new DisconnectWatch(options.watchClient);
  }

  /** From now on handshakes are refused. */
  startDraining(): void {
    this.#draining = true;
  }

  /** How many handshakes are being decided. */
  underWay(): number {
    return this.#underWay;
  }

  /** A request with an Upgrade, as node's server gives it: its parser has released the connection. */
  onUpgrade(server: Server, req: IncomingMessage, socket: Socket, rest: Buffer): void {
    // First of all: an upgraded socket has no listener of its own, and a reset would end the process.
    // It may have been here before.
    socket.off('error', ignore).on('error', ignore);
    this.#underWay++;
    const released = {
      ...{ server, connection: socket, ahead: new ReadAhead(rest), clientClosed: new ClientClosed() },
      returnToServer: (again: Socket, bytes: Buffer) => returnToServer(server, again, bytes),
    };
    background('handshake', this.#take(released, req), () => socket.destroy());
  }

  /**
   * A handshake that has come whole with its connection. Returns true where its verdict is `splice`: it is taken. All else is
   * for node's server, which reads and decides it once more. `bytes` holds what came behind its head, and is not kept.
   * `returnToServer` gives the connection to node's server later.
   */
  onFirst(
    message: MessageLike,
    connection: FdConnection,
    bytes: Buffer,
    returnToServer: (socket: Socket, rest: Buffer) => void,
  ): boolean {
    const incoming = readIncoming(message, connection, this.#options.snapshot());
    if (this.#draining || !wantsWebSocket(incoming.head)) return false;
    const verdict = decideIncoming(incoming);
    if (verdict.kind !== 'splice') return false;
    const ahead = new ReadAhead(bytes.length === 0 ? NOTHING : Buffer.from(bytes));
    this.#underWay++;
    const released = { connection, ahead, clientClosed: new ClientClosed(), returnToServer };
    const opening = this.#first(withRoute(incoming.context, verdict), verdict, released);
    background('handshake', opening, () => connection.destroy());
    return true;
  }

  async #first(
    context: RouteContext,
    verdict: Upgrade,
    released: Released & { connection: FdConnection },
  ): Promise<void> {
    const handle = this.#disconnectWatch.watch(released);
    try {
      await this.#open(context, verdict, released);
    } finally {
      this.#disconnectWatch.forget(handle);
      this.#underWay--;
    }
  }

  async #take(released: ReleasedSocket, req: IncomingMessage): Promise<void> {
    const { connection, ahead, clientClosed } = released;
    let incoming: Incoming | null = null;
    try {
      incoming = readIncoming(req, connection, this.#options.snapshot());
      // What is no handshake goes back to node's server, which reads on by itself.
      if (wantsWebSocket(incoming.head)) ahead.watch(connection, clientClosed);
      const free = pendingAnswer(connection) === null ? answerable(connection) : await afterEarlierAnswers(connection);
      if (free) await this.#upgrade(incoming, released);
    } catch (thrown) {
      ahead.take();
      if (incoming === null) throw thrown;
      failed(incoming.context, connection, 'splice', asGatewayError(thrown, 'handshake', incoming.context.subject.id));
    } finally {
      this.#underWay--;
    }
  }

  /** Of a connection that can be answered on. */
  async #upgrade(incoming: Incoming, released: ReleasedSocket): Promise<void> {
    const { context, head } = incoming;
    const { server, connection, ahead } = released;
    if (!wantsWebSocket(head) && head.method !== 'CONNECT') {
      reportDropped(incoming);
      return replayAsPlainHttp(server, connection, headWithoutUpgrade(head), ahead.take());
    }
    const verdict = decideIncoming(incoming);
    const known = withRoute(context, verdict);
    if (verdict.kind === 'reject') return refuse(known, released, verdict.rejection, modeOf(verdict));
    if (verdict.kind === 'respond') return this.#respond(known, verdict, released);
    // No handshake has this verdict.
    if (verdict.kind === 'forward') return void connection.destroy();
    if (this.#draining) return refuse(known, released, reject('draining'), verdict.kind);
    await this.#open(known, verdict, released);
  }

  /** A redirect or a fixed answer, in place of a session. */
  async #respond(context: RouteContext, verdict: Respond, released: ReleasedSocket): Promise<void> {
    const { connection, ahead, clientClosed } = released;
    const entry = await this.#options.access.plain(context, verdict, () => clientClosed);
    if (isRejection(entry)) return refuse(context, released, entry, null);
    ahead.take();
    if (isGranted(entry)) return respondUpgrade(entry.context, verdict, connection);
    passUpgrade(connection, entry, context.subject);
    rejected(context, { ...entry, reason: 'auth', detail: passedDetail(entry) }, null);
  }

  /**
   * Admits a handshake and runs its action. The session keeps the permit where one opens, else it is released here. Never
   * rejects.
   */
  async #open(context: RouteContext, verdict: Upgrade, released: Released): Promise<void> {
    const { connection, ahead, clientClosed } = released;
    let permit: Permit | null = null;
    try {
      const entry = await this.#options.access.handshake(context, verdict, clientClosed);
      if (!isGranted(entry)) {
        if (isRejection(entry)) return refuse(context, released, entry, verdict.kind);
        ahead.take();
        passUpgrade(asSocket(connection), entry, context.subject);
        return rejected(context, { ...entry, reason: 'auth', detail: passedDetail(entry) }, verdict.kind);
      }
      permit = entry.permit;
      const again = (rest: Buffer): void => {
        const socket = asSocket(connection);
        setPeer(socket, peerOf(connection));
        released.returnToServer(socket, rest);
      };
      const client = { connection, ahead, clientClosed, permit, returnToServer: this.#draining ? null : again };
      const action = verdict.kind === 'terminate' ? terminate : this.#options.splice;
      const outcome = await action(entry.context, verdict, client);
      if (outcome === 'opened') permit = null;
      if (typeof outcome !== 'string') refuse(entry.context, released, outcome, verdict.kind);
    } catch (thrown) {
      const error = asGatewayError(thrown, 'handshake', context.subject.id);
      // What waits for this client is notified also where its socket broke at the last moment.
      if (error.code === 'client_gone') clientClosed.notify();
      ahead.take();
      failed(context, connection, verdict.kind, error);
    } finally {
      permit?.release();
    }
  }
}

const NOTHING = Buffer.alloc(0);

/** Reports that an Upgrade is dropped: its client will look for the reason. */
export function reportDropped({ context, head }: Incoming): void {
  const upgrade = valuesOf(head, 'upgrade').join(', ');
  context.services.emit({ type: 'upgrade_dropped', ...context.subject, upgrade });
}

function refuse(context: RouteContext, { connection, ahead }: Released, rejection: Rejection, mode: Mode | null): void {
  ahead.take();
  rejectUpgrade(asSocket(connection), rejection, context.subject);
  rejected(context, rejection, mode);
}

function rejected(
  context: RouteContext,
  { reason, status, detail }: Omit<Rejection, 'fields'>,
  mode: Mode | null,
): void {
  const { services, subject, origin } = context;
  services.emit({ ...subject, type: 'handshake_rejected', mode, reason, status, detail, origin });
}

function failed({ services, subject }: RouteContext, connection: Connection, mode: Mode, error: GatewayError): void {
  rejectUpgrade(asSocket(connection), refusalOf(error), subject);
  services.emit({
    ...subject,
    type: 'handshake_failed',
    mode,
    reason: error.code,
    status: statusOf(error),
    detail: error.message,
    at: error instanceof SpliceError ? error.at : null,
  });
}

export function passedDetail({ status }: PassthroughResponse): string {
  return `the server that judges credentials answered ${status}`;
}

function modeOf({ route }: Verdict): Mode | null {
  return route?.websocket?.config.mode ?? null;
}
