// One member's side of a room: what came for it before it was ready waits here, in order, and then goes on to its
// connection. What its messages mean is rooms-text.ts or rooms-json.ts.
import type { Excerpt, Joined, Span } from './broker.ts';
import type { PreparedMessage } from './frame.ts';
import type { Connection, Conversation, MessageType } from './handler.ts';

/** Messages that may wait for a member that is catching up. */
const MOST_HELD = 10_000;

export interface May {
  readonly publish: boolean;
  readonly subscribe: boolean;
}

export interface TalkOptions {
  readonly room: string;
  readonly user: string;
  readonly connection: Connection;
  readonly joined: Joined;
  readonly may: May;
  readonly mailbox: Mailbox;
  /** What was said in the room. */
  readonly read: (span: Span) => Promise<Excerpt>;
  /** The users in the room, each once. */
  readonly users: () => Promise<readonly string[]>;
}

/** What a format does with a member's messages. */
export interface Talk {
  message(type: MessageType, data: Buffer): void;
  /** So many messages were dropped, as the client is slow. */
  dropped?(count: number): void;
}

/** What is delivered to one seat. */
export class Mailbox {
  #connection: Connection | null = null;
  #held: PreparedMessage[] | null = [];

  /** As a seat gets it. */
  readonly receive = (message: PreparedMessage): void => {
    if (this.#held === null) this.#connection?.sendPrepared(message);
    else if (this.#held.push(message) > MOST_HELD) {
      this.#held = [];
      this.#connection?.close(1013, 'slow_consumer');
    }
  };

  connect(connection: Connection): void {
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
    const held = this.#held ?? [];
    this.#held = null;
    for (const message of held) this.#connection?.sendPrepared(message);
  }
}

/** A conversation that gives its seat back at its end. */
export function converse(talk: Talk, joined: Joined): Conversation {
  return {
    message: (type, data) => talk.message(type, data),
    closed: () => joined.leave(),
    dropped: (count) => talk.dropped?.(count),
  };
}
