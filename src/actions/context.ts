// What an action gets to work with: the request's own facts, and the few services it may use. Not the snapshot.
import type { Authenticator, Principal } from '../auth/authenticator.ts';
import type { SlotSet } from '../base/slot-set.ts';
import type { Emit, ServerRef, Subject } from '../events.ts';
import { shownFields } from '../handshake/shown-fields.ts';
import type { Fields } from '../http/fields.ts';
import type { Client } from '../http/forwarding/forwarded.ts';
import type { Facts } from '../http/policy/template.ts';
import type { Limits } from '../limits/limits.ts';
import type { ClientClosed } from '../net/client-closed.ts';
import type { Connection } from '../net/fd-connection.ts';
import type { HttpEngine } from '../proxy/http-engine.ts';
import type { Forward, Upgrade } from '../routing/decide.ts';
import type { Registry, RouteIdentity, Session } from '../sessions/registry.ts';
import type { EndlessAnswer } from '../upstream/endless.ts';
import type { Pool } from '../upstream/pool.ts';
import type { WebSocketAcceptor } from '../websocket/connection/accept.ts';
import type { Connections } from '../websocket/connections.ts';
import type { HandshakeResources } from './handshake-resources.ts';
import type { ReadAhead } from './read-ahead.ts';

/** What actions share, of one config. */
export interface Services {
  readonly emit: Emit;
  readonly sessions: Registry;
  readonly http: HttpEngine;
  /** Answers without an end, of all configs. */
  readonly endless: SlotSet<EndlessAnswer>;
  /** Sessions by id, for those who ask about one. */
  readonly connections: Connections;
  /** What tells a reload whether a route is still the same. */
  identityOf(route: string): RouteIdentity;
  /** The pool of an upstream that the config names. */
  pool(upstream: string): Pool;
  /** What terminates a route's handshakes. */
  acceptor(route: string): WebSocketAcceptor;
  /** The limits of rates and live sessions. */
  readonly limits: Limits;
  /** Authenticates a route's clients; null where the route asks for no credentials. */
  authenticator(route: string): Authenticator | null;
}

/** One request and who asks. */
export interface RouteContext {
  readonly services: Services;
  readonly subject: Subject;
  readonly client: Client;
  /** Who the client is; null where the route does not ask, and before it has. */
  readonly principal: Principal | null;
  /** performance.now() of the head's arrival. */
  readonly startedAt: number;
}

/** A client's connection that its parser has released. */
export interface ClientEnd {
  readonly connection: Connection;
  /** What comes behind the handshake: it is taken right before a 101. */
  readonly ahead: ReadAhead;
  /** Notifies when the client has left. */
  readonly clientClosed: ClientClosed;
  /**
   * Gives the connection back to the server that accepted it, which reads the next request: `rest` is what has come of it.
   * Null where there is to be none.
   */
  readonly returnToServer: ((rest: Buffer) => void) | null;
  readonly resources: HandshakeResources;
}

/** An answer that is no 101, and who gave it. */
interface Passed {
  readonly status: number;
  readonly at: ServerRef;
}

const NOTHING: Fields = [];

/** What the header policy of a verdict's route goes by. */
export function factsOf({ client, principal }: RouteContext, { request, route, params }: Forward | Upgrade): Facts {
  const claims = principal === null ? null : principal.claims;
  const granted = principal === null ? NOTHING : principal.fields;
  return { request, client, route: route.name, params, claims, granted };
}

/** Reports that the backend gave an answer of its own to a handshake, which the client has got. */
export function reportPassed({ services, subject, startedAt }: RouteContext, upgrade: Upgrade, passed: Passed): void {
  const { config, subprotocols } = upgrade.route.websocket;
  services.emit({
    ...subject,
    type: 'handshake_passed',
    mode: config.mode,
    ...shownFields(upgrade.request.head, subprotocols.subprotocols),
    ...passed,
    durationMs: performance.now() - startedAt,
  });
}

/** From now on the session's credentials are judged again, where its route asks for that: its handshake is kept only then. */
export function recheckLater({ services, client, principal }: RouteContext, upgrade: Upgrade, session: Session): void {
  const { route, request, token, sent } = upgrade;
  const everyMs = route.auth === null ? null : route.auth.recheckMs;
  if (everyMs === null || principal === null) return;
  services.sessions.rechecks.watch(session, { id: client.id, request, path: sent.path, token, client }, everyMs);
}
