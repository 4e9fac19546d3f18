// One server of an upstream: its address, its share of the traffic, and its state (sessions, tunnels, health). The state
// survives a reload; the rest belongs to one config.
import type { LookupFunction } from 'node:net';

import { SlotSet } from '../base/slot-set.ts';
import { Bucket, type Rate } from '../base/token-bucket.ts';
import type { UpstreamConfig } from '../config/schema/schema.ts';
import type { ProxyVersion } from '../http/proxy-protocol.ts';
import { type BackendTls, type Endpoint, ResumableSession } from '../net/endpoint.ts';
import type { Ask } from './balance/key.ts';
import { Breaker } from './health/breaker.ts';
import type { SetState } from './server-overrides.ts';

/** The options of a server that is configured by its address only. */
export type ServerConfig = Extract<UpstreamConfig['servers'][number], { max_connections?: unknown }>;

/** The kinds of traffic with separate rates. */
export type TrafficKind = Ask['kind'];

/** A session that can be closed, so that its client reconnects to another server. */
export interface Movable {
  close(code: number, reason: string, deadlineMs: number): void;
}

/** The state of an address, shared by all configs that have the address. */
export class ServerState {
  /** Current sessions and requests. */
  live = 0;
  readonly tunnels = new SlotSet<Movable>();
  readonly breaker = new Breaker();
  /** The result of the active check; null before the first one. */
  checked: boolean | null = null;
  /** When it started to serve again, by performance.now(); null: it has served from the start. */
  since: number | null = null;
  /** New sessions that it gets before any other server, because as many tunnels were closed for it. */
  pendingMoves = 0;
  /** The state that an operator has set. */
  set: SetState;
  readonly #buckets = new Map<TrafficKind, Bucket>();

  constructor(set: SetState = 'up') {
    this.set = set;
  }

  /** The bucket of a rate; it keeps its level unless the rate has changed. */
  bucketOf(kind: TrafficKind, rate: Rate | undefined): Bucket | null {
    const known = this.#buckets.get(kind);
    if (rate === undefined) this.#buckets.delete(kind);
    else if (known?.rate.rate !== rate.rate || known.rate.burst !== rate.burst)
      this.#buckets.set(kind, new Bucket(rate));
    return this.#buckets.get(kind) ?? null;
  }
}

/** The options of a server besides its address. */
export interface ServerOf {
  readonly upstream: string;
  readonly state: ServerState;
  readonly tls: BackendTls | null;
  /** Milliseconds over which a new or recovered server gets its share gradually; 0: at once. */
  readonly slowStart: number;
  /** The name it was resolved from. */
  readonly serverName?: string;
  readonly proxyProtocol?: ProxyVersion;
  readonly lookup?: LookupFunction;
}

/** The share at the start; without any, the server would never be tried. */
const LEAST_SHARE = 0.1;

export class Server implements Endpoint {
  readonly upstream: string;
  readonly url: string;
  /** Its authority, for Host; a server on a unix socket has none. */
  readonly authority: string;
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  readonly unix?: string;
  readonly tls: BackendTls | null;
  readonly resumable = new ResumableSession();
  readonly serverName?: string;
  readonly proxyProtocol?: ProxyVersion;
  readonly lookup?: LookupFunction;
  readonly weight: number;
  readonly backup: boolean;
  readonly state: ServerState;
  readonly #maxConnections: number;
  readonly #buckets: Readonly<Record<TrafficKind, Bucket | null>>;
  readonly #slowStart: number;

  constructor(config: ServerConfig, { upstream, state, tls, slowStart, serverName, proxyProtocol, lookup }: ServerOf) {
    this.upstream = upstream;
    this.url = config.url;
    const authority = config.url.replace(/^[a-z]+:\/\//, '');
    this.authority = authority === config.url ? 'localhost' : authority;
    this.secure = config.secure;
    this.host = config.host;
    this.port = config.port;
    if (config.unix !== undefined) this.unix = config.unix;
    if (serverName !== undefined) this.serverName = serverName;
    if (proxyProtocol !== undefined) this.proxyProtocol = proxyProtocol;
    if (lookup !== undefined) this.lookup = lookup;
    this.tls = tls;
    this.weight = config.weight;
    this.backup = config.backup;
    this.state = state;
    this.#maxConnections = config.max_connections ?? Number.POSITIVE_INFINITY;
    this.#buckets = {
      handshake: state.bucketOf('handshake', config.handshakes_per_second),
      plain: state.bucketOf('plain', config.requests_per_second),
    };
    this.#slowStart = slowStart;
  }

  /** Whether its weight and its operator state allow new traffic, regardless of its health. */
  get eligible(): boolean {
    return this.weight > 0 && this.state.set === 'up';
  }

  get live(): number {
    return this.state.live;
  }

  get share(): number {
    const { since } = this.state;
    if (since === null || this.#slowStart === 0) return this.weight;
    const grown = (performance.now() - since) / this.#slowStart;
    return grown >= 1 ? this.weight : this.weight * Math.max(LEAST_SHARE, grown);
  }

  /** Whether it may get one more: it is below its maximum, and below its rate for this kind. */
  takes(kind: TrafficKind | null, now: number): boolean {
    if (this.state.live >= this.#maxConnections) return false;
    return kind === null || (this.#buckets[kind]?.wait(now) ?? 0) === 0;
  }

  /** Counts one more request of this kind. */
  spend(kind: TrafficKind, now: number): void {
    this.#buckets[kind]?.take(now);
  }
}
