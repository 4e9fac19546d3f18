// What a supervisor is told, as sd_notify(3) says: ready, reloading, stopping, and, where it asks, that the event loop turns.
// Without NOTIFY_SOCKET it is told nothing.
import type { Env } from '../config/yaml/env.ts';
import type { Emit } from '../events.ts';

/** Sends a datagram to a unix socket; throws the system's error. */
export type Notify = (path: string, text: string) => void;

export interface SupervisorOptions {
  readonly env: Env;
  readonly pid: number;
  readonly emit: Emit;
  /** Called where there is somebody to notify. Throws where it can't be done. */
  readonly openNotify: () => Notify;
  /** Of CLOCK_MONOTONIC, in nanoseconds. */
  readonly now?: () => bigint;
}

export class Supervisor {
  readonly #path: string | undefined;
  readonly #notify: Notify | null;
  readonly #emit: Emit;
  readonly #now: () => bigint;
  readonly #watchdogMs: number | null;
  #watchdog: NodeJS.Timeout | null = null;
  #stopping = false;

  constructor({ env, pid, emit, openNotify, now = process.hrtime.bigint }: SupervisorOptions) {
    this.#path = env['NOTIFY_SOCKET'] || undefined;
    this.#emit = emit;
    this.#now = now;
    this.#watchdogMs = readWatchdog(env, pid);
    this.#notify = this.#path === undefined ? null : this.#open(openNotify);
  }

  /** It serves, with the config that there is now. Once it is stopping, that is not said any more. */
  ready(): void {
    if (this.#stopping) return;
    this.#say('READY=1\nSTATUS=serving');
    if (this.#notify === null || this.#watchdogMs === null || this.#watchdog !== null) return;
    // Twice in each period, as sd_watchdog_enabled(3) says.
    this.#watchdog = setInterval(() => this.#say('WATCHDOG=1'), this.#watchdogMs / 2).unref();
  }

  /** It reads its config anew; ready() says that it has, whatever came of it. */
  reloading(): void {
    this.#say(`RELOADING=1\nMONOTONIC_USEC=${this.#now() / 1000n}\nSTATUS=reading the config`);
  }

  stopping(): void {
    this.#stopping = true;
    this.#say('STOPPING=1\nSTATUS=draining');
  }

  /** Nothing is said any more. */
  close(): void {
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#watchdog = null;
  }

  #open(openNotify: () => Notify): Notify | null {
    try {
      return openNotify();
    } catch (error) {
      this.#warn(error);
      return null;
    }
  }

  #say(text: string): void {
    if (this.#notify === null || this.#path === undefined) return;
    try {
      this.#notify(this.#path, text);
    } catch (error) {
      this.#warn(error);
    }
  }

  #warn(error: unknown): void {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    const message = 'the supervisor (NOTIFY_SOCKET) is not told';
    this.#emit({ type: 'notice', level: 'warn', message, data: { why } });
  }
}

/** Milliseconds within which the supervisor wants to hear something; null: it does not. */
function readWatchdog({ WATCHDOG_USEC, WATCHDOG_PID }: Env, pid: number): number | null {
  if (WATCHDOG_USEC === undefined || !/^[1-9][0-9]{0,14}$/.test(WATCHDOG_USEC)) return null;
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(pid)) return null;
  return Math.max(Number(WATCHDOG_USEC) / 1000, 2);
}
