// Live members, in no order: a set whose members come and go all the time and may be many. Not a Set and no Map,
// because of how V8 makes them: a table that is full of what has left gives way to a new one and keeps a reference to
// it. Once one such table is in old space, all that follow it stay with it, and with them every member that was live at
// those moments, until the next full collection: 4 KiB for each handshake, and a scavenge that copies them all.

/** One member's slot, the handle to remove it. */
export interface SlotHandle<T> {
  readonly member: T;
}

interface Slot<T> extends SlotHandle<T> {
  /** -1 once it is removed. */
  at: number;
}

export class SlotSet<T> implements Iterable<T> {
  readonly #slots: Slot<T>[] = [];

  get size(): number {
    return this.#slots.length;
  }

  add(member: T): SlotHandle<T> {
    const slot = { member, at: this.#slots.length };
    this.#slots.push(slot);
    return slot;
  }

  /** Removes the member; true where it was still there. Further calls do nothing. */
  remove(handle: SlotHandle<T>): boolean {
    const slot = handle as Slot<T>;
    if (this.#slots[slot.at] !== slot) return false;
    const last = this.#slots.pop() as Slot<T>;
    if (last !== slot) {
      this.#slots[slot.at] = last;
      last.at = slot.at;
    }
    slot.at = -1;
    return true;
  }

  /** The members at this moment; later removals do not change the result. */
  members(): T[] {
    return this.#slots.map(({ member }) => member);
  }

  [Symbol.iterator](): Iterator<T> {
    return this.members()[Symbol.iterator]();
  }
}
