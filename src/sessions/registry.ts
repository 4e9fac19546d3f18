// Live sessions: every upgraded connection from its 101 to its end. Drain and metrics read it. A session ends with its
// client's credentials.

import { type SlotHandle, SlotSet } from '../base/slot-set.ts';
import { TimerWheel } from '../base/timer-wheel.ts';
import type { Mode, Sample, Sampler, ServerRef, SessionActivity } from '../events.ts';
import { Expiry } from './expiry.ts';
import { type Recheck, Rechecks } from './recheck.ts';
import { Revocations } from './revocations.ts';

/** The route of a session as it was when the session opened; one value for all sessions of a route of one config. */
export interface RouteIdentity {
  /** Equal where the route, with all defaults, would do the same. */
  readonly fingerprint: string;
  /** What becomes of the session where a reload changes or removes its route; null: what is usual for either. */
  readonly onChange: 'keep' | 'drain' | 'close' | null;
}

/** An upgraded connection while it lives. */
export interface Session {
  /** Of the connection. */
  readonly id: string;
  readonly route: string;
  readonly mode: Mode;
  readonly identity: RouteIdentity;
  /** The server it is spliced to; null where it is terminated. */
  readonly at: ServerRef | null;
  /** The client's address. */
  readonly client: string;
  /** The subject of its credentials; null where there are none. */
  readonly user: string | null;
  /**
   * When its credentials expire, as found at its opening, and the session ends with them: milliseconds since 1970;
   * null: never.
   */
  readonly expiresAt: number | null;
  /** False once it has ended. */
  readonly live: boolean;
  /** In the order of opening: a later session has a greater one. */
  readonly serial: number;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
  readonly host: string;
  /** Without its query. */
  readonly path: string;
  readonly subprotocol: string | null;
  /** What it has carried so far. */
  activity(): SessionActivity;
  /** Bytes a second, both ways, since it was last asked; the first time since it was opened. */
  bytesPerSecond(): number;
  /** Ends it in order, within `deadlineMs`; then it is cut. */
  close(code: number, reason: string, deadlineMs: number): void;
  /** Ends it at once. */
  cut(reason: string): void;
}

export class Registry implements Sampler {
  readonly revocations = new Revocations(() => this.sessions());
  readonly #live = new SlotSet<Session>();
  /** For sessions of routes that check theirs again. */
  readonly rechecks: Rechecks<Session>;
  readonly #expiry: Expiry;
  #serial = 0;
  /** Counts of live sessions by mode and route; a route that had any stays, at 0, so that its series does not vanish. */
  readonly #counts = new Map<string, { mode: Mode; route: string; live: number }>();

  /** `recheckOf` returns how a route checks its live sessions again; null: it does not. */
  constructor(recheckOf: (route: string) => Recheck | null = () => null) {
    const wheel = new TimerWheel('auth');
    this.#expiry = new Expiry(wheel);
    const renew = (session: Session, expiresAt: number | null): void => this.#expiry.renew(session, expiresAt);
    this.rechecks = new Rechecks<Session>({ wheel, recheckOf, renew });
  }

  get size(): number {
    return this.#live.size;
  }

  /** The live sessions at this moment. */
  sessions(): Session[] {
    return this.#live.members();
  }

  /** The next session's place in the order of opening. */
  nextSerial(): number {
    return ++this.#serial;
  }

  /** Adds a session; returns the handle that removes it. */
  add(session: Session): SlotHandle<Session> {
    const key = keyOf(session);
    const count = this.#counts.get(key) ?? { mode: session.mode, route: session.route, live: 0 };
    this.#counts.set(key, count);
    count.live++;
    this.#expiry.watch(session);
    return this.#live.add(session);
  }

  /** Removes a session; does nothing where it was removed already. */
  remove(handle: SlotHandle<Session>): void {
    const session = handle.member;
    const count = this.#counts.get(keyOf(session));
    if (this.#live.remove(handle) && count !== undefined) count.live--;
    this.#expiry.forget(session);
    this.rechecks.forget(session);
  }

  *sample(): Iterable<Sample> {
    for (const { mode, route, live } of this.#counts.values()) {
      yield { metric: 'websocket_connections', labels: { route, mode }, value: live };
    }
  }
}

function keyOf({ mode, route }: Session): string {
  return `${mode} ${route}`;
}
