// What an action gets to work with: the request's own facts, and the few services it may use. Not the snapshot.
import type { Socket } from 'node:net';
import type { Emit, Subject } from '../events.ts';
import type { Client } from '../http/forwarded.ts';
import type { Facts } from '../http/template.ts';
import type { Forward, Upgrade } from '../routing/decide.ts';
import type { Registry } from '../sessions/registry.ts';
import type { Acceptor } from '../terminate/accept.ts';
import type { Connections } from '../terminate/connections.ts';
import type { Departure } from '../upstream/departure.ts';
import type { HttpEngine } from '../upstream/http-engine.ts';
import type { Pool } from '../upstream/pool.ts';

/** What actions share, of one config. */
export interface Services {
  readonly emit: Emit;
  readonly sessions: Registry;
  readonly http: HttpEngine;
  /** Sessions by id, for those who ask about one. */
  readonly connections: Connections;
  /** The pool of an upstream that the config names. */
  pool(upstream: string): Pool;
  /** What terminates a route's handshakes. */
  acceptor(route: string): Acceptor;
}

/** One request and who asks. */
export interface RouteContext {
  readonly services: Services;
  readonly subject: Subject;
  readonly client: Client;
  /** Origin as the client wrote it, for the log; null where there is none. */
  readonly origin: string | null;
  /** performance.now() of the head's arrival. */
  readonly startedAt: number;
}

/** A client's connection after node's parser has let go of it. */
export interface ClientEnd {
  readonly socket: Socket;
  /** What was read behind the handshake. */
  readonly rest: Buffer;
  /** Tells when the client has left. */
  readonly gone: Departure;
  /** Gives the session's permit back; the session calls it where one opens, the caller where none does. */
  readonly permit: () => void;
}

/** What the header policy of a verdict's route goes by. */
export function factsOf({ client }: RouteContext, { request, route, params }: Forward | Upgrade): Facts {
  return { request, client, route: route.name, params };
}
