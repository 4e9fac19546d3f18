// What the native relay's addon exports: relay.c says the same, at each of its functions.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The threads of one relay. */
export type Engine = { readonly engine: unique symbol };

/** Kinds of what is told, by enum told in relay.c. */
export const TOLD = { ended: 0, dialled: 1, arrived: 2 } as const;

/** Gets the reports of tunnels that have ended, or how many dials or arrivals stand in the inbox. */
export type Told = (kind: number, told: number | Float64Array) => void;

/** Waits are whole milliseconds; an id below 0 is an errno, negated. */
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
  collect(engine: Engine, fd: number, held: Buffer, answerMs: number, most: number): number;
  cancel(engine: Engine, id: number): void;
  listen(engine: Engine, fd: number, silentMs: number): number;
  unlisten(engine: Engine, door: number): void;
  /** What open(), dial() and collect() asked for begins. */
  wake(engine: Engine): void;
}

/** Where npm's postinstall puts the compiled addon; the same from src and from dist. */
export const ADDON = fileURLToPath(new URL('../../native/upgate-relay.node', import.meta.url));

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
