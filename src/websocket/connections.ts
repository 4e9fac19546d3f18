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

export class Connections {
  readonly #places = new Map<string, number>();
  /** By place. Not in the Map, for the reason in slot-set.ts: what that keeps too long is an id and a number. */
  readonly #live: (Reachable | undefined)[] = [];
  readonly #free: number[] = [];

  readonly get: Reach = (id) => {
    const place = this.#places.get(id);
    return place === undefined ? undefined : this.#live[place];
  };

  /** Enters a connection. Ids are the gateway's own, and no two have the same one. */
  add(id: string, connection: Reachable): void {
    const place = this.#free.pop() ?? this.#live.length;
    this.#live[place] = connection;
    this.#places.set(id, place);
  }

  remove(id: string, connection: Reachable): void {
    const place = this.#places.get(id);
    if (place === undefined || this.#live[place] !== connection) return;
    this.#places.delete(id);
    this.#live[place] = undefined;
    this.#free.push(place);
  }
}
