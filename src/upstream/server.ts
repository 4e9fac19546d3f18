// One server of an upstream: where it is, what part of the traffic it gets, and its state (sessions, tunnels, health). The
// state outlasts a reload; the rest is of one config.
import type { LookupFunction } from 'node:net';

import { SlotSet } from '../base/slot-set.ts';
import { Bucket, type Rate } from '../base/token-bucket.ts';
import type { UpstreamConfig } from '../config/schema/schema.ts';
import type { ProxyVersion } from '../http/proxy-protocol.ts';
import type { BackendTls, Endpoint } from '../net/endpoint.ts';
import type { Ask } from './balance/key.ts';
import { Breaker } from './health/breaker.ts';
import type { SetState } from './server-overrides.ts';

/** A server that was written as its address alone has nothing else. */
export type ServerConfig = Extract<UpstreamConfig['servers'][number], { max_connections?: unknown }>;

/** What is counted apart. */
export type TrafficKind = Ask['kind'];

/** A session that can be closed, so that its client comes back to another server. */
export interface Movable {
  close(code: number, reason: string, deadlineMs: number): void;
}

/** The state of an address. It is one value for all configs that have the address. */
export class ServerState {
  /** Sessions and requests it carries now. */
  live = 0;
  readonly tunnels = new SlotSet<Movable>();
  readonly breaker = new Breaker();
  /** The result of the active check; null before the first one. */
  checked: boolean | null = null;
  /** Since when it serves again, by performance.now(); null where it has served from the start. */
  since: number | null = null;
  /** New sessions that it is to get before any other server, because as many were moved for it. */
  pendingMoves = 0;
  /** As an operator has set it. */
  set: SetState;
  readonly #buckets = new Map<TrafficKind, Bucket>();

  constructor(set: SetState = 'up') {
    this.set = set;
  }

  /** The bucket of a rate: the one there is, at its level, unless the rate is another one now. */
  bucketOf(kind: TrafficKind, rate: Rate | undefined): Bucket | null {
    const known = this.#buckets.get(kind);
    if (rate === undefined) this.#buckets.delete(kind);
    else if (known?.rate.rate !== rate.rate || known.rate.burst !== rate.burst)
      this.#buckets.set(kind, new Bucket(rate));
    return this.#buckets.get(kind) ?? null;
  }
}

/** What a server is besides its address. */
export interface ServerOf {
  readonly upstream: string;
  readonly state: ServerState;
  readonly tls: BackendTls | null;
  /** Milliseconds over which one that comes or comes back gets its part little by little; 0: at once. */
  readonly slowStart: number;
  /** The name it was resolved from. */
  readonly serverName?: string;
  readonly proxyProtocol?: ProxyVersion;
  readonly lookup?: LookupFunction;
}

/** Even at its start it gets some, or it would never be tried. */
const LEAST_SHARE = 0.1;

export class Server implements Endpoint {
  readonly upstream: string;
  readonly url: string;
  /** What it knows itself by, in Host; one on a unix socket has no authority of its own. */
  readonly authority: string;
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  readonly unix?: string;
  readonly tls: BackendTls | null;
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

  /** Whether it gets new traffic as far as its weight and an operator go; its health is another matter. */
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

  /** Whether it may get one more: it carries less than it may, and has not had as many of this kind as it may just now. */
  takes(kind: TrafficKind | null, now: number): boolean {
    if (this.state.live >= this.#maxConnections) return false;
    return kind === null || (this.#buckets[kind]?.wait(now) ?? 0) === 0;
  }

  /** It gets one more. */
  spend(kind: TrafficKind, now: number): void {
    this.#buckets[kind]?.take(now);
  }
}
