// Revokes access: live sessions of a subject, an address, a route or an id are closed with 4403, and no client that
// matches is admitted again for a while. Revocations are in this process's memory only: a restart forgets them, so a
// token needs an expiry time of its own.
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import { compileAddresses } from '../http/forwarding/addresses.ts';
import type { Session } from './registry.ts';

/** What a client must match to be revoked: every criterion that is given. */
export interface Revocation {
  /** The subject of the credentials. */
  readonly subject?: string | undefined;
  /** Of the client: an address or a CIDR range. */
  readonly address?: string | undefined;
  readonly route?: string | undefined;
  /** Of the connection. */
  readonly id?: string | undefined;
}

/** A client that is admitted, or wants to be. */
export type ClientIdentity = Pick<Session, 'id' | 'route' | 'client' | 'user'>;

/** The close code for it. */
const CODE = 4403;
/** Most revocations in force; each is checked for each handshake. One more replaces the one that ends first. */
const MAX_ACTIVE = 10_000;

interface ActiveRevocation {
  readonly fits: (visitor: ClientIdentity) => boolean;
  readonly until: number;
}

export class Revocations {
  readonly #live: () => readonly Session[];
  readonly #now: () => number;
  #active: ActiveRevocation[] = [];

  /** Revokes among the sessions that `live` gives; `now` is in milliseconds of a clock that never goes back. */
  constructor(live: () => readonly Session[], now: () => number = () => performance.now()) {
    this.#live = live;
    this.#now = now;
  }

  /**
   * Closes the live sessions that match, and refuses clients that match for `forMs` milliseconds; a handshake that is
   * under way meanwhile is refused too. Returns the number of sessions closed.
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

  /** Closes a session that has just opened where its access was revoked while its handshake was under way. */
  closeIfRevoked(session: Session): void {
    if (this.refuses(session)) close(session);
  }

  /** Whether nothing is revoked, which is nearly always. */
  get none(): boolean {
    return this.#active.length === 0;
  }

  /** Whether a client's access is revoked. */
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
