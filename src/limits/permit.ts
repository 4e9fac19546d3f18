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

  /** Takes the address's part of route and gateway, where there is room. */
  takeAddress({ room, gatewayRoom }: Pick<RouteLimits, 'room' | 'gatewayRoom'>): boolean {
    const { clients } = this.#counters;
    const [own, all] = this.#addressKeys();
    if (!clients.has(own, room.connections_per_ip) || !clients.has(all, gatewayRoom.connections_per_ip)) return false;
    clients.add(own, 1);
    clients.add(all, 1);
    this.#arrived = true;
    return true;
  }

  /** Takes the claim's part, where there is room. */
  takeClaim(claim: string, { room }: { readonly room: Quota }): boolean {
    const key = this.#keyOf(claim);
    if (!this.#counters.claims.has(key, room.connections_per_claim)) return false;
    this.#counters.claims.add(key, 1);
    this.#claim = claim;
    return true;
  }

  /** Whether route and gateway have room at the moment. */
  hasRoom({ room, gatewayRoom }: Pick<RouteLimits, 'room' | 'gatewayRoom'>): boolean {
    const { routes } = this.#counters;
    return routes.has(this.#route, room.connections) && routes.has(GATEWAY, gatewayRoom.connections);
  }

  /** Takes the part of route and gateway, where there is room. */
  takeRoute(limits: Pick<RouteLimits, 'room' | 'gatewayRoom'>): boolean {
    if (!this.hasRoom(limits)) return false;
    this.#counters.routes.add(this.#route, 1);
    this.#counters.routes.add(GATEWAY, 1);
    this.#admitted = true;
    return true;
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
