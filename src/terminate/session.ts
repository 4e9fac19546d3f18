// One terminated session from its 101 to its end: what it may hold in memory, when it is ended, and how it ended.
// Framing is ws's (wire.ts), time is pulse.ts's, messages are the handler's.
import type { Socket } from 'node:net';
import { systemCode } from '../errors.ts';
import type { Emit, PingResult, SessionEnd } from '../events.ts';
import { type Ending, truncateReason, VIOLATIONS } from './ending.ts';
import type { PreparedMessage } from './frame.ts';
import type { Connection, Conversation, MessageType, Opener } from './handler.ts';
import type { Carrying, MessageCounts, RouteMeter } from './meter.ts';
import { type Corks, Outbox, type OutboxPolicy } from './outbox.ts';
import { Pulse, type Timing } from './pulse.ts';
import { MessageRates, type RateLimits } from './rate.ts';
import type { Timed, Wheel } from './wheel.ts';
import type { OpenConnection, Wire } from './wire.ts';

/** Milliseconds that a closing handshake may take where its starter names no deadline. */
const CLOSE_WAIT_MS = 5000;
/** Pongs on their way at a time; of further pings only the newest is answered (RFC 6455 §5.5.3). */
const MOST_PONGS = 16;

/** What the sessions of one route share. */
export interface SessionContext {
  readonly route: string;
  readonly wheel: Wheel;
  readonly meter: RouteMeter;
  readonly emit: Emit;
  readonly corks: Corks;
  readonly sendQueue: OutboxPolicy;
  readonly limits: RateLimits;
}

export class TerminatedSession implements Connection, Carrying, Timed {
  readonly id: string;
  readonly #wire: Wire;
  readonly #socket: Socket;
  readonly #before: OpenConnection['before'];
  readonly #context: SessionContext;
  readonly #pulse: Pulse;
  readonly #messages: Record<'fromClient' | 'toClient', number> = { fromClient: 0, toClient: 0 };
  #conversation: Conversation | undefined;
  /** How the gateway ended it; unset: the client does. */
  #ending: Ending | undefined;
  #reset = false;
  /** Once the closing handshake has begun: when the connection is cut. */
  #deadline = Number.POSITIVE_INFINITY;
  readonly #outbox: Outbox;
  readonly #rates: MessageRates;
  /** When a message last came or went, as Unix time in milliseconds. */
  #activeAt = Date.now();
  /** Why the client is not read from. */
  readonly #held = { owed: false, handler: false };
  #pongs = 0;
  #unanswered: Buffer | undefined;

  constructor(open: OpenConnection, timing: Timing, context: SessionContext) {
    this.id = open.id;
    this.#wire = open.wire;
    this.#socket = open.socket;
    this.#before = open.before;
    this.#context = context;
    this.#pulse = new Pulse(timing, context.wheel.now());
    this.#rates = new MessageRates(context.limits, context.wheel.now());
    this.#outbox = new Outbox({
      wire: open.wire,
      socket: open.socket,
      policy: context.sendQueue,
      corks: context.corks,
      onSent: (empty) => {
        this.#pulse.wrote(context.wheel.now());
        if (empty) this.#release('owed');
      },
      onDropped: (count) => this.#guard(() => this.#conversation?.dropped?.(count)),
    });
  }

  /** Gives the connection to the handler; `onEnd` is called once, never from inside here. */
  start(opener: Opener, onEnd: (end: SessionEnd) => void): void {
    const { wheel, meter } = this.#context;
    const wire = this.#wire;
    const release = meter.add(this);
    this.#socket.on('error', () => {
      this.#reset = true;
    });
    // Before ws's own listener, so that the pulse knows the chunk when ws tells of a pong in it.
    this.#socket.prependListener('data', (chunk: Buffer) => {
      if (this.#pulse.read(chunk.length, wheel.now())) this.#report('pong');
    });
    this.#socket.on('end', () => this.#onClosing());
    wire.on('closing', () => this.#onClosing());
    wire.on('error', (error) => {
      this.#ending ??= VIOLATIONS[systemCode(error) ?? ''];
    });
    wire.on('message', (data, binary) => this.#onMessage(data as Buffer, binary ? 'binary' : 'text'));
    wire.on('ping', (data) => this.#onPing(data));
    wire.on('pong', (data) => this.#pulse.pong(data));
    wire.once('close', (code) => {
      wheel.remove(this);
      release();
      const end = this.#end(code);
      this.#guard(() => this.#conversation?.closed(end));
      onEnd(end);
    });
    wheel.schedule(this, this.#pulse.next());
    this.#guard(() => {
      this.#conversation = opener.open(this);
    });
  }

  bytesFromClient(): number {
    return this.#socket.bytesRead - this.#before.read;
  }

  /** Without what still waits in memory. */
  bytesToClient(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength - this.#before.written;
  }

  get activeAt(): number {
    return this.#activeAt;
  }

  send(type: MessageType, data: string | Buffer): boolean {
    if (this.#closing()) return true;
    // Always bytes: of a waiting string node would count characters.
    return this.#sent(type, this.#outbox.send(type, typeof data === 'string' ? Buffer.from(data) : data));
  }

  sendPrepared(message: PreparedMessage): boolean {
    if (this.#closing()) return true;
    return this.#sent('text', this.#outbox.sendPrepared(message));
  }

  #sent(type: MessageType, taken: boolean): boolean {
    if (!taken) {
      this.close(1013, 'slow_consumer');
      return false;
    }
    this.#pulse.wrote(this.#context.wheel.now());
    this.#count('toClient', this.#context.meter.toClient, type);
    return this.#outbox.keepsUp;
  }

  hold(): void {
    if (!this.#outbox.empty) this.#hold('owed');
  }

  pause(): void {
    this.#hold('handler');
  }

  resume(): void {
    this.#release('handler');
  }

  /** Starts the closing handshake, and cuts the connection after `deadlineMs`. Under way already: only the sooner deadline counts. */
  close(code: number, reason: string, deadlineMs: number = CLOSE_WAIT_MS): void {
    const deadline = Math.min(this.#deadline, this.#context.wheel.now() + deadlineMs);
    if (!this.#closing()) {
      this.#wire.close(code, truncateReason(reason));
      this.#ending = { code, initiator: 'gateway', reason };
      // What the client still sends is read and dropped, until its own Close comes.
      this.#release('owed');
      this.#release('handler');
    }
    this.#expireAt(deadline);
  }

  /** Ends the session at once; there is no Close unless one has been sent. */
  cut(reason: string): void {
    if (this.#ending) this.#ending = { ...this.#ending, reason };
    else if (!this.#closing()) this.#ending = { code: null, initiator: 'gateway', reason };
    this.#wire.terminate();
  }

  look(now: number): void {
    if (!this.#closing()) this.#act(now);
    else if (now >= this.#deadline) this.#wire.terminate();
    const next = this.#closing() ? this.#deadline : this.#pulse.next();
    if (next > now) this.#context.wheel.schedule(this, next);
  }

  #act(now: number): void {
    const due = this.#pulse.due(now);
    if (due === 'ping') this.#ping(now);
    else if (due === 'ping_timeout') {
      this.#report('timeout');
      this.cut(due);
    } else if (due) this.close(1001, due);
  }

  #closing(): boolean {
    return this.#wire.readyState !== this.#wire.OPEN;
  }

  /** A Close was sent or has come, or the client's FIN: the rest is to be over soon. */
  #onClosing(): void {
    this.#expireAt(Math.min(this.#deadline, this.#context.wheel.now() + CLOSE_WAIT_MS));
  }

  #expireAt(at: number): void {
    this.#deadline = at;
    if (this.#wire.readyState !== this.#wire.CLOSED) this.#context.wheel.schedule(this, at);
  }

  #end(wireCode: number): SessionEnd {
    return {
      fromClient: { bytes: this.bytesFromClient(), messages: this.#messages.fromClient },
      toClient: { bytes: this.bytesToClient(), messages: this.#messages.toClient },
      discarded: 0,
      // No Close of the client's came although the gateway was ending the session.
      cut: this.#ending !== undefined && wireCode === 1006,
      ...(this.#ending ?? this.#endOfClient(wireCode)),
    };
  }

  /** How a session ended that the gateway did not end; 1006 is ws's word for "no Close came" (RFC 6455 §7.1.5). */
  #endOfClient(wireCode: number): Ending {
    if (wireCode !== 1006) return { code: wireCode, initiator: 'client', reason: 'closed' };
    return { code: null, initiator: 'client', reason: this.#reset ? 'reset' : 'closed' };
  }

  #onMessage(data: Buffer, type: MessageType): void {
    if (this.#closing()) return;
    this.#count('fromClient', this.#context.meter.fromClient, type);
    if (!this.#rates.take(data.length, this.#context.wheel.now())) return void this.close(1008, 'rate_limit');
    this.#guard(() => this.#conversation?.message(type, data));
  }

  #count(direction: 'fromClient' | 'toClient', route: MessageCounts, type: MessageType): void {
    this.#messages[direction]++;
    route[type]++;
    this.#activeAt = Date.now();
  }

  #onPing(payload: Buffer): void {
    if (this.#closing()) return;
    if (this.#pongs < MOST_PONGS) this.#pong(payload);
    else this.#unanswered = Buffer.from(payload);
  }

  #pong(payload: Buffer): void {
    this.#pongs++;
    this.#wire.pong(payload, false, () => {
      this.#pongs--;
      const newest = this.#unanswered;
      this.#unanswered = undefined;
      if (newest && !this.#closing()) this.#pong(newest);
    });
  }

  #ping(now: number): void {
    const payload = this.#pulse.ping(now);
    if (!payload) return;
    this.#report('sent');
    this.#wire.ping(payload, false, () => {
      const { wheel } = this.#context;
      this.#pulse.pinged(wheel.now());
      if (!this.#closing()) wheel.schedule(this, this.#pulse.next());
    });
  }

  #report(result: PingResult['result']): void {
    this.#context.emit({ type: 'ping', route: this.#context.route, result });
  }

  #hold(why: 'owed' | 'handler'): void {
    if (this.#closing()) return;
    const reading = !this.#held.owed && !this.#held.handler;
    this.#held[why] = true;
    if (!reading) return;
    this.#pulse.hold();
    this.#wire.pause();
  }

  #release(why: 'owed' | 'handler'): void {
    if (!this.#held[why]) return;
    this.#held[why] = false;
    if (this.#held.owed || this.#held.handler) return;
    this.#pulse.release(this.#context.wheel.now());
    this.#wire.resume();
  }

  /** A handler's defect costs its own connection only. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      const { route, emit } = this.#context;
      const message = error instanceof Error ? error.message : String(error);
      emit({ type: 'notice', level: 'error', message: `a handler failed: ${message}`, data: { route, id: this.id } });
      this.close(1011, 'handler_failed');
    }
  }
}
