// What the traffic itself says of a server: too many failures in a row, or too large a share of errors, and it is ejected
// for a while; then a single request tries it (half-open), and its outcome brings the server back or ejects it for longer.
// Whether the others can spare it is asked of the caller. No timer: time comes in with each question.
import { Window } from './window.ts';

/**
 * How a request ended for its server. `failed`: not reached, broken off, too slow, 502, 504, or a 503 that names no time
 * to come back; `error`: any other 5xx, the server's own mistake; `ok`: everything else.
 */
export type Outcome = 'ok' | 'error' | 'failed';

export interface BreakerSettings {
  /** Failures in a row that eject. */
  readonly failures: number;
  /** Share of errors and failures among the requests of the window that ejects, of at least `requests`. */
  readonly errors: number;
  readonly requests: number;
  /** Milliseconds. */
  readonly window: number;
  /** The first ejection, in milliseconds; each further one in a row is twice as long, up to `max_eject`. */
  readonly eject: number;
  readonly max_eject: number;
}

const MAX_DOUBLINGS = 20;

export class Breaker {
  #inRow = 0;
  #window: Window | null = null;
  /** Null while it is in. */
  #outUntil: number | null = null;
  #lastOut = Number.NEGATIVE_INFINITY;
  /** How often in a row it was ejected. */
  #times = 0;
  #trying = false;
  #failing = false;

  /** Whether it is ejected, a trial under way included. */
  get out(): boolean {
    return this.#outUntil !== null;
  }

  /** Whether it is due to be ejected, and in all the same: it fails, and no other could take its place. */
  get failing(): boolean {
    return this.#failing;
  }

  /** It is due, and stays in; false where that was so before. */
  keep(): boolean {
    const before = this.#failing;
    this.#failing = true;
    return !before;
  }

  /** It is not due any more; false where it never was. */
  recover(): boolean {
    const before = this.#failing;
    this.#failing = false;
    return before;
  }

  /** Whether a request may go to it now. */
  open(now: number): boolean {
    return this.#outUntil === null || (now >= this.#outUntil && !this.#trying);
  }

  /** Milliseconds until a request may try it; 0 where that time has come, or it is not ejected. */
  outFor(now: number): number {
    return this.#outUntil === null ? 0 : Math.max(0, this.#outUntil - now);
  }

  /** A request goes to it. True: that is its trial, and `endTrial` is to be called at its end. */
  begin(): boolean {
    if (this.#outUntil === null || this.#trying) return false;
    this.#trying = true;
    return true;
  }

  /** The trial is over; null where it says nothing, because the client left. True: it serves again. */
  endTrial(outcome: Outcome | null): boolean {
    this.#trying = false;
    if (outcome === null || outcome === 'failed' || this.#outUntil === null) return false;
    this.#outUntil = null;
    return true;
  }

  /** Takes the outcome of a request in that was no trial; why it is due to be ejected, or null. */
  record(outcome: Outcome, now: number, settings: BreakerSettings): string | null {
    // What began before the ejection says nothing new.
    if (this.#outUntil !== null) return null;
    if (outcome === 'ok') this.#inRow = 0;
    else if (outcome === 'failed') this.#inRow++;
    if (this.#window?.ms !== settings.window) this.#window = new Window(settings.window);
    this.#window.add(outcome !== 'ok', now);
    if (this.#inRow >= settings.failures) return `${this.#inRow} failures in a row`;
    const { all, marked } = this.#window.sums(now);
    if (all < settings.requests || marked < all * settings.errors) return null;
    return `${marked} errors in ${all} requests`;
  }

  /** Ejects it; returns for how long, in milliseconds. */
  eject(now: number, { eject, max_eject }: BreakerSettings): number {
    // An ejection soon after the last one is the same trouble, and waits longer.
    if (now - this.#lastOut > max_eject) this.#times = 0;
    const ms = Math.min(max_eject, eject * 2 ** Math.min(this.#times, MAX_DOUBLINGS));
    this.#times++;
    this.#outUntil = now + ms;
    this.#lastOut = now + ms;
    this.#inRow = 0;
    this.#window = null;
    this.#failing = false;
    return ms;
  }

  /** Forgets all: the config no longer looks at traffic. */
  reset(): void {
    this.#outUntil = null;
    this.#inRow = 0;
    this.#times = 0;
    this.#window = null;
    this.#failing = false;
  }
}
