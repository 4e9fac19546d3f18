// What the native relay's addon exports; addon.c has the contract of each function.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { packageFile } from '../../base/package-file.ts';

/** The threads of one relay. */
export type Engine = { readonly engine: unique symbol };

/** Kinds of events, as enum event_kind in worker.h. */
export const EVENT = { tunnelClosed: 0, dialResult: 1, accepted: 2, peerClosed: 3 } as const;

/** Gets a kind and the number of its records in the event buffer. */
export type OnEvents = (kind: number, count: number) => void;

/**
 * Records of events: numbers, some with bytes behind them. Valid only while the addon calls onEvents; the next call
 * overwrites them.
 */
export class EventBuffer {
  /** Bytes; more than any one record takes. */
  static readonly SIZE = 256 * 1024;
  readonly bytes = Buffer.allocUnsafeSlow(EventBuffer.SIZE);
  readonly numbers = new Float64Array(this.bytes.buffer, this.bytes.byteOffset, EventBuffer.SIZE / NUMBER);
}

/** How many bytes a number takes. */
export const NUMBER = Float64Array.BYTES_PER_ELEMENT;

/** Any thread: the least loaded one. */
export const ANY_THREAD = -1;

/** The thread that something with an id belongs to. */
export function threadOf(id: number): number {
  return id % 16;
}

/** Waits are whole milliseconds; an id below 0 is an errno, negated. A thread is a number from 0 on, or ANY_THREAD. */
export interface Addon {
  /** Starts the threads; the addon writes events into `eventBuffer` before it calls `onEvents`. */
  start(threads: number, onEvents: OnEvents, eventBuffer: Buffer): Engine;
  stop(engine: Engine): void;
  policy(engine: Engine, numbers: Float64Array): number;
  counters(engine: Engine, policy: number, numbers: Float64Array): void;
  /** Fills in bytes and messages of a live tunnel by direction, and the milliseconds since its last byte. */
  activity(engine: Engine, id: number, numbers: Float64Array): void;
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
    tls: number,
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
    maxHead: number,
  ): number;
  collect(engine: Engine, fd: number, held: Buffer, answerMs: number, maxHead: number, thread: number): number;
  cancel(engine: Engine, id: number): void;
  listen(
    engine: Engine,
    fd: number,
    firstBytesMs: number,
    thread: number,
    contexts: TlsContexts | null,
    handshakeMs: number,
  ): number;
  /** `everywhere`: other processes don't accept from the same socket any more either. */
  unlisten(engine: Engine, listener: number, everywhere: boolean): void;
  /** The listener's own; -1 once it is closed. */
  descriptorOf(engine: Engine, listener: number): number;
  /** Publishes one event with this id when the peer closes; 0 or an errno, negated. */
  watch(engine: Engine, fd: number, id: number, thread: number): number;
  /** Starts what open(), dial() and collect() asked for. */
  wake(engine: Engine): void;
  /**
   * For tests: takes the threads' clock over and moves it on by `ms`. It stands still until the next call. Returns when
   * each thread has run the timers that are due then.
   */
  advanceTestClock(engine: Engine, ms: number): void;
  /** Finds OpenSSL in this process; null, or why there is no TLS in the threads. */
  tlsLoad(): string | null;
  tlsContexts(
    ciphers: string,
    cipherSuites: string,
    groups: string,
    minVersion: number,
    sessionIdContext: string,
    ticketKeys: Buffer,
    serverOrder: boolean,
    strictSni: boolean,
    http2: boolean,
    sessionSeconds: number,
  ): TlsContexts;
  /** Names are one a line. Null, or what OpenSSL says is wrong. */
  tlsAdd(contexts: TlsContexts, chain: string, key: string, names: string): string | null;
  tlsUse(engine: Engine, listener: number, contexts: TlsContexts): void;
  /** Closes a connection by the place of its TLS. */
  tlsDrop(engine: Engine, place: number): void;
  /** Two connected descriptors, or an errno, negated. */
  pair(): [number, number] | number;
  localAddress(fd: number): [string, number] | null;
}

/** Certificates and settings of a TLS listener. */
export type TlsContexts = { readonly contexts: unique symbol };

/** Where npm's postinstall puts the compiled addon. */
const COMPILED = packageFile('native/upgate-relay.node');

/** The addon: the one that was compiled here, else the one that the package brings for this machine. */
export const ADDON = existsSync(COMPILED) ? COMPILED : prebuilt();

/** prebuild.mjs has made them. A report is the documented way to tell which C library node runs on. */
function prebuilt(): string {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  const libc = report?.header?.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
  const target = `${process.platform}-${process.arch}-${libc}`;
  return packageFile(`prebuilds/${target}/upgate-relay.node`);
}

/** Throws what require() throws where the addon is not there or does not load. */
export function loadAddon(file: string): Addon {
  return createRequire(import.meta.url)(file) as Addon;
}

/** Wakes the threads once for all the commands of one turn of the event loop. */
export class WakeBatcher {
  readonly #addon: Addon;
  readonly #engine: Engine;
  #due = false;

  constructor(addon: Addon, engine: Engine) {
    this.#addon = addon;
    this.#engine = engine;
  }

  /** Wakes them before the loop waits again. */
  schedule(): void {
    if (this.#due) return;
    this.#due = true;
    setImmediate(wake, this);
  }

  flush(): void {
    this.#due = false;
    this.#addon.wake(this.#engine);
  }
}

function wake(batcher: WakeBatcher): void {
  batcher.flush();
}

/**
 * The index of an id in a list. Slots are dense within a worker: the worker's number is in the lowest four bits of an id,
 * the slot in the next 20.
 */
export function slotIndex(id: number, threads: number): number {
  const low = id % 0x1000000;
  return (low >>> 4) * threads + (low & 15);
}

const MAX_MS = 0xffffffff;

/** Milliseconds as the addon takes them. */
export function wholeMs(ms: number): number {
  return Math.min(Math.max(Math.ceil(ms), 0), MAX_MS);
}
