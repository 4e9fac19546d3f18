// The native relay engine: takes both sockets' descriptors over from node and leaves the bytes to the threads behind
// addon.c. What it can take is decided here, and handover.ts takes it without losing a byte; frames, limits and closing
// are done in C.
import { availableParallelism } from 'node:os';
import { reportDefect } from '../../base/guard.ts';
import { GatewayError } from '../../errors.ts';
import type { Sample } from '../../events.ts';
import type { Dialler } from '../../net/dialler.ts';
import { type Connection, FdConnection, fdOf } from '../../net/fd-connection.ts';
import { TlsConnection } from '../../net/tls-connection.ts';
import { RouteCounters } from '../counters.ts';
import type { RelayEngine, Tunnel, TunnelActivity, TunnelEnd, TunnelEnds, TunnelOptions } from '../relay.ts';
import { NativeListeners } from './acceptor.ts';
import {
  ADDON,
  type Addon,
  ANY_THREAD,
  type Engine,
  EVENT,
  EventBuffer,
  loadAddon,
  slotIndex,
  WakeBatcher,
  wholeMs,
} from './addon.ts';
import { NativeDialler } from './dialler.ts';
import { closeDetached, detach, isPlain, reattach } from './handover.ts';
import { addCounters, CLOSE_RECORD_FIELDS, policyNumbers, readCloseRecord } from './records.ts';
import { STREAM, TlsStreams } from './tls.ts';

const COUNTER_FIELDS = 11;
const ACTIVITY_FIELDS = 5;

const NOTHING = Buffer.alloc(0);

/** Threads for `auto`: one core is left to node. */
function autoThreads(): number {
  return Math.min(Math.max(availableParallelism() - 1, 1), 4);
}

class NativeTunnel implements Tunnel {
  readonly #relay: NativeRelay;
  readonly id: number;
  readonly onEnd: (end: TunnelEnd) => void;
  readonly inspected: boolean;
  /** The reason of the first close() or cut(). */
  closeReason: string | null = null;

  constructor(relay: NativeRelay, id: number, inspected: boolean, onEnd: (end: TunnelEnd) => void) {
    this.#relay = relay;
    this.id = id;
    this.inspected = inspected;
    this.onEnd = onEnd;
  }

  close(code: number, reason: string, deadlineMs: number): void {
    this.closeReason ??= reason;
    this.#relay.close(this.id, code, reason, deadlineMs);
  }

  cut(reason: string): void {
    this.closeReason ??= reason;
    this.#relay.cut(this.id);
  }

  activity(): TunnelActivity {
    return this.#relay.activityOf(this);
  }
}

export class NativeRelay implements RelayEngine {
  readonly name = 'native';
  readonly threads: number;
  readonly acceptor: NativeListeners;
  readonly #addon: Addon;
  readonly #engine: Engine;
  readonly #wakeups: WakeBatcher;
  readonly #dialler: NativeDialler;
  /** Live tunnels by slot and worker, as their ids say. */
  readonly #tunnels: (NativeTunnel | undefined)[] = [];
  readonly #policies = new Map<string, number>();
  readonly #policyByOptions = new WeakMap<TunnelOptions, number>();
  /** By policy; null for that of streams, which count for no route. */
  readonly #routes: (string | null)[] = [];
  readonly #streamPolicy: number;
  readonly #numbers = new Float64Array(COUNTER_FIELDS);
  readonly #activity = new Float64Array(ACTIVITY_FIELDS);
  readonly #eventBuffer = new EventBuffer();

  /** Starts the threads; throws what require() throws where the addon is not there or does not load. */
  constructor(threads: number | 'auto', addon = ADDON) {
    this.threads = threads === 'auto' ? autoThreads() : threads;
    this.#addon = loadAddon(addon);
    const eventBuffer = this.#eventBuffer;
    this.#engine = this.#addon.start(this.threads, (kind, count) => this.#onEvents(kind, count), eventBuffer.bytes);
    this.#wakeups = new WakeBatcher(this.#addon, this.#engine);
    const part = { addon: this.#addon, engine: this.#engine, threads: this.threads, eventBuffer };
    this.#dialler = new NativeDialler({ ...part, wakeups: this.#wakeups });
    this.#streamPolicy = this.#addon.policy(this.#engine, Float64Array.from(policyNumbers(STREAM, true)));
    this.#routes[this.#streamPolicy] = null;
    const open = this.#openStream;
    this.acceptor = new NativeListeners({ ...part, streams: new TlsStreams({ ...part, open }) });
  }

  /** Both are plain sockets with a descriptor, open, and nothing is on its way out through node. */
  canTake(client: Connection, backend: Connection): boolean {
    return isPlain(client) && isPlain(backend);
  }

  /** For a client whose tunnel can be opened here. */
  diallerFor(client: Connection): Dialler | null {
    return isPlain(client) ? this.#dialler : null;
  }

  open(ends: TunnelEnds, options: TunnelOptions, onEnd: (end: TunnelEnd) => void): Tunnel {
    const tunnel = this.tryOpen(ends, options, onEnd);
    if (tunnel === null) throw new GatewayError('limit', 'no descriptor is left for the tunnel');
    return tunnel;
  }

  /** As open(), but null where no descriptor is left or the engine has stopped: then both sockets are node's as before. */
  tryOpen(ends: TunnelEnds, options: TunnelOptions, onEnd: (end: TunnelEnd) => void): Tunnel | null {
    const { client, backend } = ends;
    const policy = this.#policyByOptions.get(options) ?? this.#policyOf(options);
    const toBackend = detach(client, ends.toBackend);
    const toClient = detach(backend, ends.toClient);
    const { maxLifetimeMs } = options;
    const lifetime = maxLifetimeMs === null ? 0 : wholeMs(maxLifetimeMs * (1 - Math.random() / 10));
    const id = this.#addon.open(
      this.#engine,
      fdOf(client),
      fdOf(backend),
      policy,
      lifetime,
      toClient,
      ends.headLength,
      toBackend,
      client instanceof FdConnection,
      backend instanceof FdConnection,
      // The thread that has dialled it has it in its epoll already.
      backend instanceof FdConnection ? backend.thread : ANY_THREAD,
      client instanceof TlsConnection ? client.place : 0,
    );
    if (id < 0) {
      reattach(client, toBackend, ends.toBackend.length);
      reattach(backend, toClient, ends.toClient.length);
      return null;
    }
    this.#wakeups.schedule();
    closeDetached(client);
    closeDetached(backend);
    const tunnel = new NativeTunnel(this, id, options.inspect, onEnd);
    this.#tunnels[slotIndex(id, this.threads)] = tunnel;
    return tunnel;
  }

  close(id: number, code: number, reason: string, deadlineMs: number): void {
    this.#addon.close(this.#engine, id, code, reason, wholeMs(deadlineMs));
  }

  cut(id: number): void {
    this.#addon.cut(this.#engine, id);
  }

  /** Of one that has ended already nothing is known. */
  activityOf({ id, inspected }: NativeTunnel): TunnelActivity {
    const numbers = this.#activity;
    if (this.#tunnels[slotIndex(id, this.threads)]?.id === id) this.#addon.activity(this.#engine, id, numbers);
    else numbers.fill(0);
    return {
      fromClient: { bytes: numbers[0] ?? 0, messages: inspected ? (numbers[2] ?? 0) : null },
      toClient: { bytes: numbers[1] ?? 0, messages: inspected ? (numbers[3] ?? 0) : null },
      idleMs: numbers[4] ?? 0,
    };
  }

  stop(): void {
    this.#addon.stop(this.#engine);
  }

  /** For tests: moves the threads' clock on by `ms`; from the first call on it stands still in between. */
  advanceTestClock(ms: number): void {
    this.#addon.advanceTestClock(this.#engine, ms);
  }

  *sample(): Iterable<Sample> {
    const routes = new Map<string, RouteCounters>();
    for (const [policy, route] of this.#routes.entries()) {
      if (route === null) continue;
      const counters = routes.get(route) ?? new RouteCounters(route);
      routes.set(route, counters);
      this.#addon.counters(this.#engine, policy, this.#numbers);
      addCounters(counters, this.#numbers);
    }
    for (const counters of routes.values()) yield* counters.sample();
  }

  #policyOf(options: TunnelOptions): number {
    const key = JSON.stringify(options);
    let policy = this.#policies.get(key);
    if (policy === undefined) {
      policy = this.#addon.policy(this.#engine, Float64Array.from(policyNumbers(options)));
      this.#policies.set(key, policy);
      this.#routes[policy] = options.route;
    }
    this.#policyByOptions.set(options, policy);
    return policy;
  }

  /** Carries a connection's plain bytes to and from a descriptor that is the tunnel's from then on. */
  readonly #openStream = (connection: TlsConnection, fd: number, onEnd: (end: TunnelEnd) => void): number => {
    const { place, thread } = connection;
    const ends = [connection.fd, fd] as const;
    const opened = [NOTHING, 0, NOTHING, true, true] as const;
    const id = this.#addon.open(this.#engine, ...ends, this.#streamPolicy, 0, ...opened, thread, place);
    if (id < 0) return id;
    this.#wakeups.schedule();
    this.#tunnels[slotIndex(id, this.threads)] = new NativeTunnel(this, id, false, onEnd);
    return id;
  };

  #onEvents(kind: number, count: number): void {
    if (kind === EVENT.tunnelClosed) this.#onTunnelsClosed(count);
    else if (kind === EVENT.dialResult) this.#dialler.onResults(count);
    else if (kind === EVENT.accepted) this.acceptor.onAccepted(count);
    else this.acceptor.onPeerClosed(count);
  }

  /** The close records of `count` tunnels are in the event buffer. All are removed before the first onEnd(): it may open others. */
  #onTunnelsClosed(count: number): void {
    const { numbers } = this.#eventBuffer;
    const closed: (NativeTunnel | undefined)[] = [];
    for (let i = 0; i < count; i++) closed.push(this.#remove(numbers[i * CLOSE_RECORD_FIELDS] ?? 0));
    for (const [i, tunnel] of closed.entries()) {
      if (tunnel === undefined) continue;
      try {
        tunnel.onEnd(readCloseRecord(numbers, i * CLOSE_RECORD_FIELDS, tunnel.closeReason ?? 'closed'));
      } catch (thrown) {
        reportDefect('relay', thrown);
      }
    }
  }

  #remove(id: number): NativeTunnel | undefined {
    const index = slotIndex(id, this.threads);
    const tunnel = this.#tunnels[index];
    if (tunnel === undefined || tunnel.id !== id) return undefined;
    this.#tunnels[index] = undefined;
    return tunnel;
  }
}
