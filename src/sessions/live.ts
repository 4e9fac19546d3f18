// One session from its 101 to its end. It is listed in the registry, holds the resources of its handshake, and reports its
// end. Its carrier (a relay tunnel or a terminated connection) is set as soon as that is open.
import { guarded } from '../base/guard.ts';
import { ownText } from '../base/own-text.ts';
import type { SlotHandle } from '../base/slot-set.ts';
import type { Emit, ServerRef, SessionActivity, SessionEnd, SessionOpened } from '../events.ts';
import type { Registry, RouteIdentity, Session } from './registry.ts';
import { SessionRate } from './session-rate.ts';

/** The tunnel or connection that carries a session's bytes or messages. */
export interface Carrier {
  close(code: number, reason: string, deadlineMs: number): void;
  cut(reason: string): void;
  activity(): SessionActivity;
}

/** The resources of a handshake; a session that opens takes them over. */
export interface SessionResources {
  handOver(): void;
  release(): void;
}

/** Where a session is registered, and what is released at its end. */
export interface SessionOwner {
  readonly registry: Registry;
  readonly emit: Emit;
  readonly resources: SessionResources;
  /** See Session. */
  readonly expiresAt: number | null;
  readonly identity: RouteIdentity;
}

export class LiveSession implements Session {
  readonly opened: SessionOpened;
  readonly #openedAt = performance.now();
  readonly #owner: SessionOwner;
  readonly #handle: SlotHandle<Session>;
  readonly serial: number;
  #carrier: Carrier | null = null;
  #rate: SessionRate | null = null;
  #ended = false;

  /** Registers the session and reports it open. From here on it owns the resources of its handshake. */
  constructor(opened: SessionOpened, owner: SessionOwner) {
    this.opened = copy(opened);
    this.#owner = owner;
    this.serial = owner.registry.nextSerial();
    this.#handle = owner.registry.add(this);
    owner.resources.handOver();
    owner.emit(opened);
  }

  get id(): string {
    return this.opened.connection;
  }

  get route(): string {
    return this.opened.route;
  }

  get mode(): SessionOpened['mode'] {
    return this.opened.mode;
  }

  get expiresAt(): number | null {
    return this.#owner.expiresAt;
  }

  get live(): boolean {
    return !this.#ended;
  }

  get at(): ServerRef | null {
    return this.opened.at;
  }

  get identity(): RouteIdentity {
    return this.#owner.identity;
  }

  get client(): string {
    return this.opened.client;
  }

  get user(): string | null {
    return this.opened.user;
  }

  get openedAt(): number {
    return Date.now() - (performance.now() - this.#openedAt);
  }

  get host(): string {
    return this.opened.host;
  }

  get path(): string {
    return this.opened.path;
  }

  get subprotocol(): string | null {
    return this.opened.subprotocol;
  }

  activity(): SessionActivity {
    return this.#carrier?.activity() ?? NOTHING;
  }

  bytesPerSecond(): number {
    const { fromClient, toClient } = this.activity();
    this.#rate ??= new SessionRate(this.#openedAt);
    return this.#rate.look(fromClient.bytes + toClient.bytes, performance.now());
  }

  carriedBy(carrier: Carrier): void {
    this.#carrier = carrier;
    this.#owner.registry.revocations.closeIfRevoked(this);
  }

  close(code: number, reason: string, deadlineMs: number): void {
    this.#carrier?.close(code, reason, deadlineMs);
  }

  cut(reason: string): void {
    this.#carrier?.cut(reason);
  }

  /** Releases all resources and reports the session closed. Its carrier calls this once. */
  end(end: SessionEnd): void {
    const { registry, emit, resources } = this.#owner;
    this.#ended = true;
    registry.remove(this.#handle);
    release(resources);
    const { opened } = this;
    // No spread here: it would cost a handshake more than everything else for its session.
    emit({
      type: 'session_closed',
      id: opened.id,
      connection: opened.connection,
      route: opened.route,
      client: opened.client,
      method: opened.method,
      host: opened.host,
      path: opened.path,
      protocol: opened.protocol,
      secure: opened.secure,
      user: opened.user,
      trace: opened.trace,
      mode: opened.mode,
      at: opened.at,
      fromClient: end.fromClient,
      toClient: end.toClient,
      discarded: end.discarded,
      code: end.code,
      initiator: end.initiator,
      reason: end.reason,
      cut: end.cut,
      durationMs: performance.now() - this.#openedAt,
    });
  }
}

/** The activity of a session that has no carrier yet. */
const NOTHING: SessionActivity = {
  fromClient: { bytes: 0, messages: 0 },
  toClient: { bytes: 0, messages: 0 },
  idleMs: 0,
};

/** An exception here must not prevent the report of the end. */
const release = guarded('handshake', (resources: SessionResources) => resources.release());

/**
 * A copy with the shape that all these objects share: an object made by spreading has its own shape, which costs memory. What
 * comes from the request's head is copied too, so that no session keeps its head.
 */
function copy(opened: SessionOpened): SessionOpened {
  const { trace } = opened;
  return {
    type: opened.type,
    id: ownText(opened.id),
    connection: opened.connection,
    route: opened.route,
    client: opened.client,
    method: opened.method,
    host: ownText(opened.host),
    path: ownText(opened.path),
    protocol: opened.protocol,
    secure: opened.secure,
    user: ownOrNull(opened.user),
    trace: trace && { traceId: ownText(trace.traceId), spanId: ownText(trace.spanId), flags: trace.flags },
    mode: opened.mode,
    at: opened.at,
    origin: ownOrNull(opened.origin),
    subprotocol: ownOrNull(opened.subprotocol),
    durationMs: opened.durationMs,
  };
}

const ownOrNull = (text: string | null): string | null => text && ownText(text);
