// One session from its 101 to its end: it stands in the registry, holds what was acquired for it, and reports itself
// closed. What carries it (a relay tunnel, a terminated connection) is told to it once that is open.
import type { Emit, SessionEnd, SessionOpened } from '../events.ts';
import type { Registry, Session } from './registry.ts';

/** What moves a session's bytes or messages. */
export interface Carrier {
  close(code: number, reason: string, deadlineMs: number): void;
  cut(reason: string): void;
}

/** Where a session is entered, and what is given back at its end. */
export interface SessionHome {
  readonly registry: Registry;
  readonly emit: Emit;
  readonly releases: readonly (() => void)[];
}

export class LiveSession implements Session {
  readonly opened: SessionOpened;
  readonly #openedAt = performance.now();
  readonly #emit: Emit;
  readonly #leave: () => void;
  readonly #releases: readonly (() => void)[];
  #carrier: Carrier | null = null;

  /** Enters the session and reports it open. */
  constructor(opened: SessionOpened, home: SessionHome) {
    this.opened = copy(opened);
    this.#emit = home.emit;
    this.#leave = home.registry.add(this);
    this.#releases = home.releases;
    home.emit(opened);
  }

  get id(): string {
    return this.opened.id;
  }

  get route(): string {
    return this.opened.route;
  }

  get mode(): SessionOpened['mode'] {
    return this.opened.mode;
  }

  carriedBy(carrier: Carrier): void {
    this.#carrier = carrier;
  }

  close(code: number, reason: string, deadlineMs: number): void {
    this.#carrier?.close(code, reason, deadlineMs);
  }

  cut(reason: string): void {
    this.#carrier?.cut(reason);
  }

  /** Gives everything back and reports the session closed; called once, by what carried it. */
  end(end: SessionEnd): void {
    this.#leave();
    for (const release of this.#releases) release();
    const { origin: _origin, subprotocol: _subprotocol, ...subject } = this.opened;
    this.#emit({ ...subject, ...end, type: 'session_closed', durationMs: performance.now() - this.#openedAt });
  }
}

/** The same in an object of a common shape: one that was put together by spreading has a shape of its own, which costs memory. */
function copy(opened: SessionOpened): SessionOpened {
  const { type, id, route, client, method, host, path, mode, at, origin, subprotocol, durationMs } = opened;
  return { type, id, route, client, method, host, path, mode, at, origin, subprotocol, durationMs };
}
