// The connections of this process, by id: what the broker reaches when someone names one. They stand here from their 101 to
// their end.
import type { ConnectionDescription } from './broker.ts';
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
  readonly #live = new Map<string, Reachable>();

  readonly get: Reach = (id) => this.#live.get(id);

  /**
   * Enters a connection. Ids come from X-Request-Id where a trusted proxy sets it: of two with the same id the first one keeps
   * it, so that nobody can take over what is meant for another.
   */
  add(id: string, connection: Reachable): void {
    if (!this.#live.has(id)) this.#live.set(id, connection);
  }

  remove(id: string, connection: Reachable): void {
    if (this.#live.get(id) === connection) this.#live.delete(id);
  }
}
