// Verdict `terminate`: the gateway is the WebSocket server, and the route's handler gets the connection.
import { chooseSubprotocol } from '../handshake/subprotocol.ts';
import type { Upgrade } from '../routing/decide.ts';
import { LiveSession } from '../sessions/live.ts';
import type { ClientEnd, RouteContext } from './context.ts';

/** Opens the session; false where the client has left meanwhile. */
export function terminate(context: RouteContext, upgrade: Upgrade, client: ClientEnd): boolean {
  const { services, subject, startedAt } = context;
  const { route, handshake } = upgrade;
  const protocol = chooseSubprotocol(handshake.offer, route.websocket.subprotocols);
  const { socket, rest } = client;
  const wanted = { id: subject.id, socket, rest, key: handshake.key, version: handshake.version, protocol };
  // The acceptor calls back later than it returns, so that the session is there by then.
  const accepted = services.acceptor(route.name).accept(wanted, (end) => session?.end(end));
  if (!accepted) return false;
  const session = new LiveSession(
    {
      type: 'session_opened',
      id: subject.id,
      route: route.name,
      client: subject.client,
      method: subject.method,
      host: subject.host,
      path: subject.path,
      mode: 'terminate',
      at: null,
      origin: handshake.origin,
      subprotocol: protocol,
      durationMs: performance.now() - startedAt,
    },
    { registry: services.sessions, emit: services.emit, releases: [client.permit] },
  );
  session.carriedBy(accepted);
  return true;
}
