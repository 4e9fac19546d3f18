// The connections of this process, by id, for the broker's commands. Each is listed from its 101 to its end.
import type { Mode } from '../events.ts';
import type { MessageType } from './handler.ts';

/** A connection, wherever it is. */
export interface ConnectionDescription {
  readonly id: string;
  readonly route: string;
  /** One that is spliced can be described and closed, and sent nothing. */
  readonly mode: Mode;
  /** The client's address. */
  readonly client: string;
  readonly user: string | null;
  readonly room: string | null;
  readonly subprotocol: string | null;
  /** Unix time in milliseconds. */
  readonly openedAt: number;
  /** When a message last came from it or went to it; Unix time in milliseconds; null where that is not followed. */
  readonly activeAt: number | null;
}

/** A live connection, as it is found by its id. */
export interface Reachable {
  describe(): ConnectionDescription;
  /** As WebSocketConnection.send; of a spliced connection, it does nothing. */
  send(type: MessageType, data: Buffer): boolean;
  close(code: number, reason: string): void;
}

/** Finds a connection of this process. */
export type Reach = (id: string) => Reachable | undefined;

/** The Map's entry for a connection; emptied at its end, for the reason in slot-set.ts. */
interface Entry {
  connection: Reachable | undefined;
}

export class Connections {
  readonly #entries = new Map<string, Entry>();

  readonly get: Reach = (id) => this.#entries.get(id)?.connection;

  /** Adds a connection. Ids are the gateway's own, and no two have the same one. */
  add(id: string, connection: Reachable): void {
    this.#entries.set(id, { connection });
  }

  remove(id: string, connection: Reachable): void {
    const entry = this.#entries.get(id);
    if (entry?.connection !== connection) return;
    this.#entries.delete(id);
    entry.connection = undefined;
  }
}
