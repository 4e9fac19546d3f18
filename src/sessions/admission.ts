// How many sessions may live: permits by client of a route and by route. A permit is taken in two steps, the client's part
// before its credentials are looked at, the route's after, and is held until the session ends.
import type { Principal } from '../auth/authenticator.ts';
import { type Rejection, reject } from '../handshake/rejection.ts';

/** The most a route allows; undefined is no limit. */
export interface Limits {
  readonly connections?: number | undefined;
  readonly connections_per_ip?: number | undefined;
}

/** Somebody at the door of a route. */
export interface Visit {
  readonly route: string;
  /** The client's address. */
  readonly client: string;
  readonly limits: Limits;
}

/** Counts what is held under a key, and forgets keys that hold nothing, so that memory follows what is live. */
class Counter {
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

/** What is counted, of all routes. */
interface Counters {
  readonly routes: Counter;
  readonly clients: Counter;
}

/** What one visit holds: it grows with each step, and all of it is given back at once. */
export class Permit {
  readonly #counters: Counters;
  readonly #route: string;
  /** Under which the client is counted; a route's name has no space. Null: it is not, or not any more. */
  #client: string | null = null;
  #admitted = false;

  constructor(counters: Counters, { route }: Visit) {
    this.#counters = counters;
    this.#route = route;
  }

  /** Takes the client's part, where there is room. */
  takeClient({ route, client, limits }: Visit): boolean {
    const key = `${route} ${client}`;
    if (!this.#counters.clients.has(key, limits.connections_per_ip)) return false;
    this.#counters.clients.add(key, 1);
    this.#client = key;
    return true;
  }

  /** Takes the route's part, where there is room. */
  takeRoute({ limits }: Visit): boolean {
    if (!this.#counters.routes.has(this.#route, limits.connections)) return false;
    this.#counters.routes.add(this.#route, 1);
    this.#admitted = true;
    return true;
  }

  /** Gives everything back; more calls than one do nothing. */
  release(): void {
    if (this.#client !== null) this.#counters.clients.add(this.#client, -1);
    this.#client = null;
    if (this.#admitted) this.#counters.routes.add(this.#route, -1);
    this.#admitted = false;
  }
}

/** Permits of all routes. It outlives reloads: a route's live sessions go on counting under its name. */
export class Admission {
  readonly #counters: Counters = { routes: new Counter(), clients: new Counter() };

  /** Before credentials: what is judged by the address alone. The permit is the caller's to release from here on. */
  arrive(visit: Visit): Permit | Rejection {
    const permit = new Permit(this.#counters, visit);
    return permit.takeClient(visit) ? permit : reject('client_limit');
  }

  /** After credentials: what is judged by who it is, and the route's own room. Null: all of it is held by the permit now. */
  admit(visit: Visit, permit: Permit, _principal: Principal | null): Rejection | null {
    return permit.takeRoute(visit) ? null : reject('limit');
  }
}
