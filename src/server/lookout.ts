// Whether clients are still there whose connections have not been sockets of node's: nobody watches those. Nearly every
// handshake is through before it matters. What takes longer gets a socket, which tells.
import type { Departure } from '../upstream/departure.ts';
import type { Parked } from '../upstream/parked.ts';

/** From here on a handshake takes long. */
const LONG_MS = 100;

interface Waiting {
  readonly since: number;
  readonly gone: Departure;
}

export class Lookout {
  /** The longest wait first. */
  readonly #waiting = new Map<Parked, Waiting>();
  #timer: NodeJS.Timeout | null = null;

  /** `gone` is told when this client leaves, until it is forgotten. */
  watch(connection: Parked, gone: Departure): void {
    this.#waiting.set(connection, { since: performance.now(), gone });
    this.#timer ??= setTimeout(this.#look, LONG_MS);
  }

  forget(connection: Parked): void {
    this.#waiting.delete(connection);
  }

  readonly #look = (): void => {
    this.#timer = null;
    const now = performance.now();
    for (const [connection, { since, gone }] of this.#waiting) {
      if (now - since < LONG_MS) {
        this.#timer = setTimeout(this.#look, since + LONG_MS - now);
        return;
      }
      this.#waiting.delete(connection);
      connection.socket().on('close', () => gone.tell());
    }
  };
}
