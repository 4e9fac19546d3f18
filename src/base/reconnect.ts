// A connection that is to stay open: opened, and opened anew whenever it is lost or could not be opened, with
// exponential backoff.
import { background, type Where } from './guard.ts';

const FIRST_WAIT_MS = 50;
const LAST_WAIT_MS = 1000;

export class Reconnect {
  readonly #where: Where;
  readonly #open: () => Promise<void>;
  #tries = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * `open` opens the connection; it calls retry() itself where that fails. What it rejects with is reported under
   * `where`.
   */
  constructor(where: Where, open: () => Promise<void>) {
    this.#where = where;
    this.#open = open;
  }

  /** Opens the connection now. */
  start(): void {
    background(this.#where, this.#open());
  }

  /** The connection is open and works: once it is lost, the backoff starts from its shortest wait. */
  succeeded(): void {
    this.#tries = 0;
  }

  /**
   * The connection is lost: opens the next one after a wait of 50 ms to 1 s, doubled with each try, less a random part
   * of up to a half.
   */
  retry(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    const wait = Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries++);
    this.#timer = setTimeout(() => this.start(), wait * (0.5 + Math.random() / 2)).unref();
  }

  /** Opens no further connection. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}
