// What one handshake, and then its session, holds of the limits of live sessions: those of its address, its claim, its
// route and the gateway. It grows with each step, and all of it is released at once.
import type { Quota, RouteLimits } from './limits.ts';

/** Counts what is held under a key, and forgets keys that hold nothing, so that memory follows the live sessions. */
export class Counter {
  readonly #held = new Map<string, number>();

  has(key: string, room: number | undefined): boolean {
    return room === undefined || (this.#held.get(key) ?? 0) < room;
  }

  add(key: string, step: 1 | -1): void {
    const held = (this.#held.get(key) ?? 0) + step;
    if (held === 0) this.#held.delete(key);
    else this.#held.set(key, held);
  }
}

/** What is counted, of all routes. The gateway itself is the route without a name. */
export interface QuotaCounters {
  readonly routes: Counter;
  readonly clients: Counter;
  readonly claims: Counter;
}

const GATEWAY = '';

export class Permit {
  readonly #counters: QuotaCounters;
  readonly #route: string;
  readonly #address: string;
  #claim: string | null = null;
  #arrived = false;
  #admitted = false;

  /** Holds nothing yet. */
  constructor(counters: QuotaCounters, route: string, address: string) {
    this.#counters = counters;
    this.#route = route;
    this.#address = address;
  }

  /** Takes the address's part of route and gateway; where there is no room, returns which limit is reached, as in a Rejection. */
  takeAddress({ room, gatewayRoom }: Pick<RouteLimits, 'room' | 'gatewayRoom'>): string | null {
    const { clients } = this.#counters;
    const [own, all] = this.#addressKeys();
    if (!clients.has(own, room.connections_per_ip)) return `${this.#route} connections_per_ip`;
    if (!clients.has(all, gatewayRoom.connections_per_ip)) return 'connections_per_ip';
    clients.add(own, 1);
    clients.add(all, 1);
    this.#arrived = true;
    return null;
  }

  /** Takes the claim's part; where there is no room, returns which limit is reached. */
  takeClaim(claim: string, { room }: { readonly room: Quota }): string | null {
    const key = this.#keyOf(claim);
    if (!this.#counters.claims.has(key, room.connections_per_claim)) return `${this.#route} connections_per_claim`;
    this.#counters.claims.add(key, 1);
    this.#claim = claim;
    return null;
  }

  /** Which limit of route or gateway is reached at the moment; null: there is room. */
  reached({ room, gatewayRoom }: Pick<RouteLimits, 'room' | 'gatewayRoom'>): string | null {
    const { routes } = this.#counters;
    if (!routes.has(this.#route, room.connections)) return `${this.#route} connections`;
    return routes.has(GATEWAY, gatewayRoom.connections) ? null : 'connections';
  }

  /** Takes the part of route and gateway; where there is no room, returns which limit is reached. */
  takeRoute(limits: Pick<RouteLimits, 'room' | 'gatewayRoom'>): string | null {
    const reached = this.reached(limits);
    if (reached !== null) return reached;
    this.#counters.routes.add(this.#route, 1);
    this.#counters.routes.add(GATEWAY, 1);
    this.#admitted = true;
    return null;
  }

  /** Releases everything; further calls do nothing. */
  release(): void {
    const { routes, clients, claims } = this.#counters;
    if (this.#arrived) for (const key of this.#addressKeys()) clients.add(key, -1);
    if (this.#claim !== null) claims.add(this.#keyOf(this.#claim), -1);
    if (this.#admitted) for (const key of [this.#route, GATEWAY]) routes.add(key, -1);
    this.#arrived = false;
    this.#claim = null;
    this.#admitted = false;
  }

  /** Put together when it is needed: kept, it would be memory of every session. An address has no space. */
  #addressKeys(): [string, string] {
    return [this.#keyOf(this.#address), this.#address];
  }

  /** A route's name has no space. */
  #keyOf(of: string): string {
    return `${this.#route} ${of}`;
  }
}
