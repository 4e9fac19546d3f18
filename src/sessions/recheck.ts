// Checks the credentials of live sessions again from time to time, with the request of their handshake, by the
// authenticator that their route has now. Sessions with valid credentials go on. A session that is refused is closed,
// and so is one that could not be checked for too long. Credentials with an expiry time of their own are expiry.ts.

import type { Authenticator, AuthRequest, AuthResult } from '../auth/authenticator.ts';
import { background } from '../base/guard.ts';
import { Semaphore } from '../base/semaphore.ts';
import type { Timed, TimerWheel } from '../base/timer-wheel.ts';
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import { isRejection } from '../handshake/rejection.ts';
import { ClientClosed } from '../net/client-closed.ts';

/** How a route checks its live sessions again. */
export interface Recheck {
  readonly authenticator: Authenticator;
  /** Milliseconds from one check to the next, give or take a tenth. */
  readonly everyMs: number;
  /** Milliseconds for which checks may fail without a result. */
  readonly graceMs: number;
}

/** What a session is checked by: its handshake. */
export type PresentedCredentials = Omit<AuthRequest, 'clientClosed'>;

/** A session that is checked again. */
export interface Rechecked {
  readonly route: string;
  /** The subject of its credentials. */
  readonly user: string | null;
  close(code: number, reason: string, deadlineMs: number): void;
}

export interface RechecksOptions<S extends Rechecked> {
  readonly wheel: TimerWheel;
  /** How a route checks now; null: it has no authentication any more, or checks at the handshake only. */
  readonly recheckOf: (route: string) => Recheck | null;
  /** Called with the new end of a session's credentials; null: never. */
  readonly renew: (session: S, expiresAt: number | null) => void;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/** Sessions checked at a time; the others are queued. */
const AT_A_TIME = 32;
/** The longest from one failed try to the next. */
const LONGEST_RETRY_MS = 10_000;

interface RecheckClose {
  readonly code: number;
  readonly reason: string;
}

type RecheckResult = 'good' | 'nobody' | RecheckClose;

export class Rechecks<S extends Rechecked> {
  readonly #options: Required<RechecksOptions<S>>;
  readonly #semaphore = new Semaphore(AT_A_TIME);
  /** Weak for the reason in slot-set.ts. */
  readonly #watched = new WeakMap<S, Watched<S>>();
  /** Routes whose last check had no result, and since when. */
  readonly #unavailableSince = new Map<string, number>();

  constructor(options: RechecksOptions<S>) {
    this.#options = { random: Math.random, ...options };
  }

  /** From now on the session is checked again as its route is configured; `everyMs` is the interval as it opens. */
  watch(session: S, credentials: PresentedCredentials, everyMs: number): void {
    const watched = new Watched(session, credentials, (due) => this.#look(due));
    this.#watched.set(session, watched);
    // The first check comes early for some: sessions that opened together, as after a restart, are not checked together.
    this.#schedule(watched, everyMs * (0.5 + this.#options.random() / 2));
  }

  forget(session: S): void {
    const watched = this.#watched.get(session);
    if (watched === undefined) return;
    this.#watched.delete(session);
    this.#options.wheel.remove(watched);
    watched.clientClosed.notify();
  }

  #schedule(watched: Watched<S>, inMs: number): void {
    const { wheel } = this.#options;
    wheel.schedule(watched, wheel.now() + inMs);
  }

  #look(watched: Watched<S>): void {
    const recheck = this.#options.recheckOf(watched.session.route);
    // A later config may check again: a session of a route that does not check now is scheduled all the same.
    if (recheck === null) this.#schedule(watched, LONGEST_RETRY_MS);
    else if (watched.due !== null) this.#await(watched, watched.due, recheck);
    else {
      watched.due = this.#options.wheel.now();
      this.#schedule(watched, recheck.graceMs);
      background('auth', this.#recheck(watched, recheck));
    }
  }

  /**
   * For a session that is still queued, or being checked. Behind a server that never answers, the queue is too slow to
   * wait for.
   */
  #await(watched: Watched<S>, due: number, recheck: Recheck): void {
    const silentSince = this.#unavailableSince.get(watched.session.route);
    const waitedMs = this.#options.wheel.now() - Math.max(due, silentSince ?? 0);
    if (silentSince !== undefined && waitedMs >= recheck.graceMs) this.#close(watched, UNKNOWN);
    else this.#schedule(watched, Math.max(retryMs(recheck), recheck.graceMs - waitedMs));
  }

  /** Never rejects. */
  async #recheck(watched: Watched<S>, { authenticator }: Recheck): Promise<void> {
    const verdict = await this.#ask(watched, authenticator);
    watched.due = null;
    if (watched.clientClosed.closed) return;
    // A reload may have changed it meanwhile.
    const recheck = this.#options.recheckOf(watched.session.route);
    if (recheck === null) this.#schedule(watched, LONGEST_RETRY_MS);
    else if (verdict === 'nobody') this.#unanswered(watched, recheck);
    else this.#answered(watched, recheck, verdict);
  }

  #answered(watched: Watched<S>, { everyMs }: Recheck, verdict: 'good' | RecheckClose): void {
    this.#unavailableSince.delete(watched.session.route);
    watched.failedSince = null;
    if (verdict === 'good') this.#schedule(watched, everyMs * (0.9 + this.#options.random() / 5));
    else this.#close(watched, verdict);
  }

  #unanswered(watched: Watched<S>, recheck: Recheck): void {
    const { route } = watched.session;
    const now = this.#options.wheel.now();
    watched.failedSince ??= now;
    if (!this.#unavailableSince.has(route)) this.#unavailableSince.set(route, now);
    const leftMs = watched.failedSince + recheck.graceMs - now;
    if (leftMs <= 0) this.#close(watched, UNKNOWN);
    else this.#schedule(watched, Math.min(leftMs, retryMs(recheck) * (0.5 + this.#options.random() / 2)));
  }

  async #ask({ session, credentials, clientClosed }: Watched<S>, authenticator: Authenticator): Promise<RecheckResult> {
    try {
      const done = await this.#semaphore.acquire(clientClosed.signal());
      try {
        return this.#read(session, await authenticator.authenticate({ ...credentials, clientClosed }));
      } finally {
        done();
      }
    } catch {
      // The error is in the log already, written where it happened.
      return 'nobody';
    }
  }

  #read(session: S, found: AuthResult): RecheckResult {
    if ('claims' in found) {
      // The subject has changed: what the backend and the room know of the session would be wrong.
      if (found.subject !== session.user) return { code: 4401, reason: 'credentials are of another' };
      this.#options.renew(session, found.expiresAt);
      return 'good';
    }
    if (found.status >= 500 || (isRejection(found) && found.reason === 'limit')) return 'nobody';
    return { code: found.status === 401 ? 4401 : 4403, reason: 'credentials are refused' };
  }

  #close({ session }: Watched<S>, { code, reason }: RecheckClose): void {
    // It is not checked again, however long its end may take.
    this.forget(session);
    session.close(code, reason, CLOSE_TIMEOUT_MS);
  }
}

const UNKNOWN = { code: 4401, reason: 'credentials could not be checked' } as const;

/** From one failed try to the next: some within the time there is, and none at once. */
function retryMs({ graceMs }: Recheck): number {
  return Math.min(Math.max(graceMs / 4, 100), LONGEST_RETRY_MS);
}

class Watched<S extends Rechecked> implements Timed {
  readonly session: S;
  readonly credentials: PresentedCredentials;
  /** The session's end, as a signal for the check under way. */
  readonly clientClosed = new ClientClosed();
  readonly #onDue: (watched: Watched<S>) => void;
  /** Since when it waits for its check; null: it does not. */
  due: number | null = null;
  /** Since when checks had no result; null: the last one had. */
  failedSince: number | null = null;

  constructor(session: S, credentials: PresentedCredentials, onDue: (watched: Watched<S>) => void) {
    this.session = session;
    this.credentials = credentials;
    this.#onDue = onDue;
  }

  look(): void {
    this.#onDue(this);
  }
}
