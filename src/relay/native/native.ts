// The native relay engine: takes both sockets' descriptors over from node and leaves the bytes to the threads behind
// addon.c. What it can take is decided here, and handover.ts takes it without losing a byte; frames, limits and closing
// are done in C.
import { availableParallelism } from 'node:os';
import { reportDefect } from '../../base/guard.ts';
import { GatewayError } from '../../errors.ts';
import type { Initiator, Sample } from '../../events.ts';
import type { Dialler } from '../../net/dialler.ts';
import { type Connection, FdConnection, fdOf } from '../../net/fd-connection.ts';
import { RouteCounters } from '../counters.ts';
import type {
  DirectionLimits,
  RelayEngine,
  Tunnel,
  TunnelActivity,
  TunnelEnd,
  TunnelEnds,
  TunnelOptions,
} from '../relay.ts';
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

const CLOSE_RECORD_FIELDS = 11;
const COUNTER_FIELDS = 11;
const ACTIVITY_FIELDS = 5;
const INITIATORS: readonly Initiator[] = ['gateway', 'client', 'backend', 'gateway'];
/** By enum reason in tunnel.h; the first stands for the reason given to close() or cut(). */
const REASONS = [
  '',
  'closed',
  'reset',
  'idle',
  'max_lifetime',
  'max_message',
  'messages_per_second',
  'bytes_per_second',
  'lost',
  'ping_timeout',
] as const;

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
  readonly #routes: string[] = [];
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
    this.acceptor = new NativeListeners(part);
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

  *sample(): Iterable<Sample> {
    const routes = new Map<string, RouteCounters>();
    for (const [policy, route] of this.#routes.entries()) {
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

function policyNumbers({ inspect, idleMs, ping, limits }: TunnelOptions): number[] {
  return [
    inspect ? 1 : 0,
    wholeMs(idleMs),
    ping === null || !inspect ? 0 : wholeMs(ping.everyMs),
    ping === null || !inspect ? 0 : wholeMs(ping.timeoutMs),
    ...limitNumbers(inspect ? limits.fromClient : null),
    ...limitNumbers(inspect ? limits.toClient : null),
  ];
}

function limitNumbers(limits: DirectionLimits | null): number[] {
  if (limits === null) return [-1, 0, 0, 0];
  const { maxMessage, messagesPerSecond, bytesPerSecond, onLimit } = limits;
  return [maxMessage ?? -1, messagesPerSecond ?? 0, bytesPerSecond ?? 0, onLimit === 'pause' ? 1 : 0];
}

/** Reads field by field: destructuring would run an iterator for every tunnel that ends. */
function readCloseRecord(numbers: Float64Array, at: number, closeReason: string): TunnelEnd {
  const code = numbers[at + 6] ?? 0;
  const reason = numbers[at + 8] ?? 0;
  const inspected = numbers[at + 10] !== 0;
  return {
    fromClient: { bytes: numbers[at + 1] ?? 0, messages: inspected ? (numbers[at + 3] ?? 0) : null },
    toClient: { bytes: numbers[at + 2] ?? 0, messages: inspected ? (numbers[at + 4] ?? 0) : null },
    discarded: numbers[at + 5] ?? 0,
    code: code === 0 ? null : code & 0xffff,
    initiator: INITIATORS[numbers[at + 7] ?? 0] ?? 'gateway',
    reason: reason === 0 ? closeReason : (REASONS[reason] ?? 'closed'),
    cut: numbers[at + 9] !== 0,
  };
}

function addCounters(to: RouteCounters, numbers: Float64Array): void {
  const [bytes = 0, text = 0, binary = 0, bytesBack = 0, textBack = 0, binaryBack = 0, ...others] = numbers;
  const [sent = 0, pong = 0, timeout = 0, lost = 0, lostBack = 0] = others;
  to.fromClient.bytes += bytes;
  to.fromClient.text += text;
  to.fromClient.binary += binary;
  to.fromClient.lost += lost;
  to.toClient.bytes += bytesBack;
  to.toClient.text += textBack;
  to.toClient.binary += binaryBack;
  to.toClient.lost += lostBack;
  to.pings.sent += sent;
  to.pings.pong += pong;
  to.pings.timeout += timeout;
}
