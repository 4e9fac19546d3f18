// The limits of a config at work: for each route its own and the gateway's together, in the order they are checked. A
// limit that the previous config had too keeps its state.

import type { Rate } from '../base/token-bucket.ts';
import type { Config, RouteConfig } from '../config/schema/schema.ts';
import type { Sample, Sampler } from '../events.ts';
import { createLimiter, type Limiter } from './limiter.ts';

/** The most live sessions, of all and of one client; undefined is no limit. */
export interface Quota {
  readonly connections?: number | undefined;
  readonly connections_per_ip?: number | undefined;
  readonly connections_per_claim?: number | undefined;
}

/** The limits of one kind of request of a route. */
export interface RouteLimits {
  /** Checked before credentials: those of one client first, then the route's, then the gateway's. */
  readonly rates: readonly Limiter[];
  /** The claim that identifies clients; null where no limit goes by one. */
  readonly claim: string | null;
  /** Checked once the claim is known. */
  readonly claimRates: readonly Limiter[];
  /** Of live sessions: the route's, and the gateway's. */
  readonly room: Quota;
  readonly gatewayRoom: Quota;
}

/** Limits by route, of handshakes and of plain requests. */
export class Limits implements Sampler {
  readonly #handshakes = new Map<string, RouteLimits>();
  readonly #requests = new Map<string, RouteLimits>();
  readonly #limiters: ReadonlyMap<string, Limiter>;

  constructor(config: Config, previous: Limits | null) {
    const limiters = new Map<string, Limiter>();
    const limiter: Make = (id, rate, of) => {
      if (rate === undefined) return [];
      const known = limiters.get(id) ?? previous?.limiterOf(id);
      const made = known !== undefined && sameRate(known.rate, rate) ? known : createLimiter(id, rate, of);
      limiters.set(id, made);
      return [made];
    };
    for (const route of config.routes) {
      if (route.websocket) this.#handshakes.set(route.name, ofHandshakes(config, route.websocket, route.name, limiter));
      const requests = route.http === undefined ? NONE : ofRequests(config, route.http, route.name, limiter);
      if (requests.rates.length + requests.claimRates.length > 0) this.#requests.set(route.name, requests);
    }
    this.#limiters = limiters;
  }

  /** Of a route that the config has. */
  handshakes(route: string): RouteLimits {
    return this.#handshakes.get(route) ?? NONE;
  }

  /** Null where they have no limit. */
  requests(route: string): RouteLimits | null {
    return this.#requests.get(route) ?? null;
  }

  limiterOf(id: string): Limiter | undefined {
    return this.#limiters.get(id);
  }

  *sample(): Iterable<Sample> {
    const now = performance.now();
    for (const limiter of this.#limiters.values()) {
      if (!limiter.perClient) continue;
      yield { metric: 'limit_clients', labels: { limit: limiter.id }, value: limiter.clients(now) };
    }
  }
}

const NONE: RouteLimits = { rates: [], claim: null, claimRates: [], room: {}, gatewayRoom: {} };

/**
 * The limiter of a rate, or none where there is no such rate. The same id is the same limiter; a route's begins with its
 * name, which has no space, and the gateway's has none.
 */
type Make = (id: string, rate: Rate | undefined, of: 'all' | 'client') => Limiter[];

function ofHandshakes(config: Config, own: NonNullable<RouteConfig['websocket']>, route: string, limiter: Make) {
  const { limits } = own;
  const all = config.limits;
  return {
    rates: [
      ...limiter(`${route} handshakes_per_second_per_ip`, limits.handshakes_per_second_per_ip, 'client'),
      ...limiter('handshakes_per_second_per_ip', all.handshakes_per_second_per_ip, 'client'),
      ...limiter(`${route} handshakes_per_second`, limits.handshakes_per_second, 'all'),
      ...limiter('handshakes_per_second', all.handshakes_per_second, 'all'),
    ],
    claim: limits.claim ?? null,
    claimRates: limiter(`${route} handshakes_per_second_per_claim`, limits.handshakes_per_second_per_claim, 'client'),
    room: limits,
    gatewayRoom: all,
  };
}

function ofRequests(config: Config, own: NonNullable<RouteConfig['http']>, route: string, limiter: Make) {
  const { limits } = own;
  const all = config.limits;
  return {
    rates: [
      ...limiter(`${route} requests_per_second_per_ip`, limits.requests_per_second_per_ip, 'client'),
      ...limiter('requests_per_second_per_ip', all.requests_per_second_per_ip, 'client'),
      ...limiter(`${route} requests_per_second`, limits.requests_per_second, 'all'),
      ...limiter('requests_per_second', all.requests_per_second, 'all'),
    ],
    claim: limits.claim ?? null,
    claimRates: limiter(`${route} requests_per_second_per_claim`, limits.requests_per_second_per_claim, 'client'),
    room: {},
    gatewayRoom: {},
  };
}

function sameRate(one: Rate, other: Rate): boolean {
  return one.rate === other.rate && one.burst === other.burst;
}
