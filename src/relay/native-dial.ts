// The native dial as JS sees it: starts dials, and tells each caller once what became of its own. How connecting and
// collecting are done stands in dial.c.
import { getSystemErrorName } from 'node:util';
import { GatewayError } from '../errors.ts';
import type { DialCaller, DialFailure, Dialler, Dialling, DialOrder } from '../upstream/dialler.ts';
import { Parked } from '../upstream/parked.ts';
import { type Addon, type Engine, placeOf, type Waker, whole } from './addon.ts';

const FIELDS = 5;
const BYTES = Float64Array.BYTES_PER_ELEMENT;
/** By the negative numbers in dial.h. */
const FAILURES: readonly DialFailure[] = ['', 'ended', 'timeout', 'silent', 'cancelled'];

/** Room for what dials have brought: more than any one of them can bring. */
export const INBOX_SIZE = 256 * 1024;

export interface DiallerOptions {
  readonly addon: Addon;
  readonly engine: Engine;
  readonly threads: number;
  readonly waker: Waker;
  /** The one that the engine was started with. */
  readonly inbox: Buffer;
}

/** Not in a Map: see roster.ts. */
interface Waiting {
  readonly id: number;
  readonly caller: DialCaller;
}

export class NativeDialler implements Dialler {
  readonly #addon: Addon;
  readonly #engine: Engine;
  readonly #threads: number;
  readonly #waker: Waker;
  readonly #inbox: Buffer;
  readonly #numbers: Float64Array;
  /** Who waits, by the place of a dial. */
  readonly #waiting: (Waiting | undefined)[] = [];

  constructor({ addon, engine, threads, waker, inbox }: DiallerOptions) {
    this.#waker = waker;
    this.#addon = addon;
    this.#engine = engine;
    this.#threads = threads;
    this.#inbox = inbox;
    this.#numbers = new Float64Array(inbox.buffer, inbox.byteOffset, inbox.length / BYTES);
  }

  dial({ address, port, bytes, connectMs, answerMs, most }: DialOrder, caller: DialCaller): Dialling {
    return this.#started(
      this.#addon.dial(this.#engine, address, port, bytes, whole(connectMs), whole(answerMs), most),
      caller,
    );
  }

  collect(
    connection: Parked,
    held: Buffer,
    { answerMs, most }: Pick<DialOrder, 'answerMs' | 'most'>,
    caller: DialCaller,
  ): Dialling {
    const id = this.#addon.collect(this.#engine, connection.fd, held, whole(answerMs), most);
    if (id >= 0) connection.take();
    return this.#started(id, caller);
  }

  /** What has become of `count` dials stands in the inbox. */
  told(count: number): void {
    const numbers = this.#numbers;
    for (let i = 0, at = 0; i < count; i++) {
      const id = numbers[at] ?? 0;
      const error = numbers[at + 1] ?? 0;
      const fd = numbers[at + 2] ?? 0;
      const connectMs = numbers[at + 3] ?? 0;
      const length = numbers[at + 4] ?? 0;
      const start = (at + FIELDS) * BYTES;
      at += FIELDS + Math.ceil(length / BYTES);
      const caller = this.#leave(id);
      if (caller === null) {
        // Cancelled when this was already on its way.
        if (fd >= 0) new Parked(fd).destroy();
      } else if (fd >= 0) {
        caller.came(new Parked(fd), this.#inbox.subarray(start, start + length), connectMs);
      } else {
        caller.failed(error < 0 ? (FAILURES[-error] ?? 'ended') : getSystemErrorName(-error), connectMs >= 0);
      }
    }
  }

  #started(id: number, caller: DialCaller): Dialling {
    if (id < 0) throw new GatewayError('limit', `nothing can be dialled: ${getSystemErrorName(id)}`);
    this.#waiting[placeOf(id, this.#threads)] = { id, caller };
    this.#waker.soon();
    return id;
  }

  cancel(dialling: Dialling): void {
    if (this.#leave(dialling) !== null) this.#addon.cancel(this.#engine, dialling);
  }

  /** Takes out who waits for this dial; null where nobody does any more. */
  #leave(id: number): DialCaller | null {
    const place = placeOf(id, this.#threads);
    const waiting = this.#waiting[place];
    if (waiting === undefined || waiting.id !== id) return null;
    this.#waiting[place] = undefined;
    return waiting.caller;
  }
}
