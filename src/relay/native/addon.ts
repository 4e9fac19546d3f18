// What the native relay's addon exports: addon.c says the same, at each of its functions.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The threads of one relay. */
export type Engine = { readonly engine: unique symbol };

/** Kinds of what is told, by enum news in worker.h. */
export const TOLD = { ended: 0, dialled: 1, arrived: 2, left: 3 } as const;

/** Gets a kind and how many records of it stand in the inbox. */
export type Told = (kind: number, count: number) => void;

/**
 * What stands in the inbox: records of numbers, some with bytes behind them. It is read while the addon calls, and holds
 * something else after that.
 */
export class Inbox {
  /** Room for what is told at once: more than any one record takes. */
  static readonly SIZE = 256 * 1024;
  readonly bytes = Buffer.allocUnsafeSlow(Inbox.SIZE);
  readonly numbers = new Float64Array(this.bytes.buffer, this.bytes.byteOffset, Inbox.SIZE / NUMBER);
}

/** How many bytes a number takes. */
export const NUMBER = Float64Array.BYTES_PER_ELEMENT;

/** Any thread: the one with the least to do. */
export const ANY_THREAD = -1;

/** The thread that something with an id belongs to. */
export function threadOf(id: number): number {
  return id % 16;
}

/** Waits are whole milliseconds; an id below 0 is an errno, negated. A thread is a number from 0 on, or ANY_THREAD. */
export interface Addon {
  /** See Told. */
  start(threads: number, onTold: Told, inbox: Buffer): Engine;
  stop(engine: Engine): void;
  policy(engine: Engine, numbers: Float64Array): number;
  tally(engine: Engine, policy: number, numbers: Float64Array): void;
  open(
    engine: Engine,
    client: number,
    backend: number,
    policy: number,
    lifetimeMs: number,
    toClient: Buffer,
    headLength: number,
    toBackend: Buffer,
    clientOwned: boolean,
    backendOwned: boolean,
    thread: number,
  ): number;
  close(engine: Engine, id: number, code: number, reason: string, deadlineMs: number): void;
  cut(engine: Engine, id: number): void;
  dial(
    engine: Engine,
    address: string,
    port: number,
    bytes: string,
    connectMs: number,
    answerMs: number,
    most: number,
  ): number;
  collect(engine: Engine, fd: number, held: Buffer, answerMs: number, most: number, thread: number): number;
  cancel(engine: Engine, id: number): void;
  listen(engine: Engine, fd: number, silentMs: number, thread: number): number;
  unlisten(engine: Engine, door: number): void;
  /** Tells once, by this id, when the other end has left; 0 or an errno, negated. */
  watch(engine: Engine, fd: number, id: number, thread: number): number;
  /** What open(), dial() and collect() asked for begins. */
  wake(engine: Engine): void;
}

/** Where npm's postinstall puts the compiled addon; the same from src and from dist. */
export const ADDON = fileURLToPath(new URL('../../../native/upgate-relay.node', import.meta.url));

/** Throws what require() throws where the addon is not there or does not load. */
export function loadAddon(file: string): Addon {
  return createRequire(import.meta.url)(file) as Addon;
}

/** Wakes the threads once for all that one turn of the event loop asks of them. */
export class Waker {
  readonly #addon: Addon;
  readonly #engine: Engine;
  #due = false;

  constructor(addon: Addon, engine: Engine) {
    this.#addon = addon;
    this.#engine = engine;
  }

  /** Before the loop waits again. */
  soon(): void {
    if (this.#due) return;
    this.#due = true;
    setImmediate(wake, this);
  }

  now(): void {
    this.#due = false;
    this.#addon.wake(this.#engine);
  }
}

function wake(waker: Waker): void {
  waker.now();
}

/**
 * Where something with an id stands in a list. Slots are dense within a worker: the worker's number is in the lowest four
 * bits of an id, the slot in the next 20.
 */
export function placeOf(id: number, threads: number): number {
  const low = id % 0x1000000;
  return (low >>> 4) * threads + (low & 15);
}

const MAX_MS = 0xffffffff;

/** Milliseconds as the addon takes them. */
export function whole(ms: number): number {
  return Math.min(Math.max(Math.ceil(ms), 0), MAX_MS);
}
