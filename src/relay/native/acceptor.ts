// The native acceptor in JavaScript: opens listeners on listening sockets and passes each accepted connection to their
// handler. How connections are accepted and their first bytes read is in listener.c. It also reports when a client closes
// a connection that nothing reads.
import { getSystemErrorName } from 'node:util';
import { reportDefect } from '../../base/guard.ts';
import type { AcceptHandle, AcceptHandler, Acceptor, TlsAccept, TlsSettings } from '../../net/acceptor.ts';
import { FdConnection } from '../../net/fd-connection.ts';
import { TlsConnection, type TlsThreads } from '../../net/tls-connection.ts';
import { type Addon, type Engine, type EventBuffer, NUMBER, type TlsContexts, threadOf, wholeMs } from './addon.ts';
import { makeContexts } from './tls.ts';

const FIELDS = 9;
/** Below 0 in place of an error number: a TLS handshake failed, or, with this one, was done and its client left. */
const TLS_LEFT = -2;

/** Milliseconds to the first byte; after that a connection is left to node, whose parser has the timeouts for it. */
const FIRST_BYTES_MS = 100;
/**
 * With TLS: longer, because a request comes a round trip behind a handshake of TLS 1.2, and because the connection costs more
 * where node reads it (see tls.ts), also once it is a tunnel.
 */
const FIRST_BYTES_TLS_MS = 1000;

export interface AcceptOptions {
  readonly addon: Addon;
  readonly engine: Engine;
  readonly threads: number;
  /** The one that the engine was started with. */
  readonly eventBuffer: EventBuffer;
  /** What gives node the plain bytes of a TLS connection. */
  readonly streams: TlsThreads;
}

export class NativeListeners implements Acceptor {
  readonly #options: AcceptOptions;
  readonly #handlers = new Map<number, AcceptHandler>();
  /** Called when the listener of this id has published its last connection. */
  readonly #onReleased = new Map<number, () => void>();
  /** Callbacks of watched connections, by the number each is watched under. */
  readonly #watched = new Map<number, () => void>();
  #lastWatch = 0;

  readonly withoutTls: string | null;

  constructor(options: AcceptOptions) {
    this.#options = options;
    this.withoutTls = options.addon.tlsLoad();
  }

  /** One listener for each thread: an idle thread accepts the next connection. */
  open(fd: number, handler: AcceptHandler, tls: TlsAccept | null, firstBytes?: number): AcceptHandle | null {
    const { addon, engine, threads } = this.#options;
    const firstBytesMs = firstBytes ?? (tls === null ? FIRST_BYTES_MS : FIRST_BYTES_TLS_MS);
    const ids: number[] = [];
    const close = (): void => {
      for (const id of ids) addon.unlisten(engine, id, true);
    };
    const serve = (settings: TlsSettings): TlsContexts => {
      const { contexts, wrong } = makeContexts(addon, settings);
      if (wrong !== null) tls?.onRefused(wrong);
      return contexts;
    };
    const contexts = tls === null ? null : serve(tls.settings);
    for (let thread = 0; thread < threads; thread++) {
      const id = addon.listen(engine, fd, firstBytesMs, thread, contexts, wholeMs(tls?.handshakeMs ?? 0));
      if (id < 0) {
        close();
        return null;
      }
      ids.push(id);
      this.#handlers.set(id, handler);
    }
    const useTls = (settings: TlsSettings): void => {
      const next = serve(settings);
      for (const id of ids) addon.tlsUse(engine, id, next);
    };
    const [first = -1] = ids;
    return {
      close,
      release: () => this.#release(ids),
      useTls,
      get fd() {
        return addon.descriptorOf(engine, first);
      },
    };
  }

  async #release(ids: readonly number[]): Promise<void> {
    const { addon, engine } = this.#options;
    const open = ids.filter((id) => this.#handlers.has(id));
    const released = open.map((id) => new Promise<void>((resolve) => this.#onReleased.set(id, resolve)));
    for (const id of open) addon.unlisten(engine, id, false);
    await Promise.all(released);
  }

  watch(connection: FdConnection, onClosed: () => void): () => void {
    const { addon, engine } = this.#options;
    const id = ++this.#lastWatch;
    if (addon.watch(engine, connection.fd, id, connection.thread) < 0) return () => undefined;
    this.#watched.set(id, onClosed);
    return () => this.#watched.delete(id);
  }

  /** The ids of `count` watched connections whose peer has closed are in the event buffer. */
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

  /** `count` records of listeners are in the event buffer. */
  onAccepted(count: number): void {
    for (let i = 0, at = 0; i < count; i++) at = this.#dispatch(at);
  }

  /** Passes the record at `at` to its handler, and returns where the next one begins. */
  #dispatch(at: number): number {
    const { numbers, bytes } = this.#options.eventBuffer;
    const listener = numbers[at] ?? 0;
    const fd = numbers[at + 1] ?? -1;
    const error = numbers[at + 2] ?? 0;
    const port = numbers[at + 3] ?? 0;
    const start = (at + FIELDS) * NUMBER;
    const addressEnd = start + (numbers[at + 4] ?? 0);
    const nameEnd = addressEnd + (numbers[at + 7] ?? 0);
    const end = nameEnd + (numbers[at + 5] ?? 0);
    const place = numbers[at + 6] ?? 0;
    const handler = this.#handlers.get(listener);
    const address = bytes.toString('latin1', start, addressEnd);
    const servername = bytes.toString('latin1', addressEnd, nameEnd) || false;
    const resumed = numbers[at + 8] !== 0;
    const connection = fd < 0 ? null : this.#connection({ fd, thread: threadOf(listener), place, servername, resumed });
    try {
      if (connection !== null) {
        if (handler === undefined) connection.destroy();
        else handler.accepted({ connection, address, port, bytes: bytes.subarray(nameEnd, end) });
      } else {
        this.#onEvent(listener, error, address, bytes.toString('latin1', nameEnd, end));
      }
    } catch (thrown) {
      connection?.destroy();
      reportDefect('connection', thrown);
    }
    return Math.ceil(end / NUMBER);
  }

  /** A record without a connection. */
  #onEvent(listener: number, error: number, address: string, text: string): void {
    const handler = this.#handlers.get(listener);
    if (error < 0) handler?.tlsEnded(address, error === TLS_LEFT ? null : text);
    else if (error > 0) handler?.failed(getSystemErrorName(-error));
    else this.#onClosed(listener);
  }

  #onClosed(listener: number): void {
    this.#handlers.delete(listener);
    this.#onReleased.get(listener)?.();
    this.#onReleased.delete(listener);
  }

  #connection(at: ConstructorParameters<typeof TlsConnection>[0]): FdConnection {
    return at.place === 0 ? new FdConnection(at.fd, at.thread) : new TlsConnection(at, this.#options.streams);
  }
}
