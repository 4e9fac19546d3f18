// One terminated session from its 101 to its end: what it may hold in memory, when it is ended, and how it ended.
// Framing is ws's (ws-socket.ts), time is keepalive.ts's, messages are the handler's.

import { guarded, ignore, reportDefect } from '../../base/guard.ts';
import type { Timed } from '../../base/timer-wheel.ts';
import { systemCode } from '../../errors.ts';
import type { PingResult, SessionActivity, SessionEnd } from '../../events.ts';
import { CLOSE_TIMEOUT_MS } from '../../handshake/closing.ts';
import type { StreamConnection } from '../../net/fd-connection.ts';
import type { ConnectionDescription, Reachable } from '../connections.ts';
import type { PreparedMessage } from '../frame.ts';
import type { ConnectionHandler, ConnectionHandlerFactory, MessageType, WebSocketConnection } from '../handler.ts';
import { endOfClient, type SessionClose, truncateReason, VIOLATIONS } from './ending.ts';
import { Inbound } from './inbound.ts';
import { Keepalive, type Timing } from './keepalive.ts';
import { activityOf, type Carrying, type MessageCounts } from './meter.ts';
import { PongLimiter } from './pong-limiter.ts';
import { ReadPause } from './read-pause.ts';
import { SendQueue, type SendQueueOwner } from './send-queue.ts';
import type { SessionContext } from './session-context.ts';
import type { OpenConnection, WsSocket, WsSocketListener } from './ws-socket.ts';

export class TerminatedSession
  implements WebSocketConnection, Reachable, Carrying, Timed, WsSocketListener, SendQueueOwner
{
  readonly id: string;
  readonly #ws: WsSocket;
  readonly #socket: StreamConnection;
  readonly #before: OpenConnection['before'];
  readonly #context: SessionContext;
  readonly #keepalive: Keepalive;
  readonly #messages: Record<'fromClient' | 'toClient', number> = { fromClient: 0, toClient: 0 };
  #handler: ConnectionHandler | undefined;
  /** How the gateway ended it; unset: the client does. */
  #ending: SessionClose | undefined;
  /** Once the closing handshake has begun: when the connection is cut. */
  #deadline = Number.POSITIVE_INFINITY;
  readonly #sendQueue: SendQueue;
  readonly #inbound: Inbound;
  readonly #about: Pick<ConnectionDescription, 'client' | 'subprotocol' | 'openedAt'>;
  #user: string | null;
  #room: string | null = null;
  #onEnd: (end: SessionEnd) => void = ignore;
  /** When a message last came or went, as Unix time in milliseconds. */
  #activeAt = Date.now();
  readonly #readPause: ReadPause;
  #pongLimiter: PongLimiter | undefined;

  constructor(open: OpenConnection, timing: Timing, context: SessionContext) {
    const { ws, socket, client, user, subprotocol } = open;
    this.id = open.id;
    this.#user = user;
    this.#ws = ws;
    this.#socket = socket;
    this.#before = open.before;
    this.#about = { client, subprotocol, openedAt: Date.now() };
    this.#context = context;
    this.#keepalive = new Keepalive(timing, context.wheel.now());
    this.#readPause = new ReadPause(ws, this.#keepalive);
    this.#inbound = new Inbound({ ...context, mostInflated: ws.compresses ? context.limits.max_message : 0 }, this);
    this.#sendQueue = new SendQueue(ws, socket, context.sendQueue, this);
  }

  /** Gives the connection to the handler; `onEnd` is called once, never from inside here. */
  start(factory: ConnectionHandlerFactory, onEnd: (end: SessionEnd) => void): void {
    const { wheel, meter, connections } = this.#context;
    this.#onEnd = onEnd;
    this.#user = factory.user ?? this.#user;
    this.#room = factory.room ?? null;
    meter.add(this);
    connections.add(this.id, this);
    // Before ws's own listener, so that the keepalive has the chunk when ws reports a pong in it.
    const read = guarded(
      'websocket',
      (chunk: Buffer) => this.#onChunk(chunk),
      () => this.cut('internal'),
    );
    this.#socket.prependListener('data', read);
    this.#socket.on(
      'end',
      guarded('websocket', () => this.onClosing()),
    );
    this.#ws.notify(this);
    wheel.schedule(this, this.#keepalive.next());
    this.#openHandler(factory);
  }

  #onChunk(chunk: Buffer): void {
    const now = this.#context.wheel.now();
    if (this.#keepalive.read(chunk.length, now)) this.#report('pong');
    const excess = this.#inbound.chunk(chunk, now);
    if (excess !== null && !this.#closing()) this.close(1008, excess);
  }

  /** By itself, so that nothing that lives as long as the session keeps the factory and with it the handshake alive. */
  #openHandler(factory: ConnectionHandlerFactory): void {
    this.#guard(() => {
      this.#handler = factory.open(this);
    });
  }

  onError(error: Error): void {
    this.#ending ??= VIOLATIONS[systemCode(error) ?? ''];
  }

  onPong(payload: Buffer): void {
    if (!this.#keepalive.pong(payload)) this.#admit(0);
  }

  onClose(code: number): void {
    const { wheel, meter, connections } = this.#context;
    wheel.remove(this);
    meter.remove(this);
    connections.remove(this.id, this);
    this.#sendQueue.close();
    this.#inbound.close();
    const end = this.#end(code);
    this.#guard(() => this.#handler?.closed(end));
    this.#onEnd(end);
  }

  onSent(empty: boolean): void {
    this.#keepalive.wrote(this.#context.wheel.now());
    if (empty) this.#readPause.remove('owed', this.#context.wheel.now());
  }

  onDropped(count: number): void {
    this.#guard(() => this.#handler?.dropped?.(count));
  }

  bytesFromClient(): number {
    return this.#socket.bytesRead - this.#before.read;
  }

  /** Without what still waits in memory. */
  bytesToClient(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength - this.#before.written;
  }

  activity(): SessionActivity {
    return activityOf(this, this.#messages, this.#activeAt);
  }

  describe(): ConnectionDescription {
    return {
      ...{ id: this.id, route: this.#context.route, mode: 'terminate' as const, user: this.#user, room: this.#room },
      ...this.#about,
      activeAt: this.#activeAt,
    };
  }

  send(type: MessageType, data: string | Buffer): boolean {
    if (this.#closing()) return true;
    // Always bytes: of a waiting string node would count characters.
    return this.#sent(type, this.#sendQueue.send(type, typeof data === 'string' ? Buffer.from(data) : data));
  }

  sendPrepared(message: PreparedMessage): boolean {
    if (this.#closing()) return true;
    return this.#sent('text', this.#sendQueue.sendPrepared(message));
  }

  #sent(type: MessageType, taken: boolean): boolean {
    if (!taken) {
      this.close(1013, 'slow_consumer');
      return false;
    }
    this.#keepalive.wrote(this.#context.wheel.now());
    this.#count('toClient', this.#context.meter.toClient, type);
    return this.#sendQueue.keepsUp;
  }

  hold(): void {
    if (!this.#closing() && !this.#sendQueue.empty) this.#readPause.add('owed');
  }

  pause(): void {
    if (!this.#closing()) this.#readPause.add('handler');
  }

  resume(): void {
    this.#readPause.remove('handler', this.#context.wheel.now());
  }

  /** Starts the closing handshake, and cuts the connection after `deadlineMs`. Under way already: only the sooner deadline counts. */
  close(code: number, reason: string, deadlineMs: number = CLOSE_TIMEOUT_MS): void {
    const deadline = Math.min(this.#deadline, this.#context.wheel.now() + deadlineMs);
    if (!this.#closing()) {
      this.#ws.close(code, truncateReason(reason));
      this.#ending = { code, initiator: 'gateway', reason };
      // What the client still sends is read and dropped, until its own Close comes.
      this.#readPause.end(this.#context.wheel.now());
    }
    this.#expireAt(deadline);
  }

  /** Ends the session at once; there is no Close unless one has been sent. */
  cut(reason: string): void {
    if (this.#ending) this.#ending = { ...this.#ending, reason };
    else if (!this.#closing()) this.#ending = { code: null, initiator: 'gateway', reason };
    this.#ws.terminate();
  }

  look(now: number): void {
    if (!this.#closing()) this.#act(now);
    else if (now >= this.#deadline) this.#ws.terminate();
    const next = this.#closing() ? this.#deadline : this.#keepalive.next();
    if (next > now) this.#context.wheel.schedule(this, next);
  }

  #act(now: number): void {
    const due = this.#keepalive.due(now);
    if (due === 'ping') this.#ping(now);
    else if (due === 'ping_timeout') {
      this.#report('timeout');
      this.cut(due);
    } else if (due) this.close(1001, due);
  }

  #closing(): boolean {
    return this.#ws.readyState !== this.#ws.OPEN;
  }

  /** A Close was sent or has come, or the client's FIN: the rest is to be over soon. */
  onClosing(): void {
    this.#expireAt(Math.min(this.#deadline, this.#context.wheel.now() + CLOSE_TIMEOUT_MS));
  }

  #expireAt(at: number): void {
    this.#deadline = at;
    if (this.#ws.readyState !== this.#ws.CLOSED) this.#context.wheel.schedule(this, at);
  }

  #end(closeCode: number): SessionEnd {
    const { fromClient, toClient } = this.activity();
    return {
      fromClient,
      toClient,
      discarded: 0,
      // No Close of the client's came although the gateway was ending the session.
      cut: this.#ending !== undefined && closeCode === 1006,
      ...(this.#ending ?? endOfClient(closeCode, this.#socket.errored)),
    };
  }

  onMessage(data: Buffer, binary: boolean): void {
    if (this.#closing()) return;
    const type = binary ? 'binary' : 'text';
    this.#count('fromClient', this.#context.meter.fromClient, type);
    if (!this.#admit(data.length)) return;
    this.#guard(() => this.#handler?.message(type, data));
  }

  #count(direction: 'fromClient' | 'toClient', route: MessageCounts, type: MessageType): void {
    this.#messages[direction]++;
    route[type]++;
    this.#activeAt = Date.now();
  }

  /** Counts a message, or a frame that is as much work; false: it is to be ignored. */
  #admit(bytes: number): boolean {
    if (this.#closing()) return false;
    const excess = this.#inbound.count(1, bytes, this.#context.wheel.now());
    if (excess !== null) this.close(1008, excess);
    return excess === null;
  }

  onPing(payload: Buffer): void {
    if (!this.#admit(0)) return;
    this.#pongLimiter ??= new PongLimiter(this.#ws);
    this.#pongLimiter.answer(payload);
  }

  #ping(now: number): void {
    const payload = this.#keepalive.ping(now);
    if (!payload) return;
    this.#report('sent');
    this.#ws.ping(payload, false, () => {
      const { wheel } = this.#context;
      this.#keepalive.pinged(wheel.now());
      if (!this.#closing()) wheel.schedule(this, this.#keepalive.next());
    });
  }

  #report(result: PingResult['result']): void {
    this.#context.emit({ type: 'ping', route: this.#context.route, result });
  }

  /** A handler's defect costs its own connection only. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (thrown) {
      reportDefect('websocket', thrown, this.id);
      this.close(1011, 'handler_failed');
    }
  }
}
