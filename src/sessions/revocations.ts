// Taking access back: live sessions of a subject, an address, a route or an id are closed with 4403, and nobody whom it is
// about is let in again for a while. It lives in this process's memory: a restart forgets it, and so a token has to end by
// itself some time.
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import { compileAddresses } from '../http/forwarding/addresses.ts';
import type { Session } from './registry.ts';

/** Whom it is about: everything that is given has to fit. */
export interface Revocation {
  /** The subject of the credentials. */
  readonly subject?: string | undefined;
  /** Of the client: an address or a CIDR range. */
  readonly address?: string | undefined;
  readonly route?: string | undefined;
  /** Of the connection. */
  readonly id?: string | undefined;
}

/** Somebody who is let in, or wants to be. */
export type ClientIdentity = Pick<Session, 'id' | 'route' | 'client' | 'user'>;

/** The close code for it. */
const CODE = 4403;
/** Revocations in force at a time; each is looked at for each handshake. With one more the one that ends first is let go. */
const MAX_ACTIVE = 10_000;

interface ActiveRevocation {
  readonly fits: (visitor: ClientIdentity) => boolean;
  readonly until: number;
}

export class Revocations {
  readonly #live: () => readonly Session[];
  readonly #now: () => number;
  #active: ActiveRevocation[] = [];

  /** Of the sessions that `live` gives; `now` is in milliseconds of a clock that never goes back. */
  constructor(live: () => readonly Session[], now: () => number = () => performance.now()) {
    this.#live = live;
    this.#now = now;
  }

  /**
   * Closes the live sessions that it is about, and refuses whoever it is about for `forMs`; a handshake that is under way
   * meanwhile ends with it. The number of sessions closed.
   */
  revoke(revocation: Revocation, forMs: number): number {
    this.#forgetOld();
    const fits = compile(revocation);
    this.#active.push({ fits, until: this.#now() + forMs });
    if (this.#active.length > MAX_ACTIVE)
      this.#active = this.#active.sort((a, b) => b.until - a.until).slice(0, MAX_ACTIVE);
    const revoked = this.#live().filter(fits);
    for (const session of revoked) close(session);
    return revoked.length;
  }

  /** Closes a session that has just opened where access was taken back while its handshake was under way. */
  closeIfRevoked(session: Session): void {
    if (this.refuses(session)) close(session);
  }

  /** Whether nothing is revoked, which is nearly always. */
  get none(): boolean {
    return this.#active.length === 0;
  }

  /** Whether somebody's access was taken back. */
  refuses(visitor: ClientIdentity): boolean {
    if (this.none) return false;
    this.#forgetOld();
    return this.#active.some(({ fits }) => fits(visitor));
  }

  #forgetOld(): void {
    const now = this.#now();
    this.#active = this.#active.filter(({ until }) => until > now);
  }
}

function close(session: Session): void {
  session.close(CODE, 'revoked', CLOSE_TIMEOUT_MS);
}

function compile({ subject, address, route, id }: Revocation): (visitor: ClientIdentity) => boolean {
  const addresses = address === undefined ? null : compileAddresses([address]);
  return (visitor) =>
    (subject === undefined || visitor.user === subject) &&
    (route === undefined || visitor.route === route) &&
    (id === undefined || visitor.id === id) &&
    (addresses === null || addresses.has(visitor.client));
}
