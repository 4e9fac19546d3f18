// The connections of this process, by id: what the broker reaches when someone names one. They stand here from their 101 to
// their end.
import type { ConnectionDescription } from './broker/broker.ts';
import type { MessageType } from './handler.ts';

/** A live connection, for those who know its id. */
export interface Reachable {
  describe(): ConnectionDescription;
  /** As of Connection; of one that is spliced, it does nothing. */
  send(type: MessageType, data: Buffer): boolean;
  close(code: number, reason: string): void;
}

/** Finds a connection of this process. */
export type Reach = (id: string) => Reachable | undefined;

/** What the Map holds of a connection; emptied at its end, for the reason in slot-set.ts. */
interface Entry {
  connection: Reachable | undefined;
}

export class Connections {
  readonly #entries = new Map<string, Entry>();

  readonly get: Reach = (id) => this.#entries.get(id)?.connection;

  /** Enters a connection. Ids are the gateway's own, and no two have the same one. */
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
