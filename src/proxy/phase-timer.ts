// Which side an exchange waits for, and how long at most. One timer: an exchange waits for one thing at a time. Progress only
// moves the deadline; the timer looks at it when it fires, since nearly no exchange ever gets there.
import { guarded } from '../base/guard.ts';
import { GatewayError } from '../errors.ts';
import type { Timeouts } from './http-engine.ts';

const WAITS = {
  socket: { limit: 'head', code: 'backend_timeout', message: 'no connection to the server became free' },
  connection: { limit: 'connect', code: 'backend_timeout', message: 'the server did not accept the connection' },
  head: { limit: 'head', code: 'backend_timeout', message: 'the server did not begin to answer' },
  answer: { limit: 'idle', code: 'backend_timeout', message: 'the server stopped in the middle of its answer' },
  request: { limit: 'idle', code: 'client_gone', message: 'the client stopped in the middle of its request' },
  client: { limit: 'idle', code: 'client_gone', message: 'the client stopped taking the answer' },
} as const satisfies Record<string, { limit: keyof Timeouts; code: string; message: string }>;

export type Wait = keyof typeof WAITS;

export class PhaseTimer {
  readonly #timeouts: Timeouts;
  readonly #expired: (error: GatewayError) => void;
  #wait: Wait | null = null;
  #limit = 0;
  #deadline = 0;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires. */
  #fires = 0;

  constructor(timeouts: Timeouts, expired: (error: GatewayError) => void) {
    this.#timeouts = timeouts;
    this.#expired = expired;
  }

  /** From now on this is waited for; where it already was, there was progress. */
  waitFor(wait: Wait): void {
    this.#wait = wait;
    this.#limit = this.#timeouts[WAITS[wait].limit];
    this.touch();
  }

  /** There was progress. */
  touch(): void {
    if (this.#wait === null) return;
    this.#deadline = performance.now() + this.#limit;
    if (this.#timer !== undefined && this.#fires <= this.#deadline) return;
    clearTimeout(this.#timer);
    this.#arm(this.#limit);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#wait = null;
  }

  #arm(ms: number): void {
    this.#fires = performance.now() + ms;
    this.#timer = setTimeout(this.#onDue, ms);
  }

  readonly #onDue = guarded('request', () => this.#onTimer());

  #onTimer(): void {
    this.#timer = undefined;
    if (this.#wait === null) return;
    const left = this.#deadline - performance.now();
    // node's timers know whole milliseconds, and may be one early.
    if (left > 1) return void this.#arm(Math.ceil(left));
    // Timers go first: where this process stood still, what came meanwhile is read before an immediate.
    const deadline = this.#deadline;
    const expire = guarded('request', () => {
      if (this.#wait === null || this.#deadline !== deadline) return;
      const { code, message } = WAITS[this.#wait];
      this.#expired(new GatewayError(code, `${message} within ${this.#limit} ms`));
    });
    setImmediate(expire);
  }
}
