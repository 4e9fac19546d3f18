// Whom an exchange waits for, and how long at most. One timer: an exchange waits for one thing at a time.
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

export class Clock {
  readonly #timeouts: Timeouts;
  readonly #expired: (error: GatewayError) => void;
  #wait: Wait | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(timeouts: Timeouts, expired: (error: GatewayError) => void) {
    this.#timeouts = timeouts;
    this.#expired = expired;
  }

  /** From now on this is waited for; where it already was, there was progress. */
  waitFor(wait: Wait): void {
    if (this.#wait === wait) return void this.touch();
    this.stop();
    this.#wait = wait;
    const { limit, code, message } = WAITS[wait];
    const ms = this.#timeouts[limit];
    this.#timer = setTimeout(() => this.#expired(new GatewayError(code, `${message} within ${ms} ms`)), ms);
  }

  /** There was progress. */
  touch(): void {
    this.#timer?.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#wait = null;
  }
}
