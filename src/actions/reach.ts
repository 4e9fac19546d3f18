// Finding the server that answers a handshake: one after the other is asked, natively where that can be, until one gives
// an answer after which no other server is tried. What its answer means is splice.ts.
import type { Socket } from 'node:net';
import { GatewayError } from '../errors.ts';
import type { ServerRef } from '../events.ts';
import { type Rejection, reject } from '../handshake/rejection.ts';
import type { Dialler } from '../net/dialler.ts';
import type { BoundConnections } from '../proxy/http-engine.ts';
import type { SpliceUpgrade } from '../routing/decide.ts';
import { canDialNatively, requestNatively } from '../upstream/handshake/native-upgrade.ts';
import {
  type HandshakeRequest,
  type HandshakeResponse,
  requestUpgrade,
  requestUpgradeOn,
} from '../upstream/handshake/upgrade.ts';
import { isRetryableStatus, type Lease, outcomeOf } from '../upstream/lease.ts';
import type { Server } from '../upstream/pool.ts';
import { RetryState } from '../upstream/retry/retry-state.ts';
import type { RouteContext } from './context.ts';
import type { HandshakeResources } from './handshake-resources.ts';

/** The backend's answer, and the server that gave it, whose lease is among the resources of the handshake. */
export interface Reached {
  readonly lease: Lease;
  readonly answer: HandshakeResponse;
  /** The gateway's own fields of the answer to the client, flat. */
  readonly ownFields: readonly string[];
}

/** How a handshake gets to a server. */
export interface HandshakeDeps {
  /** They hold the lease of the server that is asked. */
  readonly resources: HandshakeResources;
  /** What dials, where that is not node. */
  readonly dialler: Dialler | null;
  /** The connections that clients have authenticated. */
  readonly bound: BoundConnections | null;
  /** The client's connection; null where it can have none of those. */
  readonly client: Socket | null;
}

/** Where a splice failed, for the log; the error says how. */
export class SpliceError extends GatewayError {
  readonly at: ServerRef | null;

  constructor(error: GatewayError, at: ServerRef | null) {
    super(error.code, error.message, error.cause);
    this.at = at;
  }
}

/**
 * Asks one server after the other, each at most once, until an answer after which no other server is tried. The last
 * answer or error stands. The client's bytes behind its handshake wait here: none is sent before a 101.
 */
export async function reach(
  context: RouteContext,
  upgrade: SpliceUpgrade,
  asking: (server: Server) => HandshakeRequest,
  deps: HandshakeDeps,
): Promise<Reached | Rejection> {
  const config = upgrade.route.websocket.config;
  const pool = context.services.pool(config.upstream);
  const { address, viaTrusted } = context.client;
  const bound = deps.bound === null || deps.client === null ? null : deps.bound.servers(deps.client);
  const ask = { client: address, viaTrusted, request: upgrade.request, kind: 'handshake', bound } as const;
  const retryState = new RetryState(pool, ask, context.services.emit);
  let lease = retryState.next();
  if (lease === null) return reject('no_server');
  for (;;) {
    deps.resources.holdLease(lease);
    const { server } = lease;
    let next: Lease | null = null;
    try {
      const answer = await request(server, deps, asking(server));
      next = better(context, { lease, answer, retryState });
      if (next === null) return { lease, answer, ownFields: pool.sticky?.fieldsFor(server, ask) ?? NO_FIELDS };
      answer.socket.destroy();
      throw new GatewayError('backend_refused', `${server.url} answered ${answer.head.status}`);
    } catch (thrown) {
      const failure = reportFailure(context, lease, thrown);
      if (failure.source === 'upstream') next ??= retryState.next();
      if (next === null) throw failure;
      lease = next;
    }
  }
}

const NO_FIELDS: readonly string[] = [];

interface Answered {
  readonly lease: Lease;
  readonly answer: HandshakeResponse;
  readonly retryState: RetryState;
}

/** Reports what an answer says of its server; returns the next one to ask, where another one may do better. */
function better({ services }: RouteContext, { lease, answer, retryState }: Answered): Lease | null {
  const { upstream, url } = lease.server;
  services.emit({ type: 'upstream_connected', upstream, server: url, durationMs: answer.connectMs });
  const { status, names } = answer.head;
  // What a 101 is worth is not judged yet.
  if (status === 101) return null;
  const retryAfter = names.includes('retry-after');
  lease.reportOutcome(outcomeOf(status, retryAfter));
  return isRetryableStatus(status, retryAfter) ? retryState.next() : null;
}

/** Reports a server that has failed; what broke on our own side is thrown on as it is. */
function reportFailure(context: RouteContext, lease: Lease, thrown: unknown): SpliceError {
  const error = thrown instanceof GatewayError ? thrown : null;
  if (error?.source === 'upstream') lease.reportOutcome('failed');
  if (error === null) throw thrown;
  return report(context, lease.server, error);
}

async function request(
  server: Server,
  { dialler, bound, client }: Pick<HandshakeDeps, 'dialler' | 'bound' | 'client'>,
  asking: HandshakeRequest,
): Promise<HandshakeResponse> {
  const own = bound === null || client === null ? null : bound.take(server, client);
  if (own !== null) {
    try {
      return await requestUpgradeOn(own, server, asking);
    } catch (error) {
      // The server may have ended it in the same moment: a handshake is a GET, and may be sent again (RFC 9112 §9.3.1).
      if (!(error instanceof GatewayError) || error.code !== 'backend_refused') throw error;
    }
  }
  if (dialler !== null && canDialNatively(server)) return requestNatively(dialler, server, asking);
  return requestUpgrade(server, asking);
}

function report(context: RouteContext, server: Server, error: GatewayError): SpliceError {
  const { services, subject } = context;
  if (error.source !== 'downstream') {
    services.emit({
      type: 'upstream_failed',
      ...refOf(server),
      id: subject.id,
      reason: error.code,
      detail: error.message,
    });
  }
  return new SpliceError(error, refOf(server));
}

/** The server as events name it. */
export function refOf(server: Server): ServerRef {
  return { upstream: server.upstream, server: server.url };
}
