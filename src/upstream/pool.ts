// The servers of one upstream: their list, the choice for each request, and their states. A pool belongs to one config. The
// state of a server (its count, its tunnels, its health) moves to the pool of the next config.
import type { LookupFunction } from 'node:net';
import type { UpstreamConfig } from '../config/schema/schema.ts';
import type { Emit, Sample } from '../events.ts';
import type { BackendTls } from '../net/endpoint.ts';
import { type Balance, buildBalance } from './balance/build.ts';
import type { Ask } from './balance/key.ts';
import { Discovery, type Expanded } from './discovery.ts';
import { GradualClose, takenOut } from './gradual-close.ts';
import { Health, isUp } from './health/health.ts';
import { Lease } from './lease.ts';
import { Rebalance } from './rebalance.ts';
import { RetryBudget } from './retry/retry-budget.ts';
import { Server, ServerState } from './server.ts';
import type { ServerOverrides, SetState } from './server-overrides.ts';
import { Sticky } from './sticky.ts';

export type { Server } from './server.ts';

export interface PoolOptions {
  readonly name: string;
  readonly config: UpstreamConfig;
  readonly tls: BackendTls | null;
  readonly emit: Emit;
  /** The key of sticky cookies if the config has no secret. */
  readonly secret: string;
  /** The states that operators have set. */
  readonly overrides: ServerOverrides;
  /** Looks up the names of servers; unset: node does, at each connection. */
  readonly lookup?: LookupFunction;
}

const NONE: readonly Server[] = [];

export class Pool {
  readonly name: string;
  readonly budget: RetryBudget;
  readonly sticky: Sticky | null;
  readonly #options: PoolOptions;
  readonly #balance: Balance;
  readonly #health: Health;
  readonly #rebalance: Rebalance | null;
  readonly #discovery: Discovery | null;
  /** The states that survive a reload, by address, including removed servers that still carry sessions. */
  readonly #states: Map<string, ServerState>;
  readonly #gradualClose: GradualClose;
  #servers: readonly Server[] = [];
  /** The servers of the config, and the backups. */
  #tiers: readonly (readonly Server[])[] = [];
  /** The pool of the next config, as soon as that has started. */
  #successor: Pool | null = null;

  /** Takes over the server states of `previous`, which serves until this pool is started. */
  constructor(options: PoolOptions, previous: Pool | null = null) {
    const { name, config, emit, secret } = options;
    this.name = name;
    this.#options = options;
    this.#states = previous === null ? new Map() : previous.#states;
    this.#gradualClose = previous === null ? new GradualClose() : previous.#gradualClose;
    this.budget = new RetryBudget(config.retry, previous?.budget ?? null);
    this.#balance = buildBalance(config.balance);
    this.sticky = config.sticky === undefined ? null : new Sticky(name, config.sticky, secret);
    const servers = () => this.#servers;
    this.#health = new Health({
      upstream: name,
      config: config.health,
      emit,
      servers,
      onDown: (server) => {
        if (config.health.on_down === 'close') this.#gradualClose.start(server.state, 'server_down', config.close_rate);
      },
      onUp: (server) => this.#onServerUp(server),
    });
    const moving = previous === null ? null : previous.#rebalance;
    this.#rebalance = config.rebalance === undefined ? null : new Rebalance(config.rebalance, servers, moving);
    this.#discovery =
      config.dns === undefined
        ? null
        : new Discovery(
            { upstream: name, config: config.dns, servers: config.servers, emit },
            previous === null ? null : previous.#discovery,
          );
    this.#setServers(this.#expand(), previous);
  }

  get servers(): readonly Server[] {
    return this.#servers;
  }

  /** Its config. */
  get config(): UpstreamConfig {
    return this.#options.config;
  }

  get tls(): BackendTls | null {
    return this.#options.tls;
  }

  serverAt(url: string): Server | undefined {
    return this.#servers.find((server) => server.url === url);
  }

  /** If the upstream uses DNS, queries it once, so that there are servers from the start. Never rejects. */
  async prepare(): Promise<void> {
    if (this.#discovery === null) return;
    await this.#discovery.prepare();
    this.#setServers(this.#expand());
  }

  /** Starts health checks and DNS queries. The caller must stop `previous` first. */
  start(previous: Pool | null = null): void {
    for (const { url, state } of this.#servers) this.#states.set(url, state);
    this.#forget();
    this.#health.start();
    if (previous !== null) {
      previous.#successor = this;
      for (const server of this.#servers) if (!previous.serverAt(server.url)) this.#onServerUp(server);
      if (this.#rebalance !== null) this.#rebalance.resume();
      else if (previous.#rebalance !== null) previous.#rebalance.abandon();
    }
    this.#discovery?.start(() => this.#rediscover());
  }

  /** Stops every timer; `for good` if no pool follows this one. */
  stop(end: 'replaced' | 'for good'): void {
    this.#health.stop();
    this.#discovery?.stop();
    this.#rebalance?.stop();
    if (end === 'replaced') return;
    this.#rebalance?.abandon();
    this.#gradualClose.stop();
  }

  /**
   * Picks the server for a request (null: a request of the gateway's own), except those already tried; null if none can take
   * it. A caller with the pool of an earlier config, such as a session that started under it, is served by the current pool.
   */
  pick(ask: Ask | null, tried: readonly Server[] = NONE): Server | null {
    if (this.#successor !== null) return this.#successor.pick(ask, tried);
    const now = performance.now();
    const kind = ask === null ? null : ask.kind;
    const isFree = (server: Server): boolean => free(server, tried) && server.takes(kind, now);
    const takes = (server: Server): boolean => isFree(server) && server.state.breaker.open(now);
    const bound = ask?.bound ?? null;
    const own = bound === null ? undefined : this.#servers.find((server) => bound.has(server) && takes(server));
    if (own !== undefined) return own;
    const held = ask === null || this.sticky === null ? null : this.sticky.serverOf(ask);
    if (held !== null && takes(held)) return held;
    const due = ask?.kind === 'handshake' ? this.#rebalance?.due() : undefined;
    if (due && takes(due)) {
      due.state.pendingMoves--;
      return due;
    }
    // An ejected server is better than none.
    return this.#pickOf(takes, ask) ?? this.#pickOf((server) => isFree(server) && server.state.breaker.out, ask);
  }

  #pickOf(takes: (server: Server) => boolean, ask: Ask | null): Server | null {
    const { balancer, keyOf } = this.#balance;
    for (const tier of this.#tiers) {
      const open = tier.every(takes) ? tier : tier.filter(takes);
      if (open.length > 1) return balancer.pick(open, () => (ask === null ? null : keyOf(ask)));
      // With one candidate every balancer would pick the same.
      if (open[0] !== undefined) return open[0];
    }
    return null;
  }

  /** Takes a lease on the picked server, for a client's request or one of the gateway's own. */
  take(server: Server, ask: Ask | null = null): Lease {
    if (ask !== null) server.spend(ask.kind, performance.now());
    return new Lease(server, this.#health);
  }

  /**
   * Sets a server up, draining or down, independent of its health. Returns how many tunnels are closed because of it, or null
   * if there is no such server.
   */
  set(url: string, set: SetState): number | null {
    const server = this.serverAt(url);
    if (server === undefined) return null;
    const { name, overrides, config } = this.#options;
    const { state } = server;
    const before = state.set;
    overrides.set(name, url, set);
    state.set = set;
    if (set === 'up') {
      if (before !== 'up') this.#onServerUp(server);
      return 0;
    }
    const { size } = state.tunnels;
    if (set === 'down') this.#gradualClose.closeAll(state, takenOut(set));
    else this.#gradualClose.start(state, takenOut(set), config.close_rate);
    return size;
  }

  /** When an operator set a server's state, in milliseconds since 1970; null where none did. */
  setSince({ url }: Server): number | null {
    return this.#options.overrides.sinceOf(this.name, url);
  }

  *sample(): Iterable<Sample> {
    for (const [url, { live }] of this.#states) {
      if (live === 0 && !this.serverAt(url)) continue;
      yield { metric: 'upstream_connections', labels: { upstream: this.name, server: url }, value: live };
    }
    for (const server of this.#servers) {
      const labels = { upstream: this.name, server: server.url };
      yield { metric: 'upstream_up', labels, value: isUp(server) ? 1 : 0 };
    }
  }

  #expand(): readonly Expanded[] {
    const { servers } = this.#options.config;
    return this.#discovery?.expand() ?? servers.map((config) => ({ config }));
  }

  #stateAt(url: string): ServerState {
    const { name, overrides } = this.#options;
    return this.#states.get(url) ?? new ServerState(overrides.stateOf(name, url));
  }

  /**
   * Sets the servers, with their states from `previous`. Not in the constructor: closures there would keep `previous` alive,
   * and so each pool would keep all pools before it.
   */
  #setServers(all: readonly Expanded[], previous: Pool | null = null): void {
    const stateOf = (url: string): ServerState => previous?.serverAt(url)?.state ?? this.#stateAt(url);
    const { name, config, tls, lookup } = this.#options;
    const { slow_start: slowStart, proxy_protocol: proxyProtocol } = config;
    const of = {
      ...{ upstream: name, tls, slowStart },
      ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
      ...(lookup === undefined ? {} : { lookup }),
    };
    this.#servers = all.map(
      ({ config: server, serverName }) =>
        new Server(server, { ...of, state: stateOf(server.url), ...(serverName === undefined ? {} : { serverName }) }),
    );
    // A server of weight 0 serves only the clients that are bound to it.
    const weighed = this.#servers.filter(({ weight }) => weight > 0);
    const [first, backups] = [false, true].map((backup) => weighed.filter((server) => server.backup === backup));
    this.#tiers = [first ?? [], backups ?? []];
    this.sticky?.setServers(this.#servers);
  }

  /** The DNS answer has changed: servers that stay keep their state. */
  #rediscover(): void {
    const { name, config, emit } = this.#options;
    const before = this.#servers;
    this.#setServers(this.#expand());
    for (const { url, state } of this.#servers) this.#states.set(url, state);
    for (const server of before) {
      if (this.serverAt(server.url)) continue;
      emit({ type: 'server_changed', upstream: name, server: server.url, up: false, reason: 'left', detail: 'DNS' });
      if (config.dns?.on_leave === 'close') this.#gradualClose.start(server.state, 'server_left', config.close_rate);
    }
    for (const server of this.#servers) {
      if (before.some(({ url }) => url === server.url)) continue;
      emit({ type: 'server_changed', upstream: name, server: server.url, up: true, reason: 'joined', detail: 'DNS' });
      this.#onServerUp(server);
    }
    this.#forget();
  }

  /** A new or recovered server starts slowly, keeps what it still carries, and may get sessions by rebalancing. */
  #onServerUp(server: Server): void {
    if (server.state.set !== 'up') return;
    server.state.since = performance.now();
    this.#gradualClose.cancel(server.state);
    this.#rebalance?.toward(server);
  }

  /** Drops the states of addresses that are not servers any more and carry nothing. */
  #forget(): void {
    for (const [url, { live }] of this.#states) if (live === 0 && !this.serverAt(url)) this.#states.delete(url);
  }
}

/** Whether the server's check, its operator state and this request allow one more. */
function free(server: Server, tried: readonly Server[]): boolean {
  const { checked, set } = server.state;
  return checked !== false && set === 'up' && !tried.includes(server);
}
