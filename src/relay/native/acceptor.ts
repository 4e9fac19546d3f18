// The native accept as JS sees it: opens doors on listening sockets, and tells the keeper of each of its guests. How they
// are accepted and their first bytes read stands in listener.c. And it tells when a client has left that nobody reads.
import { getSystemErrorName } from 'node:util';
import { reportDefect } from '../../base/guard.ts';
import { FdConnection } from '../../net/fd-connection.ts';
import { type Addon, type Engine, type Inbox, NUMBER, threadOf } from './addon.ts';
import type { Acceptor, AcceptHandle, AcceptHandler } from '../relay.ts';

const FIELDS = 6;

/** A client that has not said a word for so long is node's: its parser has the timeouts for that. */
const SILENT_MS = 100;

export interface AcceptOptions {
  readonly addon: Addon;
  readonly engine: Engine;
  readonly threads: number;
  /** The one that the engine was started with. */
  readonly inbox: Inbox;
}

export class NativeListener implements Acceptor {
  readonly #options: AcceptOptions;
  readonly #keepers = new Map<number, AcceptHandler>();
  /** Who is told when a connection has been left, by the number it is watched under. */
  readonly #watched = new Map<number, () => void>();
  #watches = 0;

  constructor(options: AcceptOptions) {
    this.#options = options;
  }

  /** With a door for each thread: who connects is accepted by one that has nothing else to do. */
  open(fd: number, keeper: AcceptHandler, silentMs = SILENT_MS): AcceptHandle | null {
    const { addon, engine, threads } = this.#options;
    const doors: number[] = [];
    const close = (): void => {
      for (const id of doors) addon.unlisten(engine, id);
    };
    for (let thread = 0; thread < threads; thread++) {
      const id = addon.listen(engine, fd, silentMs, thread);
      if (id < 0) {
        close();
        return null;
      }
      doors.push(id);
      this.#keepers.set(id, keeper);
    }
    return { close };
  }

  watch(connection: FdConnection, onLeft: () => void): () => void {
    const { addon, engine } = this.#options;
    const id = ++this.#watches;
    if (addon.watch(engine, connection.fd, id, connection.thread) < 0) return () => undefined;
    this.#watched.set(id, onLeft);
    return () => this.#watched.delete(id);
  }

  /** `count` clients have left. */
  left(count: number): void {
    const { inbox } = this.#options;
    for (let i = 0; i < count; i++) {
      const id = inbox.numbers[i] ?? 0;
      const onLeft = this.#watched.get(id);
      this.#watched.delete(id);
      try {
        onLeft?.();
      } catch (thrown) {
        reportDefect('handshake', thrown);
      }
    }
  }

  /** `count` arrivals stand in the inbox. */
  told(count: number): void {
    for (let i = 0, at = 0; i < count; i++) at = this.#tell(at);
  }

  /** Tells of the record at `at`, and returns where the next one stands. */
  #tell(at: number): number {
    const { numbers, bytes } = this.#options.inbox;
    const door = numbers[at] ?? 0;
    const fd = numbers[at + 1] ?? -1;
    const error = numbers[at + 2] ?? 0;
    const port = numbers[at + 3] ?? 0;
    const start = (at + FIELDS) * NUMBER;
    const addressEnd = start + (numbers[at + 4] ?? 0);
    const end = addressEnd + (numbers[at + 5] ?? 0);
    const keeper = this.#keepers.get(door);
    const connection = fd < 0 ? null : new FdConnection(fd, threadOf(door));
    try {
      if (connection !== null) {
        const address = bytes.toString('latin1', start, addressEnd);
        keeper?.arrived({ connection, address, port, bytes: bytes.subarray(addressEnd, end) });
      } else if (error > 0) {
        keeper?.failed(getSystemErrorName(-error));
      } else {
        this.#keepers.delete(door);
      }
    } catch (thrown) {
      connection?.destroy();
      reportDefect('connection', thrown);
    }
    return Math.ceil(end / NUMBER);
  }
}
