// Deadlines that move all the time and are nearly never reached, such as those of exchanges: one timer looks after all of
// them. Moving one costs a number. For deadlines that are met, such as pings, timer-wheel.ts is the better one.
import { guarded, type Where } from './guard.ts';
import { type SlotHandle, SlotSet } from './slot-set.ts';

/** How often it is looked: so much later than its deadline something is called, at most. */
const SWEEP_MS = 50;

/** Something with a deadline. */
export interface Expirable {
  /** By performance.now(); Infinity: none, and so it is from remove() on. */
  readonly deadline: number;
  /** The deadline has passed. It is called at each look until the deadline moves, or it is removed. */
  onDeadline(): void;
}

export class Deadlines {
  readonly #members = new SlotSet<Expirable>();
  readonly #call: (expirable: Expirable) => void;
  #timer: NodeJS.Timeout | undefined;
  /** No deadline is sooner. */
  #soonest = Number.POSITIVE_INFINITY;

  /** What an onDeadline() throws is reported under `where`, and costs the others nothing. */
  constructor(where: Where) {
    this.#call = guarded(where, (expirable: Expirable) => expirable.onDeadline());
  }

  /** Looks after this one until remove(). */
  add(expirable: Expirable): SlotHandle<Expirable> {
    // What has deadlines holds the process through its sockets; the timer alone must not.
    this.#timer ??= setInterval(() => this.#onTimer(), SWEEP_MS).unref();
    this.moved(expirable);
    return this.#members.add(expirable);
  }

  /** To be called where a deadline may be sooner than it was; where it became later, need not. */
  moved({ deadline }: Expirable): void {
    if (deadline < this.#soonest) this.#soonest = deadline;
  }

  remove(handle: SlotHandle<Expirable>): void {
    this.#members.remove(handle);
  }

  #onTimer(): void {
    if (this.#members.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#soonest = Number.POSITIVE_INFINITY;
    } else if (this.#soonest <= performance.now()) {
      // Timers go first in a turn: where this process stood still, what came meanwhile is read before an immediate.
      setImmediate(this.#sweep, performance.now());
    }
  }

  readonly #sweep = (now: number): void => {
    this.#soonest = Number.POSITIVE_INFINITY;
    for (const expirable of this.#members) {
      if (expirable.deadline <= now) this.#call(expirable);
      this.moved(expirable);
    }
  };
}
