// Admission by the rates and by the limits of live sessions. A handshake is admitted in two steps: by its address
// alone, before its credentials are checked, and by its identity after. What it takes of the limits of live sessions is
// held by its permit until the session ends; the tokens it takes of a rate are spent. The limits themselves are in
// limits.ts.
import type { Principal } from '../auth/authenticator.ts';
import { type Rejection, reject } from '../handshake/rejection.ts';
import { addressKey } from '../http/address-key.ts';
import { claimOf, textOf } from '../http/claims.ts';
import { claimKey } from './client-key.ts';
import type { RouteLimits } from './limits.ts';
import { Counter, Permit, type QuotaCounters } from './permit.ts';
import type { Ramp } from './ramp.ts';
import { type RateRequest, type RateWait, type SharedRates, takeRates } from './rates.ts';

/** A client's request to a route, for admission. */
export interface AdmissionRequest {
  readonly route: string;
  /** The client's address. */
  readonly client: string;
  readonly limits: RouteLimits;
}

export interface AdmissionOptions {
  readonly ramp: Ramp;
  /** The buckets that gateways share; null where nothing is shared. */
  readonly shared: () => SharedRates | null;
}

/** At once where no other machine is needed. */
type Soon<T> = T | Promise<T>;

/** For all routes. It outlives reloads: a route's live sessions go on counting under its name. */
export class Admission {
  readonly #counters: QuotaCounters = { routes: new Counter(), clients: new Counter(), claims: new Counter() };
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * Before credentials: the address's room, the ramp, and the rates. The permit is the caller's to release from here on. A
   * refusal has taken nothing of any limit.
   */
  admitAddress(request: AdmissionRequest): Soon<Permit | Rejection> {
    const permit = new Permit(this.#counters, request.route, addressKey(request.client));
    const { ramp } = this.#options;
    const ofClient = permit.takeAddress(request.limits);
    if (ofClient !== null) return rejectFor('client_limit', ofClient);
    // Where there is no room now, no credentials need to be checked.
    const reached = permit.reached(request.limits);
    const refused = reached === null ? null : rejectFor('limit', reached);
    const late = refused ?? (ramp.open() ? null : rejectRamp(ramp.promise()));
    if (late !== null) return released(permit, late);
    const wait = this.#take(rateRequestsOf(request));
    const settle = (waited: RateWait | null) => (waited === null ? permit : released(permit, rejectRate(waited)));
    if (wait !== null && !(wait instanceof Promise)) return settle(wait);
    // Before any wait, or all that wait together would find the ramp open.
    ramp.take();
    return wait === null ? permit : wait.then(settle);
  }

  /** After credentials: the room of the claim, the route and the gateway, and the claim's rate. Null: the permit holds all of it. */
  admitIdentity(request: AdmissionRequest, permit: Permit, principal: Principal | null): Soon<Rejection | null> {
    const { limits } = request;
    const claim = claimKeyOf(request, principal);
    const ofClaim = claim === null ? null : permit.takeClaim(claim, limits);
    if (ofClaim !== null) return rejectFor('client_limit', ofClaim);
    const reached = permit.takeRoute(limits);
    if (reached !== null) return rejectFor('limit', reached);
    return this.#rate(claimRateRequestsOf(request, principal));
  }

  /** A plain request, before credentials; null: it may go on. */
  request(request: AdmissionRequest): Soon<Rejection | null> {
    return this.#rate(rateRequestsOf(request));
  }

  /** A plain request, after credentials; null: it may go on. */
  requestOf(request: AdmissionRequest, principal: Principal | null): Soon<Rejection | null> {
    return this.#rate(claimRateRequestsOf(request, principal));
  }

  #rate(requests: readonly RateRequest[]): Soon<Rejection | null> {
    const wait = this.#take(requests);
    if (wait instanceof Promise) return wait.then((waited) => (waited === null ? null : rejectRate(waited)));
    return wait === null ? null : rejectRate(wait);
  }

  #take(requests: readonly RateRequest[]): Soon<RateWait | null> {
    return requests.length === 0 ? null : takeRates(requests, this.#options.shared(), performance.now());
  }
}

function released(permit: Permit, rejection: Rejection): Rejection {
  permit.release();
  return rejection;
}

function rateRequestsOf({ limits, client }: AdmissionRequest): RateRequest[] {
  if (limits.rates.length === 0) return [];
  const address = addressKey(client);
  return limits.rates.map((limiter) => ({ limiter, client: limiter.perClient ? address : '' }));
}

function claimRateRequestsOf(request: AdmissionRequest, principal: Principal | null): RateRequest[] {
  const client = claimKeyOf(request, principal);
  return client === null ? [] : request.limits.claimRates.map((limiter) => ({ limiter, client }));
}

/**
 * The client of a limit by claim. All clients without the claim are one client. Null where no limit goes by a claim,
 * and for a request that was not authenticated, such as a preflight that passes.
 */
function claimKeyOf({ limits: { claim } }: AdmissionRequest, principal: Principal | null): string | null {
  if (claim === null || principal === null) return null;
  const value = claimOf(principal.claims, claim);
  return value === undefined || value === null ? '' : claimKey(textOf(value) ?? JSON.stringify(value));
}

function rejectRate({ request: ask, waitMs }: RateWait): Rejection {
  const detail = ask.limiter.perClient ? 'this client asks too often' : 'too many ask for this at the moment';
  const fields = ['Retry-After', secondsAfter(waitMs * (1 + Math.random() / 5))];
  return { ...reject('rate', detail, fields), limit: ask.limiter.id };
}

function rejectFor(reason: 'limit' | 'client_limit', limit: string): Rejection {
  return { ...reject(reason), limit };
}

function rejectRamp(waitMs: number): Rejection {
  return reject('ramp', undefined, ['Retry-After', secondsAfter(waitMs)]);
}

/** Whole seconds (RFC 9110 §10.2.3), never too few, and not the same for all who were refused together. */
function secondsAfter(waitMs: number): string {
  return `${Math.max(1, Math.ceil(waitMs / 1000 + Math.random()))}`;
}
