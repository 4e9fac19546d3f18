// A connection that is to stand all the time: made, and made anew whenever it is lost or could not be made, after a wait
// that doubles from try to try.
import { background, type Where } from './guard.ts';

const FIRST_WAIT_MS = 50;
const LAST_WAIT_MS = 1000;

export class Reconnect {
  readonly #where: Where;
  readonly #open: () => Promise<void>;
  #tries = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** `open` makes the connection; it calls retry() itself where that fails. What it rejects with is reported under `where`. */
  constructor(where: Where, open: () => Promise<void>) {
    this.#where = where;
    this.#open = open;
  }

  /** Makes the connection now. */
  start(): void {
    background(this.#where, this.#open());
  }

  /** It stands and is of use: once it is lost the first wait is a short one again. */
  succeeded(): void {
    this.#tries = 0;
  }

  /** It is lost: makes the next one after a wait of 50 ms to 1 s, of which up to a half is left out by chance. */
  retry(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    const wait = Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries++);
    this.#timer = setTimeout(() => this.start(), wait * (0.5 + Math.random() / 2)).unref();
  }

  /** No more is made. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}
