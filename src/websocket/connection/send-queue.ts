// The send queue of one client: messages on their way through its socket, in order and bounded. Where the route
// configures it, the oldest of the messages that go to many is dropped for the newest; else session.ts closes a client
// that falls too far behind. The bound of all queues together is in session-memory.ts.
import { guarded } from '../../base/guard.ts';
import type { StreamConnection } from '../../net/fd-connection.ts';
import type { PreparedMessage } from '../frame.ts';
import type { MessageType } from '../handler.ts';
import type { Holder, SessionMemory } from './session-memory.ts';
import type { WsSocket } from './ws-socket.ts';

/** What a queued message costs beside its payload, so that many small ones count as the memory they take. */
const MESSAGE_COST = 256;
/** Pending bytes beyond which a client does not keep up, of a large queue. */
const BEHIND = 256 * 1024;
/** Bytes in the socket beyond which messages that may be dropped wait outside of it. */
const SOCKET_FILL = 64 * 1024;

/** Never written to. */
const NONE: QueuedMessage[] = [];

export interface SendQueuePolicy {
  /** Most bytes that may be pending for a client. */
  readonly size: number;
  readonly overflow: 'close' | 'drop_oldest';
}

/**
 * Batches what goes to one socket within one turn of the event loop: the first message leaves at once, and those that follow it
 * in the same turn leave together at its end.
 */
export class WriteBatcher {
  /** Counts turns in which anything was sent. */
  #turn = 0;
  #ending = false;
  #corked: StreamConnection[] = [];

  /** The number of this turn. */
  turn(): number {
    if (!this.#ending) {
      this.#ending = true;
      setImmediate(this.#end);
    }
    return this.#turn;
  }

  /** What is written to the socket from now on waits for the end of the turn. */
  cork(socket: StreamConnection): void {
    socket.cork();
    this.#corked.push(socket);
  }

  readonly #end = guarded('websocket', (): void => {
    const corked = this.#corked;
    this.#corked = [];
    this.#turn++;
    this.#ending = false;
    for (const socket of corked) socket.uncork();
  });
}

/** A message that waits outside of the socket. */
interface QueuedMessage {
  readonly size: number;
  readonly droppable: boolean;
  readonly write: () => void;
}

/** The owner of a send queue. */
export interface SendQueueOwner {
  /** A message was sent, or never will be; `empty`: it was the last one. */
  onSent(empty: boolean): void;
  /** Messages were dropped, and the next one is about to be sent. */
  onDropped(count: number): void;
  /** Ends the session at once: all send queues together are too large, and this one was chosen. */
  cut(reason: string): void;
}

/** What all send queues of a route share. */
export interface SendQueueRules {
  readonly policy: SendQueuePolicy;
  readonly batcher: WriteBatcher;
  readonly memory: SessionMemory;
}

export class SendQueue implements Holder {
  readonly #ws: WsSocket;
  readonly #socket: StreamConnection;
  readonly #rules: SendQueueRules;
  readonly #owner: SendQueueOwner;
  /** Messages that the socket has not taken yet. */
  #queued = 0;
  /** Empty for all but slow clients, which share one empty list. */
  #waiting: QueuedMessage[] = NONE;
  #waitingBytes = 0;
  #dropped = 0;
  /** The last turns in which a message was sent, and in which the socket was corked. */
  #sentIn = -1;
  #corkedTurn = -1;
  #settled = 0;
  #closed = false;

  constructor(ws: WsSocket, socket: StreamConnection, rules: SendQueueRules, owner: SendQueueOwner) {
    this.#ws = ws;
    this.#socket = socket;
    this.#rules = rules;
    this.#owner = owner;
  }

  /** Pending bytes, as the budget of all queues counts them. */
  get settled(): number {
    return this.#settled;
  }

  /** Nothing can be sent any more; drops what is queued. */
  close(): void {
    this.#closed = true;
    this.#waiting = NONE;
    this.#waitingBytes = 0;
    this.#settle();
  }

  giveUp(): void {
    this.close();
    this.#owner.cut('queues_full');
  }

  /** Whether anything is pending. */
  get empty(): boolean {
    return this.#queued === 0 && this.#waiting.length === 0;
  }

  /** Whether the client keeps up with what is sent to it. */
  get keepsUp(): boolean {
    return this.#pending() <= Math.min(BEHIND, this.#rules.policy.size / 4);
  }

  /** Queues a message; false where there is no room for it. */
  send(type: MessageType, data: Buffer): boolean {
    const taken = this.#enqueue(data.length, 'kept', () => this.#sendAlone(type, data));
    this.#settle();
    return taken;
  }

  /** The same for a message that goes to many, and that may be dropped before it was sent. */
  sendPrepared(message: PreparedMessage): boolean {
    const taken = this.#putPrepared(message);
    this.#settle();
    return taken;
  }

  #putPrepared(message: PreparedMessage): boolean {
    if (this.#waiting.length === 0 && this.#socketOwes() <= SOCKET_FILL) {
      this.#writePrepared(message);
      return true;
    }
    return this.#enqueue(message.frame.length, 'droppable', () => this.#writePrepared(message));
  }

  #enqueue(size: number, kind: 'kept' | 'droppable', write: () => void): boolean {
    const { policy } = this.#rules;
    if (policy.overflow === 'close' || (this.#waiting.length === 0 && this.#socketOwes() <= SOCKET_FILL)) {
      if (this.#pending() > policy.size) return false;
      write();
      return true;
    }
    if (this.#waiting === NONE) this.#waiting = [];
    this.#waiting.push({ size, droppable: kind === 'droppable', write });
    this.#waitingBytes += size + MESSAGE_COST;
    while (this.#pending() > policy.size && this.#waiting.length > 1) {
      if (!this.#dropOldest()) return false;
    }
    return true;
  }

  #dropOldest(): boolean {
    const index = this.#waiting.findIndex(({ droppable }) => droppable);
    const [oldest] = index === 0 ? [this.#waiting.shift()] : index > 0 ? this.#waiting.splice(index, 1) : [];
    if (!oldest) return false;
    this.#waitingBytes -= oldest.size + MESSAGE_COST;
    this.#dropped++;
    return true;
  }

  #sendAlone(type: MessageType, data: Buffer): void {
    this.#queued++;
    this.#ws.send(data, { binary: type === 'binary' }, this.#onSent);
  }

  #writePrepared({ payload, frame }: PreparedMessage): void {
    this.#queued++;
    // ws compresses for each client by itself, and keeps what it compresses in order.
    if (this.#ws.compresses) this.#ws.send(payload, { binary: false }, this.#onSent);
    else {
      this.#batch(this.#rules.batcher.turn());
      this.#socket.write(frame, this.#onSent);
    }
  }

  /** The second message of a turn corks the socket until its end. */
  #batch(turn: number): void {
    if (this.#sentIn !== turn) this.#sentIn = turn;
    else if (this.#corkedTurn !== turn) {
      this.#corkedTurn = turn;
      this.#rules.batcher.cork(this.#socket);
    }
  }

  /** One closure serves all messages of the session. */
  readonly #onSent = guarded('websocket', (): void => {
    this.#queued--;
    if (this.#waiting.length > 0) this.#refill();
    this.#settle();
    this.#owner.onSent(this.empty);
  });

  #refill(): void {
    while (this.#socketOwes() <= SOCKET_FILL) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#waitingBytes -= next.size + MESSAGE_COST;
      if (this.#dropped > 0) {
        const count = this.#dropped;
        this.#dropped = 0;
        this.#owner.onDropped(count);
      }
      next.write();
    }
  }

  /** Reports the bytes pending now to the budget of all queues. */
  #settle(): void {
    const before = this.#settled;
    this.#settled = this.#closed ? 0 : this.#pending();
    if (this.#settled !== before) this.#rules.memory.settle(this, before);
  }

  /** What waits to be compressed is pending as well as what the socket has. */
  #socketOwes(): number {
    return this.#ws.bufferedAmount + this.#queued * MESSAGE_COST;
  }

  #pending(): number {
    return this.#socketOwes() + this.#waitingBytes;
  }
}
