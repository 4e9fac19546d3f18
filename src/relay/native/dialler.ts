// The native dialler in JavaScript: starts dials, and gives each caller its result once. How connecting and collecting are
// done is in dial.c.
import { getSystemErrorName } from 'node:util';
import { reportDefect } from '../../base/guard.ts';
import { GatewayError } from '../../errors.ts';
import type { DialCaller, DialFailure, Dialler, Dialling, DialRequest } from '../../net/dialler.ts';
import { FdConnection } from '../../net/fd-connection.ts';
import {
  type Addon,
  type Engine,
  type EventBuffer,
  NUMBER,
  slotIndex,
  threadOf,
  type WakeBatcher,
  wholeMs,
} from './addon.ts';

const FIELDS = 5;
/** By the negative error numbers in dial.h. */
const FAILURES: readonly DialFailure[] = ['', 'ended', 'timeout', 'silent', 'cancelled'];

/** How often pending dials are checked for one that never got its result, ms. */
const CHECK_MS = 1000;
/** Checks beyond a dial's own timeouts, which dial.c keeps; while the process is stalled no check runs. */
const EXTRA_CHECKS = 5;

export interface DiallerOptions {
  readonly addon: Addon;
  readonly engine: Engine;
  readonly threads: number;
  readonly wakeups: WakeBatcher;
  /** The one that the engine was started with. */
  readonly eventBuffer: EventBuffer;
}

/** A dial in progress and its caller; the caller is null after the result or cancel(). */
class PendingDial implements Dialling {
  readonly id: number;
  caller: DialCaller | null;
  /** How many checks it may still take. */
  checksLeft: number;

  constructor(id: number, caller: DialCaller, waitMs: number) {
    this.id = id;
    this.caller = caller;
    this.checksLeft = Math.ceil(waitMs / CHECK_MS) + EXTRA_CHECKS;
  }
}

export class NativeDialler implements Dialler {
  readonly #options: DiallerOptions;
  /** Pending dials by slotIndex(). Not in a Map: see slot-set.ts. */
  readonly #pending: (PendingDial | undefined)[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  dial({ address, port, bytes, connectMs, answerMs, maxHead }: DialRequest, caller: DialCaller): Dialling {
    const { addon, engine } = this.#options;
    const id = addon.dial(engine, address, port, bytes, wholeMs(connectMs), wholeMs(answerMs), maxHead);
    return this.#started(id, caller, connectMs + answerMs);
  }

  collect(
    connection: FdConnection,
    held: Buffer,
    { answerMs, maxHead }: Pick<DialRequest, 'answerMs' | 'maxHead'>,
    caller: DialCaller,
  ): Dialling {
    const { addon, engine } = this.#options;
    const id = addon.collect(engine, connection.fd, held, wholeMs(answerMs), maxHead, connection.thread);
    if (id >= 0) connection.take();
    return this.#started(id, caller, answerMs);
  }

  /**
   * The results of `count` dials are in the event buffer. All of them are removed before the first caller is called: it may
   * start and cancel dials.
   */
  onResults(count: number): void {
    const { numbers } = this.#options.eventBuffer;
    const pending: (PendingDial | null)[] = [];
    for (let i = 0, at = 0; i < count; i++) {
      pending.push(this.#remove(numbers[at] ?? 0));
      at += FIELDS + Math.ceil((numbers[at + 4] ?? 0) / NUMBER);
    }
    let at = 0;
    for (const one of pending) at = this.#dispatch(one, at);
  }

  /** Gives the record at `at` to the caller, and returns where the next one begins. */
  #dispatch(pending: PendingDial | null, at: number): number {
    const { numbers, bytes } = this.#options.eventBuffer;
    const error = numbers[at + 1] ?? 0;
    const fd = numbers[at + 2] ?? 0;
    const connectMs = numbers[at + 3] ?? 0;
    const length = numbers[at + 4] ?? 0;
    const start = (at + FIELDS) * NUMBER;
    const caller = pending?.caller ?? null;
    if (pending !== null) pending.caller = null;
    const connection = fd < 0 ? null : new FdConnection(fd, threadOf(numbers[at] ?? 0));
    try {
      // It was cancelled when its result was on the way already.
      if (caller === null) connection?.destroy();
      else if (connection !== null) caller.onHead(connection, bytes.subarray(start, start + length), connectMs);
      else caller.failed(error < 0 ? (FAILURES[-error] ?? 'ended') : getSystemErrorName(-error), connectMs >= 0);
    } catch (thrown) {
      connection?.destroy();
      reportDefect('handshake', thrown);
    }
    return at + FIELDS + Math.ceil(length / NUMBER);
  }

  #started(id: number, caller: DialCaller, waitMs: number): Dialling {
    if (id < 0) throw new GatewayError('limit', `nothing can be dialled: ${getSystemErrorName(id)}`);
    const pending = new PendingDial(id, caller, waitMs);
    this.#pending[slotIndex(id, this.#options.threads)] = pending;
    this.#options.wakeups.schedule();
    this.#timer ??= setTimeout(this.#check, CHECK_MS).unref();
    return pending;
  }

  cancel(dialling: Dialling): void {
    const pending = dialling as PendingDial;
    if (pending.caller === null) return;
    pending.caller = null;
    // After its result is published it is not in the list any more.
    if (this.#remove(pending.id) !== null) this.#options.addon.cancel(this.#options.engine, pending.id);
  }

  /** Removes a pending dial; null where it is not pending any more. */
  #remove(id: number): PendingDial | null {
    const index = slotIndex(id, this.#options.threads);
    const pending = this.#pending[index];
    if (pending === undefined || pending.id !== id) return null;
    this.#pending[index] = undefined;
    return pending;
  }

  /** No caller waits for ever, whatever happens to a dial in the addon. */
  readonly #check = (): void => {
    this.#timer = null;
    for (const pending of this.#pending) {
      if (pending === undefined) continue;
      this.#timer ??= setTimeout(this.#check, CHECK_MS).unref();
      if (--pending.checksLeft > 0) continue;
      const { caller } = pending;
      this.cancel(pending);
      reportDefect('handshake', new Error('the relay gave no result for a dial'));
      try {
        caller?.failed('silent', true);
      } catch (thrown) {
        reportDefect('handshake', thrown);
      }
    }
  };
}
