// Sessions whose credentials expire: each is closed then, with 4401. One timer for all of them, and none while there
// are none.

import { TimerWheel } from '../base/timer-wheel.ts';
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';

/** What ends with its credentials. */
export interface Expiring {
  /** Milliseconds since 1970; null: never. */
  readonly expiresAt: number | null;
  close(code: number, reason: string, deadlineMs: number): void;
}

const EXPIRED = { code: 4401, reason: 'credential expired' } as const;
/**
 * The timer fires at least this often: the clock that expiry is measured by may be set, and the timer's does not follow
 * it.
 */
const LONGEST_MS = 60_000;

export class Expiry {
  readonly #wheel: TimerWheel;
  /** Weak for the reason in slot-set.ts. */
  readonly #alarms = new WeakMap<Expiring, Alarm>();

  constructor(wheel = new TimerWheel('auth')) {
    this.#wheel = wheel;
  }

  /** From now on the session ends when its credentials do. */
  watch(session: Expiring): void {
    this.renew(session, session.expiresAt);
  }

  /** Sets another expiry time: milliseconds since 1970; null: never. */
  renew(session: Expiring, expiresAt: number | null): void {
    this.forget(session);
    if (expiresAt === null) return;
    const alarm = new Alarm(session, expiresAt, this.#wheel);
    this.#alarms.set(session, alarm);
    alarm.set();
  }

  forget(session: Expiring): void {
    const alarm = this.#alarms.get(session);
    if (alarm === undefined) return;
    this.#alarms.delete(session);
    this.#wheel.remove(alarm);
  }
}

class Alarm {
  readonly #session: Expiring;
  readonly #at: number;
  readonly #wheel: TimerWheel;

  constructor(session: Expiring, at: number, wheel: TimerWheel) {
    this.#session = session;
    this.#at = at;
    this.#wheel = wheel;
  }

  set(): void {
    this.#wheel.schedule(this, this.#wheel.now() + Math.min(this.#at - Date.now(), LONGEST_MS));
  }

  look(): void {
    if (Date.now() < this.#at) this.set();
    else this.#session.close(EXPIRED.code, EXPIRED.reason, CLOSE_TIMEOUT_MS);
  }
}
