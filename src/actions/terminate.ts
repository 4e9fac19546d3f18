// Verdict `terminate`: the gateway is the WebSocket server. A route's handler that is a HandshakeHook is asked first; the
// handler gets the connection behind the 101.
import { GatewayError } from '../errors.ts';
import { isRejection, type Rejection } from '../handshake/rejection.ts';
import { chooseSubprotocol, shownSubprotocol } from '../handshake/subprotocol.ts';
import { asStream } from '../net/fd-connection.ts';
import type { TerminateUpgrade } from '../routing/decide.ts';
import { LiveSession } from '../sessions/live.ts';
import type { Admitted, Opening, Refused } from '../websocket/handler.ts';
import { type ClientEnd, type RouteContext, recheckLater, reportPassed } from './context.ts';
import { passUpgrade } from './reject.ts';

/**
 * Opens the session, or passes a backend's refusal: null then. Else says why the gateway refuses. Rejects with a
 * GatewayError for what broke, `client_gone` among it. In both cases the client has had no answer.
 */
export async function terminate(
  context: RouteContext,
  upgrade: TerminateUpgrade,
  client: ClientEnd,
): Promise<Rejection | null> {
  const { services } = context;
  const { request, params, handshake, route } = upgrade;
  const { offer } = handshake;
  const opening: Opening = {
    id: context.client.connection,
    request,
    params,
    client: context.client,
    principal: context.principal,
    offer,
    protocol: chooseSubprotocol(offer, route.websocket.subprotocols),
    signal: client.clientClosed.signal(),
  };
  const pending = services.acceptor(route.name).admit(opening);
  const admission = pending instanceof Promise ? await pending : pending;
  if (isRejection(admission)) return admission;
  if ('status' in admission) {
    if (client.clientClosed.closed) throw left();
    pass(context, upgrade, client, admission);
    return null;
  }
  const protocol = admission.protocol === undefined ? opening.protocol : admission.protocol;
  if (!client.clientClosed.closed && open(context, upgrade, client, { admission, protocol })) return null;
  admission.abandon?.();
  throw left();
}

const left = (): GatewayError => new GatewayError('client_gone', 'the client left');

interface Agreed {
  readonly admission: Admitted;
  readonly protocol: string | null;
}

/** False where the client has left meanwhile. */
function open(
  context: RouteContext,
  upgrade: TerminateUpgrade,
  { connection, ahead, resources }: ClientEnd,
  { admission, protocol }: Agreed,
): boolean {
  const { route, handshake } = upgrade;
  const { services, subject, startedAt } = context;
  const wanted = {
    id: context.client.connection,
    client: subject.client,
    user: subject.user,
    rest: ahead.take(),
    socket: asStream(connection),
    key: handshake.key,
    version: handshake.version,
    protocol,
    extensions: handshake.extensions,
  };
  // The acceptor calls back later than it returns, so that the session is there by then.
  const accepted = services.acceptor(route.name).accept(wanted, admission, (end) => session?.end(end));
  if (!accepted) return false;
  const session = new LiveSession(
    {
      type: 'session_opened',
      id: subject.id,
      connection: context.client.connection,
      route: route.name,
      client: subject.client,
      method: subject.method,
      host: subject.host,
      path: subject.path,
      protocol: subject.protocol,
      secure: subject.secure,
      user: subject.user,
      trace: subject.trace,
      mode: 'terminate',
      at: null,
      origin: handshake.origin,
      subprotocol: shownSubprotocol(protocol, route.websocket.subprotocols),
      durationMs: performance.now() - startedAt,
    },
    {
      registry: services.sessions,
      emit: services.emit,
      resources,
      expiresAt: context.principal?.expiresAt ?? null,
      identity: services.identityOf(route.name),
    },
  );
  recheckLater(context, upgrade, session);
  session.carriedBy(accepted);
  return true;
}

/** Passes a backend's own refusal to the client whole. */
function pass(
  context: RouteContext,
  upgrade: TerminateUpgrade,
  { connection, ahead }: ClientEnd,
  refused: Refused,
): void {
  ahead.take();
  passUpgrade(connection, refused, context.subject);
  reportPassed(context, upgrade, { status: refused.status, at: refused.at });
}
