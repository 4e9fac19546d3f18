// Notices that a client closes a connection that is not a socket of node's: nobody reads those. Nearly every handshake
// ends before it matters; a connection whose handshake takes longer is watched, and still not read.
import { guarded } from '../base/guard.ts';
import { type SlotHandle, SlotSet } from '../base/slot-set.ts';
import type { ClientClosed } from '../net/client-closed.ts';
import type { FdConnection } from '../net/fd-connection.ts';

/** After this many milliseconds a handshake is watched; the timer sees it up to as much later. */
const LONG_MS = 40;

/**
 * Calls `onClosed` once when a client has ended its stream or reset it, unless the returned function is called before; null
 * where the connection can't be watched.
 */
export type WatchClient = (connection: FdConnection, onClosed: () => void) => (() => void) | null;

/** A client that waits for its 101. */
interface Watched {
  readonly connection: FdConnection;
  readonly clientClosed: ClientClosed;
}

export interface WatchedConnection extends Watched {
  readonly since: number;
  /** Ends the watch; null until it has begun. */
  forget: (() => void) | null;
}

export class DisconnectWatch {
  readonly #watchClient: WatchClient;
  readonly #waiting = new SlotSet<WatchedConnection>();
  #timer: NodeJS.Timeout | null = null;

  constructor(watchClient: WatchClient) {
    this.#watchClient = watchClient;
  }

  /**
   * Notifies `clientClosed` when this client leaves, until forget(). A client that ends its side has left (read-ahead.ts says
   * why), and its connection is closed.
   */
  watch({ connection, clientClosed }: Watched): SlotHandle<WatchedConnection> {
    this.#timer ??= setTimeout(this.#onTimer, LONG_MS);
    return this.#waiting.add({ since: performance.now(), connection, clientClosed, forget: null });
  }

  forget(handle: SlotHandle<WatchedConnection>): void {
    this.#waiting.remove(handle);
    handle.member.forget?.();
  }

  readonly #onTimer = (): void => {
    const now = performance.now();
    for (const waiting of this.#waiting) {
      if (now - waiting.since >= LONG_MS) this.#look(waiting);
    }
    this.#timer = this.#waiting.size === 0 ? null : setTimeout(this.#onTimer, LONG_MS);
  };

  /** What one throws must not end the watch over the others. */
  readonly #look = guarded(
    'handshake',
    (waiting: WatchedConnection) => {
      const { connection, clientClosed, forget } = waiting;
      if (forget !== null || connection.fd < 0) return;
      const onClosed = (): void => {
        connection.destroy();
        clientClosed.notify();
      };
      waiting.forget = this.#watchClient(connection, guarded('handshake', onClosed));
    },
    ({ connection }) => connection.destroy(),
  );
}
