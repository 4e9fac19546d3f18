// The messages that a room of one process keeps: in order, bounded by count, age and bytes, with the id from which on
// none is missing. An id is `milliseconds-number`, as Redis has it, so that a client needs to know only one kind.
import { bytesOf, type MemoryBudget } from '../../base/memory-budget.ts';
import {
  compareIds,
  type Excerpt,
  MAX_ROOM_BYTES,
  type Post,
  type Retention,
  type RoomMessage,
  type Span,
} from './broker.ts';

/** What a message costs beside its texts: the object, its id, its slot, and V8's headers. */
const MESSAGE_COST = 200;

export class RoomLog {
  /** Oldest first; the slots before #start are empty. */
  #messages: (RoomMessage | undefined)[] = [];
  #start = 0;
  #bytes = 0;
  #last: { readonly ms: number; readonly number: number };
  /** Every message after this id is kept. */
  #floor: string;
  #retention: Retention;
  readonly #budget: MemoryBudget;

  /** `budget` is shared by all rooms: what this log keeps counts in it. */
  constructor(retention: Retention, now: number, budget: MemoryBudget) {
    this.#budget = budget;
    this.#last = { ms: now, number: 0 };
    this.#floor = this.last;
    this.#retention = retention;
  }

  /** The id of the last message; of a room without one, an id before the first. */
  get last(): string {
    return `${this.#last.ms}-${this.#last.number}`;
  }

  /** About how many bytes the kept messages take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Sets what the log keeps from now on. */
  keep(retention: Retention): void {
    this.#retention = retention;
  }

  append(post: Post, now: number): RoomMessage {
    // The clock may go back; ids never do.
    this.#last = now > this.#last.ms ? { ms: now, number: 0 } : { ...this.#last, number: this.#last.number + 1 };
    const message = { ...post, id: this.last, at: now };
    this.#messages.push(message);
    this.#count(costOf(message));
    this.trim(now);
    return message;
  }

  read(span: Span, now: number): Excerpt {
    this.trim(now);
    const kept = this.#messages.slice(this.#start) as RoomMessage[];
    const until = kept.filter(({ id }) => compareIds(id, span.until) <= 0);
    if ('count' in span) {
      const messages = span.count === 0 ? [] : until.slice(-span.count);
      return { messages, complete: messages.length === span.count };
    }
    const complete = compareIds(span.after, this.#floor) >= 0 && compareIds(span.after, this.last) <= 0;
    return { messages: until.filter(({ id }) => compareIds(id, span.after) > 0), complete };
  }

  /** Trims what is too much or too old. */
  trim(now: number): void {
    const { count, age } = this.#retention;
    for (let oldest = this.#messages[this.#start]; oldest; oldest = this.#messages[this.#start]) {
      const kept = this.#messages.length - this.#start;
      if (kept <= count && oldest.at > now - age && this.#bytes <= MAX_ROOM_BYTES) break;
      this.dropOldest();
    }
  }

  /** Drops the oldest message; false where there is none. */
  dropOldest(): boolean {
    const oldest = this.#messages[this.#start];
    if (oldest === undefined) return false;
    this.#floor = oldest.id;
    this.#count(-costOf(oldest));
    // Its slot is emptied at once, for a message may be large; slots are cut off in large pieces, so that a full room
    // does not copy its log for each message.
    this.#messages[this.#start++] = undefined;
    if (this.#start >= 64 && this.#start * 2 >= this.#messages.length) {
      this.#messages = this.#messages.slice(this.#start);
      this.#start = 0;
    }
    return true;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#budget.add(bytes);
  }
}

function costOf({ data, user }: RoomMessage): number {
  return bytesOf(data) + bytesOf(user ?? '') + MESSAGE_COST;
}
