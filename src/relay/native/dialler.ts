// The native dial as JS sees it: starts dials, and tells each caller once what became of its own. How connecting and
// collecting are done stands in dial.c.
import { getSystemErrorName } from 'node:util';
import { reportDefect } from '../../base/guard.ts';
import { GatewayError } from '../../errors.ts';
import type { DialCaller, DialFailure, Dialler, Dialling, DialOrder } from '../../net/dialler.ts';
import { FdConnection } from '../../net/fd-connection.ts';
import { type Addon, type Engine, type Inbox, NUMBER, placeOf, threadOf, type Waker, whole } from './addon.ts';

const FIELDS = 5;
/** By the negative numbers in dial.h. */
const FAILURES: readonly DialFailure[] = ['', 'ended', 'timeout', 'silent', 'cancelled'];

/** How often it is looked whether a dial has been forgotten. */
const LOOK_MS = 1000;
/** So many looks more than its own waits take, which dial.c keeps; a process that stands still looks at nothing. */
const PATIENCE = 5;

export interface DiallerOptions {
  readonly addon: Addon;
  readonly engine: Engine;
  readonly threads: number;
  readonly waker: Waker;
  /** The one that the engine was started with. */
  readonly inbox: Inbox;
}

/** A dial under way, and who waits for it; null once it was told of or cancelled. */
class Waiting implements Dialling {
  readonly id: number;
  caller: DialCaller | null;
  /** How many looks more it is waited for. */
  looks: number;

  constructor(id: number, caller: DialCaller, waitMs: number) {
    this.id = id;
    this.caller = caller;
    this.looks = Math.ceil(waitMs / LOOK_MS) + PATIENCE;
  }
}

export class NativeDialler implements Dialler {
  readonly #options: DiallerOptions;
  /** Who waits, by the place of a dial. Not in a Map: see slot-set.ts. */
  readonly #waiting: (Waiting | undefined)[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  dial({ address, port, bytes, connectMs, answerMs, most }: DialOrder, caller: DialCaller): Dialling {
    const { addon, engine } = this.#options;
    const id = addon.dial(engine, address, port, bytes, whole(connectMs), whole(answerMs), most);
    return this.#started(id, caller, connectMs + answerMs);
  }

  collect(
    connection: FdConnection,
    held: Buffer,
    { answerMs, most }: Pick<DialOrder, 'answerMs' | 'most'>,
    caller: DialCaller,
  ): Dialling {
    const { addon, engine } = this.#options;
    const id = addon.collect(engine, connection.fd, held, whole(answerMs), most, connection.thread);
    if (id >= 0) connection.take();
    return this.#started(id, caller, answerMs);
  }

  /**
   * What has become of `count` dials stands in the inbox. All that wait for them are taken out before the first is called: a
   * caller may start and cancel dials.
   */
  told(count: number): void {
    const { numbers } = this.#options.inbox;
    const waiting: (Waiting | null)[] = [];
    for (let i = 0, at = 0; i < count; i++) {
      waiting.push(this.#leave(numbers[at] ?? 0));
      at += FIELDS + Math.ceil((numbers[at + 4] ?? 0) / NUMBER);
    }
    let at = 0;
    for (const one of waiting) at = this.#tell(one, at);
  }

  /** Tells of the record at `at`, and returns where the next one stands. */
  #tell(waiting: Waiting | null, at: number): number {
    const { numbers, bytes } = this.#options.inbox;
    const error = numbers[at + 1] ?? 0;
    const fd = numbers[at + 2] ?? 0;
    const connectMs = numbers[at + 3] ?? 0;
    const length = numbers[at + 4] ?? 0;
    const start = (at + FIELDS) * NUMBER;
    const caller = waiting?.caller ?? null;
    if (waiting !== null) waiting.caller = null;
    const connection = fd < 0 ? null : new FdConnection(fd, threadOf(numbers[at] ?? 0));
    try {
      // Nobody where it was cancelled when this was already on its way.
      if (caller === null) connection?.destroy();
      else if (connection !== null) caller.came(connection, bytes.subarray(start, start + length), connectMs);
      else caller.failed(error < 0 ? (FAILURES[-error] ?? 'ended') : getSystemErrorName(-error), connectMs >= 0);
    } catch (thrown) {
      connection?.destroy();
      reportDefect('handshake', thrown);
    }
    return at + FIELDS + Math.ceil(length / NUMBER);
  }

  #started(id: number, caller: DialCaller, waitMs: number): Dialling {
    if (id < 0) throw new GatewayError('limit', `nothing can be dialled: ${getSystemErrorName(id)}`);
    const waiting = new Waiting(id, caller, waitMs);
    this.#waiting[placeOf(id, this.#options.threads)] = waiting;
    this.#options.waker.soon();
    this.#timer ??= setTimeout(this.#look, LOOK_MS).unref();
    return waiting;
  }

  cancel(dialling: Dialling): void {
    const waiting = dialling as Waiting;
    if (waiting.caller === null) return;
    waiting.caller = null;
    // Where it has been told of it is in nobody's list any more.
    if (this.#leave(waiting.id) !== null) this.#options.addon.cancel(this.#options.engine, waiting.id);
  }

  /** Takes out who waits for this dial; null where nobody does any more. */
  #leave(id: number): Waiting | null {
    const place = placeOf(id, this.#options.threads);
    const waiting = this.#waiting[place];
    if (waiting === undefined || waiting.id !== id) return null;
    this.#waiting[place] = undefined;
    return waiting;
  }

  /** Nobody waits for ever, whatever has become of a dial in the addon. */
  readonly #look = (): void => {
    this.#timer = null;
    for (const waiting of this.#waiting) {
      if (waiting === undefined) continue;
      this.#timer ??= setTimeout(this.#look, LOOK_MS).unref();
      if (--waiting.looks > 0) continue;
      const { caller } = waiting;
      this.cancel(waiting);
      reportDefect('handshake', new Error('the relay has told nothing of a dial'));
      try {
        caller?.failed('silent', true);
      } catch (thrown) {
        reportDefect('handshake', thrown);
      }
    }
  };
}
