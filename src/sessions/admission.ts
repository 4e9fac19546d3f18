// How many sessions may live: permits by route and by client of a route. A permit is taken before a backend is asked and
// held until the session ends.

/** The most a route allows; undefined is no limit. */
export interface Limits {
  readonly connections?: number | undefined;
  readonly connections_per_ip?: number | undefined;
}

/** Gives the permit back; more calls than one do nothing. */
export type Permit = () => void;

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

/** Permits of all routes. It outlives reloads: a route's live sessions go on counting under its name. */
export class Admission {
  readonly #routes = new Counter();
  readonly #clients = new Counter();

  /** A permit for one session of a route, or the reason there is none. */
  acquire(route: string, client: string, limits: Limits): Permit | 'limit' | 'client_limit' {
    // A route's name has no space.
    const ofClient = `${route} ${client}`;
    if (!this.#clients.has(ofClient, limits.connections_per_ip)) return 'client_limit';
    if (!this.#routes.has(route, limits.connections)) return 'limit';
    this.#routes.add(route, 1);
    this.#clients.add(ofClient, 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#routes.add(route, -1);
      this.#clients.add(ofClient, -1);
    };
  }
}
