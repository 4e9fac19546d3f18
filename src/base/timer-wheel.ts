// One timer for many sessions: each schedules its next look(), in which it finds what is due, and schedules again.
// Buckets of 50 ms; look() is called up to that much late and never early.
import { guarded, type Where } from './guard.ts';
import { type SlotHandle, SlotSet } from './slot-set.ts';
import { StallDetector } from './stall-detector.ts';

const TICK_MS = 50;

/** Something with deadlines. */
export interface Timed {
  /** Called once the scheduled time has come; `now` is the wheel's clock. */
  look(now: number): void;
}

interface Appointment {
  readonly tick: number;
  readonly handle: SlotHandle<Timed>;
}

export class TimerWheel {
  /** One that throws must not keep the others of its tick from being called. */
  readonly #look: (timed: Timed, now: number) => void;
  readonly #buckets = new Map<number, SlotSet<Timed>>();
  /** Weak for the reason in slot-set.ts. */
  readonly #appointments = new WeakMap<Timed, Appointment>();
  #size = 0;
  #timer: NodeJS.Timeout | undefined;
  #tick = 0;
  #stallDetector = new StallDetector(this.now());

  /** A look() that throws is reported under `where`. */
  constructor(where: Where) {
    this.#look = guarded(where, (timed: Timed, now: number) => timed.look(now));
  }

  /** Milliseconds of a clock that never goes back. */
  now(): number {
    return performance.now();
  }

  /** Schedules a look() at `at`, in place of the one before; Infinity: none. */
  schedule(timed: Timed, at: number): void {
    if (at === Number.POSITIVE_INFINITY) {
      this.remove(timed);
      return;
    }
    if (this.#timer === undefined) this.#start();
    const tick = this.#tickOf(at);
    if (this.#appointments.get(timed)?.tick !== tick) this.#enter(timed, tick);
  }

  /** Schedules a look() at `at` or before: a sooner one stays scheduled. */
  scheduleBy(timed: Timed, at: number): void {
    const asked = this.#appointments.get(timed);
    if (asked === undefined || this.#tickOf(at) < asked.tick) this.schedule(timed, at);
  }

  #tickOf(at: number): number {
    return Math.max(Math.ceil(at / TICK_MS), this.#tick + 1);
  }

  #enter(timed: Timed, tick: number): void {
    this.#leave(timed);
    const bucket = this.#buckets.get(tick) ?? new SlotSet<Timed>();
    this.#buckets.set(tick, bucket);
    this.#appointments.set(timed, { tick, handle: bucket.add(timed) });
    this.#size++;
  }

  /** Cancels the scheduled look(). */
  remove(timed: Timed): void {
    this.#leave(timed);
    this.#stopIfEmpty();
  }

  #stopIfEmpty(): void {
    if (this.#size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #start(): void {
    const now = this.now();
    this.#stallDetector = new StallDetector(now);
    this.#tick = Math.floor(now / TICK_MS);
    // Sessions hold the process through their sockets; the timer alone must not.
    this.#timer = setInterval(() => this.#turn(), TICK_MS).unref();
  }

  #turn(): void {
    const now = this.now();
    if (this.#stallDetector.leaves(now)) return;
    const last = Math.floor(now / TICK_MS);
    while (this.#tick < last && this.#timer !== undefined) {
      this.#tick++;
      const bucket = this.#buckets.get(this.#tick);
      if (!bucket) continue;
      // A look() may schedule another one, or cancel others of this very bucket.
      for (const timed of bucket) {
        if (this.#appointments.get(timed)?.tick !== this.#tick) continue;
        this.#leave(timed);
        this.#look(timed, now);
      }
    }
    this.#stopIfEmpty();
  }

  #leave(timed: Timed): void {
    const appointment = this.#appointments.get(timed);
    if (appointment === undefined) return;
    const { tick, handle } = appointment;
    this.#appointments.delete(timed);
    this.#size--;
    const bucket = this.#buckets.get(tick);
    bucket?.remove(handle);
    if (bucket?.size === 0) this.#buckets.delete(tick);
  }
}
