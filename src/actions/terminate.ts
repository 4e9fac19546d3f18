// Verdict `terminate`: the gateway is the WebSocket server. The route's handler is asked where it wants to be, and gets the
// connection behind the 101.
import { GatewayError } from '../errors.ts';
import { readExtensions } from '../handshake/extensions.ts';
import { isRejection, type Rejection } from '../handshake/rejection.ts';
import { chooseSubprotocol } from '../handshake/subprotocol.ts';
import { formatHead } from '../http/problem.ts';
import type { Upgrade } from '../routing/decide.ts';
import { LiveSession } from '../sessions/live.ts';
import type { Admitted, Opening, Refused } from '../terminate/handler.ts';
import type { ClientEnd, RouteContext } from './context.ts';
import { endAfterReading } from './reject.ts';

/**
 * Opens the session (`gone` where the client has left meanwhile), or passes a backend's refusal, or says why the gateway
 * refuses. Rejects with a GatewayError for what broke; the client has had no answer then.
 */
export async function terminate(
  context: RouteContext,
  upgrade: Upgrade,
  client: ClientEnd,
): Promise<'opened' | 'passed' | 'gone' | Rejection> {
  const { services, subject } = context;
  const { request, params, handshake, route } = upgrade;
  const { offer } = handshake;
  const opening: Opening = {
    id: subject.id,
    request,
    params,
    client: context.client,
    offer,
    protocol: chooseSubprotocol(offer, route.websocket.subprotocols),
    gone: client.gone,
  };
  const asked = services.acceptor(route.name).admit(opening);
  const admission = asked instanceof Promise ? await asked : asked;
  if (client.gone.aborted) throw new GatewayError('client_gone', 'the client left');
  if (isRejection(admission)) return admission;
  if ('status' in admission) return pass(context, client, admission);
  return open(context, upgrade, client, {
    protocol: opening.protocol,
    ...admission,
    open: (one) => admission.open(one),
  });
}

function open(
  context: RouteContext,
  { route, request, handshake }: Upgrade,
  { socket, rest, permit }: ClientEnd,
  { protocol = null, ...opener }: Admitted,
): 'opened' | 'gone' {
  const { services, subject, startedAt } = context;
  const offered = readExtensions(request.head);
  const wanted = {
    id: subject.id,
    client: subject.client,
    socket,
    rest,
    key: handshake.key,
    version: handshake.version,
    protocol,
    extensions: isRejection(offered) ? [] : offered,
  };
  // The acceptor calls back later than it returns, so that the session is there by then.
  const accepted = services.acceptor(route.name).accept(wanted, opener, (end) => session?.end(end));
  if (!accepted) return 'gone';
  const session = new LiveSession(
    {
      ...subject,
      type: 'session_opened',
      route: route.name,
      mode: 'terminate',
      at: null,
      origin: handshake.origin,
      subprotocol: protocol,
      durationMs: performance.now() - startedAt,
    },
    { registry: services.sessions, emit: services.emit, releases: [permit] },
  );
  session.carriedBy(accepted);
  return 'opened';
}

/** A backend's own no goes to the client as what it is, whole. */
function pass(context: RouteContext, { socket }: ClientEnd, refused: Refused): 'passed' {
  const { status, phrase, answer, body, at } = refused;
  const fields = [...answer, 'Content-Length', `${body.length}`, 'Connection', 'close'];
  socket.write(Buffer.concat([Buffer.from(formatHead(status, fields, phrase), 'latin1'), body]));
  endAfterReading(socket);
  const { services, subject, startedAt } = context;
  services.emit({
    ...subject,
    type: 'handshake_passed',
    mode: 'terminate',
    status,
    at,
    durationMs: performance.now() - startedAt,
  });
  return 'passed';
}
