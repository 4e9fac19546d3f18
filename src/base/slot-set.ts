// Who is live, in no order: a set whose members come and go all the time and may be many. Not a Set and no Map, because of
// how V8 makes them: a table that is full of what has left gives way to a new one and keeps a reference to it. Once one
// such table is in old space, all that follow it stay with it, and with them everyone who was live at those moments, until
// the next full collection: 4 KiB for each handshake, and a scavenge that copies them all.

/** One member's place, which it leaves by. */
export interface SlotHandle<T> {
  readonly member: T;
}

interface Slot<T> extends SlotHandle<T> {
  /** -1 once it is left. */
  at: number;
}

export class SlotSet<T> implements Iterable<T> {
  readonly #seats: Slot<T>[] = [];

  get size(): number {
    return this.#seats.length;
  }

  add(member: T): SlotHandle<T> {
    const seat = { member, at: this.#seats.length };
    this.#seats.push(seat);
    return seat;
  }

  /** Whether it was there still; more calls than one do nothing. */
  remove(place: SlotHandle<T>): boolean {
    const seat = place as Slot<T>;
    if (this.#seats[seat.at] !== seat) return false;
    const last = this.#seats.pop() as Slot<T>;
    if (last !== seat) {
      this.#seats[seat.at] = last;
      last.at = seat.at;
    }
    seat.at = -1;
    return true;
  }

  /** Those who are live at this moment, whoever leaves meanwhile. */
  members(): T[] {
    return this.#seats.map(({ member }) => member);
  }

  [Symbol.iterator](): Iterator<T> {
    return this.members()[Symbol.iterator]();
  }
}
