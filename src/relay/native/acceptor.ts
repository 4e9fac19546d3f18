// The native accept as JS sees it: opens ids on listening sockets, and tells the keeper of each of its guests. How they
// are accepted and their first bytes read stands in listener.c. And it tells when a client has left that nobody reads.
import { getSystemErrorName } from 'node:util';
import { reportDefect } from '../../base/guard.ts';
import { FdConnection } from '../../net/fd-connection.ts';
import { type Addon, type Engine, type EventBuffer, NUMBER, threadOf } from './addon.ts';
import type { Acceptor, AcceptHandle, AcceptHandler } from '../relay.ts';

const FIELDS = 6;

/** A client that has not said a word for so long is node's: its parser has the timeouts for that. */
const FIRST_BYTES_MS = 100;

export interface AcceptOptions {
  readonly addon: Addon;
  readonly engine: Engine;
  readonly threads: number;
  /** The one that the engine was started with. */
  readonly eventBuffer: EventBuffer;
}

export class NativeListener implements Acceptor {
  readonly #options: AcceptOptions;
  readonly #handlers = new Map<number, AcceptHandler>();
  /** Who is onAccepted when a connection has been left, by the number it is watched under. */
  readonly #watched = new Map<number, () => void>();
  #lastWatch = 0;

  constructor(options: AcceptOptions) {
    this.#options = options;
  }

  /** With a door for each thread: who connects is accepted by one that has nothing else to do. */
  open(fd: number, handler: AcceptHandler, firstBytesMs = FIRST_BYTES_MS): AcceptHandle | null {
    const { addon, engine, threads } = this.#options;
    const ids: number[] = [];
    const close = (): void => {
      for (const id of ids) addon.unlisten(engine, id);
    };
    for (let thread = 0; thread < threads; thread++) {
      const id = addon.listen(engine, fd, firstBytesMs, thread);
      if (id < 0) {
        close();
        return null;
      }
      ids.push(id);
      this.#handlers.set(id, handler);
    }
    return { close };
  }

  watch(connection: FdConnection, onClosed: () => void): () => void {
    const { addon, engine } = this.#options;
    const id = ++this.#lastWatch;
    if (addon.watch(engine, connection.fd, id, connection.thread) < 0) return () => undefined;
    this.#watched.set(id, onClosed);
    return () => this.#watched.delete(id);
  }

  /** `count` clients have left. */
  onPeerClosed(count: number): void {
    const { eventBuffer } = this.#options;
    for (let i = 0; i < count; i++) {
      const id = eventBuffer.numbers[i] ?? 0;
      const onClosed = this.#watched.get(id);
      this.#watched.delete(id);
      try {
        onClosed?.();
      } catch (thrown) {
        reportDefect('handshake', thrown);
      }
    }
  }

  /** `count` arrivals stand in the eventBuffer. */
  onAccepted(count: number): void {
    for (let i = 0, at = 0; i < count; i++) at = this.#dispatch(at);
  }

  /** Tells of the record at `at`, and returns where the next one stands. */
  #dispatch(at: number): number {
    const { numbers, bytes } = this.#options.eventBuffer;
    const listener = numbers[at] ?? 0;
    const fd = numbers[at + 1] ?? -1;
    const error = numbers[at + 2] ?? 0;
    const port = numbers[at + 3] ?? 0;
    const start = (at + FIELDS) * NUMBER;
    const addressEnd = start + (numbers[at + 4] ?? 0);
    const end = addressEnd + (numbers[at + 5] ?? 0);
    const handler = this.#handlers.get(listener);
    const connection = fd < 0 ? null : new FdConnection(fd, threadOf(listener));
    try {
      if (connection !== null) {
        const address = bytes.toString('latin1', start, addressEnd);
        handler?.accepted({ connection, address, port, bytes: bytes.subarray(addressEnd, end) });
      } else if (error > 0) {
        handler?.failed(getSystemErrorName(-error));
      } else {
        this.#handlers.delete(listener);
      }
    } catch (thrown) {
      connection?.destroy();
      reportDefect('connection', thrown);
    }
    return Math.ceil(end / NUMBER);
  }
}
