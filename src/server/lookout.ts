// Whether clients are still there whose connections have not been sockets of node's: nobody watches those. Nearly every
// handshake is through before it matters. What takes longer gets a socket, which tells.
import type { ReadAhead } from '../actions/read-ahead.ts';
import { guarded } from '../base/guard.ts';
import { type Place, Roster } from '../roster.ts';
import type { Departure } from '../upstream/departure.ts';
import type { Parked } from '../upstream/parked.ts';

/** From here on a handshake takes long; it is noticed up to as much later. */
const LONG_MS = 100;

/** One that breaks must not cost the others their watch. */
const watchSocket = guarded(
  'handshake',
  (waiting: Waiting) => {
    waiting.reads = true;
    waiting.ahead.watch(waiting.connection.socket(), waiting.gone);
  },
  ({ connection }) => connection.destroy(),
);

/** A client that waits for its 101. */
interface Watched {
  readonly connection: Parked;
  readonly ahead: ReadAhead;
  readonly gone: Departure;
}

export interface Waiting extends Watched {
  readonly since: number;
  /** Its connection is a socket, which tells. */
  reads: boolean;
}

export class Lookout {
  readonly #waiting = new Roster<Waiting>();
  #timer: NodeJS.Timeout | null = null;

  /** `gone` is told when this client leaves, until it is forgotten. */
  watch({ connection, ahead, gone }: Watched): Place<Waiting> {
    this.#timer ??= setTimeout(this.#onTimer, LONG_MS);
    return this.#waiting.add({ since: performance.now(), connection, ahead, gone, reads: false });
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
    for (const waiting of this.#waiting) {
      if (now - waiting.since >= LONG_MS && !waiting.gone.left && !waiting.reads) watchSocket(waiting);
    }
  }
}
