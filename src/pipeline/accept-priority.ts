// Connections that wait to be accepted go before the requests of those that were. libuv (1.45 and later) accepts one
// connection of a listener in each turn of the event loop. Where every turn also serves all requests that have come, the
// last of fifty clients waits for fifty such turns, and the first ones are served over and over meanwhile. So a request
// waits until a turn has brought no connection, for a bounded time: turns are short then. Not a limit on anything.
// docs/internals/performance-history.md says what it gains. The native acceptor needs none of it.

/** How long requests are held back, at most, while connections keep coming. */
const LONGEST_MS = 10;

export class AcceptPriority {
  readonly #held: (() => void)[] = [];
  #coming = false;
  /** Whether this turn has brought a connection. */
  #accepted = false;
  #since = 0;

  /** A connection was accepted. */
  readonly onConnection = (): void => {
    this.#accepted = true;
    if (this.#coming) return;
    this.#coming = true;
    this.#since = performance.now();
    setImmediate(this.#onTurn);
  };

  /** Whether a request is held back now. */
  get coming(): boolean {
    return this.#coming;
  }

  /** Calls `start`, which may not throw, at once where no connection is expected, else when they are through, in order. */
  defer(start: () => void): void {
    if (this.#coming) this.#held.push(start);
    else start();
  }

  /** The end of a turn: behind the event loop's accepting and reading. */
  readonly #onTurn = (): void => {
    if (this.#accepted && performance.now() - this.#since < LONGEST_MS) {
      this.#accepted = false;
      setImmediate(this.#onTurn);
      return;
    }
    this.#coming = false;
    this.#accepted = false;
    for (const start of this.#held.splice(0)) start();
  };
}
