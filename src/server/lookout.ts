// Whether clients are still there whose connections have not been sockets of node's: nobody watches those. Nearly every
// handshake is through before it matters. What takes longer gets a socket, which tells.
import { guarded } from '../base/guard.ts';
import { type Place, Roster } from '../roster.ts';
import type { Departure } from '../upstream/departure.ts';
import type { Parked } from '../upstream/parked.ts';

/** From here on a handshake takes long; it is noticed up to as much later. */
const LONG_MS = 100;

/** One that breaks must not cost the others their watch. */
const watchSocket = guarded(
  'handshake',
  (connection: Parked, gone: Departure) => {
    const socket = connection.socket();
    if (socket.listenerCount('close') === 0)
      socket.on(
        'close',
        guarded('handshake', () => gone.tell()),
      );
  },
  (connection) => connection.destroy(),
);

export interface Waiting {
  readonly since: number;
  readonly connection: Parked;
  readonly gone: Departure;
}

export class Lookout {
  readonly #waiting = new Roster<Waiting>();
  #timer: NodeJS.Timeout | null = null;

  /** `gone` is told when this client leaves, until it is forgotten. */
  watch(connection: Parked, gone: Departure): Place<Waiting> {
    this.#timer ??= setTimeout(this.#onTimer, LONG_MS);
    return this.#waiting.add({ since: performance.now(), connection, gone });
  }

  forget(place: Place<Waiting>): void {
    this.#waiting.remove(place);
  }

  readonly #onTimer = (): void => {
    this.#look();
    this.#timer = this.#waiting.size === 0 ? null : setTimeout(this.#onTimer, LONG_MS);
  };

  #look(): void {
    const now = performance.now();
    for (const { since, connection, gone } of this.#waiting) {
      if (now - since >= LONG_MS && !gone.left) watchSocket(connection, gone);
    }
  }
}
