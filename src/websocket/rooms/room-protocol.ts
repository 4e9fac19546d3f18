// One member's side of a room: messages for it that come before it is ready are queued here, in order, and then go to
// its connection. What its messages mean is rooms-text.ts or rooms-json.ts.
import { background, reportDefect } from '../../base/guard.ts';
import type { MemoryBudget } from '../../base/memory-budget.ts';
import type { Excerpt, Joined, Span } from '../broker/broker.ts';
import type { PreparedMessage } from '../frame.ts';
import type { ConnectionHandler, MessageType, WebSocketConnection } from '../handler.ts';

/** Messages that may wait for a member that is catching up, and their bytes. */
const MAX_HELD = 10_000;
const MAX_HELD_BYTES = 4 * 1024 * 1024;
/** Most pending requests of one member, and their bytes; beyond them it is not read from. */
const MAX_REQUESTS = 64;
const MAX_REQUEST_BYTES = 1024 * 1024;

export interface Permissions {
  readonly publish: boolean;
  readonly subscribe: boolean;
}

export interface RoomProtocolOptions {
  readonly room: string;
  readonly user: string;
  readonly connection: WebSocketConnection;
  readonly joined: Joined;
  readonly may: Permissions;
  readonly mailbox: Mailbox;
  readonly requests: Requests;
  /** Reads the messages of the room. */
  readonly read: (span: Span) => Promise<Excerpt>;
  /** The users in the room, each once. */
  readonly users: () => Promise<readonly string[]>;
}

/** What a format does with a member's messages. */
export interface RoomProtocol {
  message(type: MessageType, data: Buffer): void;
  /** So many messages were dropped, as the client is slow. */
  dropped?(count: number): void;
}

/** The messages to one member. */
export class Mailbox {
  readonly #budget: MemoryBudget;
  #connection: WebSocketConnection | null = null;
  #held: PreparedMessage[] | null = [];
  #heldBytes = 0;
  /** Why it ends: more came than may wait for it, or for all. */
  #overflowed: 'slow_consumer' | 'queues_full' | null = null;

  /** What waits counts in `budget`. */
  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  /** Takes a message, as Membership.receive. */
  readonly receive = (message: PreparedMessage): void => {
    if (this.#held === null) return void this.#connection?.sendPrepared(message);
    const bytes = message.frame.length;
    const many = this.#held.length >= MAX_HELD || this.#heldBytes + bytes > MAX_HELD_BYTES;
    if (many) this.#overflowed ??= 'slow_consumer';
    else if (!this.#budget.fits(bytes)) this.#overflowed ??= 'queues_full';
    if (this.#overflowed !== null) return;
    this.#held.push(message);
    this.#heldBytes += bytes;
    this.#budget.add(bytes);
  };

  connect(connection: WebSocketConnection): void {
    this.#connection = connection;
  }

  /** From now on messages wait. False: they do so already. */
  hold(): boolean {
    if (this.#held !== null) return false;
    this.#held = [];
    return true;
  }

  /** What has waited goes out, and what comes does so at once. */
  release(): void {
    for (const message of this.#take()) this.#connection?.sendPrepared(message);
    if (this.#overflowed !== null) this.#connection?.close(1013, this.#overflowed);
  }

  /** The member has left: drops what is queued for it. */
  discard(): void {
    this.#take();
    this.#connection = null;
  }

  #take(): PreparedMessage[] {
    const held = this.#held ?? [];
    this.#budget.remove(this.#heldBytes);
    this.#heldBytes = 0;
    this.#held = null;
    return held;
  }
}

/** The pending requests of one member. While they are many, the member is not read from. */
export class Requests {
  readonly #connection: WebSocketConnection;
  #count = 0;
  #bytes = 0;
  #paused = false;
  #open = true;
  #queue: Promise<void> = Promise.resolve();

  constructor(connection: WebSocketConnection) {
    this.#connection = connection;
  }

  /** Begins at once. `bytes` is the size of the request; where `act` rejects, the connection is closed with 1011. */
  begin(bytes: number, act: () => Promise<void>): void {
    this.#begun(bytes);
    background('rooms', this.#run(bytes, act));
  }

  /** The same, once the requests queued before are done. Nothing is begun for a member that has left. */
  enqueue(bytes: number, act: () => Promise<void>): void {
    this.#begun(bytes);
    this.#queue = this.#queue.then(() => this.#run(bytes, act));
  }

  /** The member has left. */
  close(): void {
    this.#open = false;
  }

  async #run(bytes: number, act: () => Promise<void>): Promise<void> {
    try {
      if (this.#open) await act();
    } catch (thrown) {
      reportDefect('rooms', thrown, this.#connection.id);
      this.#connection.close(1011, 'handler_failed');
    } finally {
      this.#done(bytes);
    }
  }

  #begun(bytes: number): void {
    this.#count++;
    this.#bytes += bytes;
    if (this.#paused || (this.#count < MAX_REQUESTS && this.#bytes < MAX_REQUEST_BYTES)) return;
    this.#paused = true;
    this.#connection.pause();
  }

  #done(bytes: number): void {
    this.#count--;
    this.#bytes -= bytes;
    if (!this.#paused || this.#count > MAX_REQUESTS / 2 || this.#bytes > MAX_REQUEST_BYTES / 2) return;
    this.#paused = false;
    this.#connection.resume();
  }
}

/** A ConnectionHandler that leaves the room at its end. */
export function openRoomConnection(
  protocol: RoomProtocol,
  { joined, mailbox, requests }: RoomProtocolOptions,
): ConnectionHandler {
  return {
    message: (type, data) => protocol.message(type, data),
    closed: () => {
      joined.leave();
      requests.close();
      mailbox.discard();
    },
    dropped: (count) => protocol.dropped?.(count),
  };
}
