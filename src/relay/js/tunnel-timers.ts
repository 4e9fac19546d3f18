// One timer for all tunnels of an engine: a hashed wheel. Setting a time is a list insertion, and a time that only moves
// later costs nothing: whoever is called early looks at its own deadlines and sets the next one. Not exact: to a tick.
import { guarded } from '../../base/guard.ts';
import { StallDetector } from '../../base/stall-detector.ts';

/** Milliseconds. */
const TICK = 100;
const SLOTS = 1024;

export abstract class Scheduled {
  dueAt = Number.POSITIVE_INFINITY;
  slot = -1;
  next: Scheduled | null = null;
  previous: Scheduled | null = null;
  /** Called once for each time set, at that time or up to a tick later; a removed one may still be called in the same tick. */
  abstract due(now: number): void;
}

/** One that breaks must not cost the others of its tick theirs. */
const callDue = guarded('relay', (item: Scheduled, now: number) => item.due(now));

export class Wheel {
  /**
   * The time of the last tick or refresh(), in milliseconds of a clock that never goes back: as old as a tick and whatever has
   * kept this thread busy since.
   */
  now = performance.now();
  readonly #slots: (Scheduled | null)[] = new Array<Scheduled | null>(SLOTS).fill(null);
  #done = Math.floor(this.now / TICK);
  readonly #due: Scheduled[] = [];
  #size = 0;
  #timer: NodeJS.Timeout | null = null;
  #standstill = new StallDetector(this.now);

  /** Reads the clock: for waits that must not end early, and where no timer does, for nothing is set. */
  refresh(): number {
    this.now = performance.now();
    return this.now;
  }

  /** Calls `item` at `at` or before; an earlier time that is already set stands. */
  wake(item: Scheduled, at: number): void {
    if (item.dueAt <= at) return;
    this.remove(item);
    if (this.#size === 0) this.#start();
    item.dueAt = at;
    this.#insert(item, Math.max(Math.ceil(at / TICK), this.#done + 1) % SLOTS);
    this.#size++;
  }

  remove(item: Scheduled): void {
    if (item.slot < 0) return;
    this.#unlink(item);
    item.dueAt = Number.POSITIVE_INFINITY;
    if (--this.#size === 0) this.#stop();
  }

  #start(): void {
    this.now = performance.now();
    this.#done = Math.floor(this.now / TICK);
    this.#standstill = new StallDetector(this.now);
    this.#timer = setInterval(() => this.#tick(), TICK).unref();
  }

  #stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick(): void {
    this.now = performance.now();
    if (this.#standstill.leaves(this.now)) return;
    const to = Math.floor(this.now / TICK);
    if (to - this.#done > SLOTS) this.#done = to - SLOTS;
    while (this.#done < to) {
      this.#done++;
      this.#run(this.#done % SLOTS);
    }
  }

  /** Takes the due ones out first: what is set or removed meanwhile cannot disturb the walk. */
  #run(slot: number): void {
    const due = this.#due;
    for (let item = this.#slots[slot] ?? null; item !== null; ) {
      const after: Scheduled | null = item.next;
      if (item.dueAt <= this.now) {
        this.remove(item);
        due.push(item);
      }
      item = after;
    }
    for (const item of due) callDue(item, this.now);
    due.length = 0;
  }

  #insert(item: Scheduled, slot: number): void {
    const head = this.#slots[slot] ?? null;
    item.slot = slot;
    item.next = head;
    item.previous = null;
    if (head !== null) head.previous = item;
    this.#slots[slot] = item;
  }

  #unlink(item: Scheduled): void {
    if (item.previous !== null) item.previous.next = item.next;
    else this.#slots[item.slot] = item.next;
    if (item.next !== null) item.next.previous = item.previous;
    item.slot = -1;
    item.next = null;
    item.previous = null;
  }
}
