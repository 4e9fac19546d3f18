// Which side an exchange waits for, and how long at most. An exchange waits for one thing at a time.
import type { Deadlines, Expirable } from '../base/deadlines.ts';
import type { SlotHandle } from '../base/slot-set.ts';
import { GatewayError } from '../errors.ts';
import type { Timeouts } from './http-engine.ts';

const WAITS = {
  socket: { code: 'backend_timeout', message: 'no connection to the server became free' },
  connection: { code: 'backend_timeout', message: 'the server did not accept the connection' },
  head: { code: 'backend_timeout', message: 'the server did not begin to answer' },
  answer: { code: 'backend_timeout', message: 'the server stopped in the middle of its answer' },
  request: { code: 'client_gone', message: 'the client stopped in the middle of its request' },
  client: { code: 'client_gone', message: 'the client stopped taking the answer' },
} as const;

export type Wait = keyof typeof WAITS;

/** Milliseconds. Not a column of the table: this is asked four times a request, and reading by a name that varies is slow. */
function limitOf(wait: Wait, { connect, head, idle }: Timeouts): number {
  if (wait === 'connection') return connect;
  return wait === 'socket' || wait === 'head' ? head : idle;
}

/** Fails where its time is up. */
interface Waiter {
  fail(error: GatewayError): void;
}

export class PhaseTimer implements Expirable {
  deadline = Number.POSITIVE_INFINITY;
  readonly #deadlines: Deadlines;
  readonly #timeouts: Timeouts;
  readonly #waiter: Waiter;
  readonly #handle: SlotHandle<Expirable>;
  #wait: Wait | null = null;
  #limit = 0;

  constructor(deadlines: Deadlines, timeouts: Timeouts, waiter: Waiter) {
    this.#deadlines = deadlines;
    this.#timeouts = timeouts;
    this.#waiter = waiter;
    this.#handle = deadlines.add(this);
  }

  /** From now on this is waited for; where it already was, there was progress. */
  waitFor(wait: Wait): void {
    this.#wait = wait;
    this.#limit = limitOf(wait, this.#timeouts);
    this.touch();
  }

  /** There was progress. */
  touch(): void {
    if (this.#wait === null) return;
    this.deadline = performance.now() + this.#limit;
    this.#deadlines.moved(this);
  }

  /** Nothing is waited for; waitFor() goes on. */
  pause(): void {
    this.#wait = null;
    this.deadline = Number.POSITIVE_INFINITY;
  }

  /** The end: it can't go on. */
  stop(): void {
    this.pause();
    this.#deadlines.remove(this.#handle);
  }

  onDeadline(): void {
    if (this.#wait === null) return;
    const { code, message } = WAITS[this.#wait];
    this.#waiter.fail(new GatewayError(code, `${message} within ${this.#limit} ms`));
  }
}
