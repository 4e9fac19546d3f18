// Verdict `splice`: sends the rebuilt handshake to a server of the route's upstream. Bytes flow only after the server's valid
// 101. Any other answer of the backend goes to the client as a plain HTTP response.
import { Socket } from 'node:net';
import type { SpliceConfig } from '../config/schema/schema.ts';
import { GatewayError } from '../errors.ts';
import { checkUpgradeResponse } from '../handshake/accept.ts';
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import { isRejection, type Rejection } from '../handshake/rejection.ts';
import { shownSubprotocol } from '../handshake/subprotocol.ts';
import { type AnswerHead, answerFraming, type Framing } from '../http/answer.ts';
import { listHas } from '../http/fields.ts';
import { requestFields, responsePolicy } from '../http/policy/policy.ts';
import { formatFields, formatHead } from '../http/problem.ts';
import { asStream, current, type StreamConnection } from '../net/fd-connection.ts';
import type { BoundConnections } from '../proxy/http-engine.ts';
import { passAnswer } from '../proxy/pass.ts';
import type { RelayEngine, Tunnel, TunnelEnd, TunnelEnds, TunnelOptions } from '../relay/relay.ts';
import type { SpliceUpgrade } from '../routing/decide.ts';
import { LiveSession } from '../sessions/live.ts';
import type { Server } from '../upstream/pool.ts';
import type { Reachable } from '../websocket/connections.ts';
import { type ClientEnd, factsOf, type RouteContext, recheckLater, reportPassed } from './context.ts';
import { withListenerFields } from './listener-fields.ts';
import { preambleFor } from './peer.ts';
import { type Reached, reach, refOf, SpliceError } from './reach.ts';
import { endAfterReading, startReading } from './reject.ts';
import { tunnelOptions } from './tunnel-options.ts';

/**
 * Fields of a handshake that are written again for the backend, or not sent to it: a handshake has no content, and no client
 * waits for an interim answer to it (RFC 9110 §10.1.1).
 */
const REWRITTEN = new Set(['content-length', 'expect', 'sec-websocket-protocol']);
/** The same if the client offers no extension: an empty field counts as absent. */
const WITHOUT_EXTENSIONS = new Set([...REWRITTEN, 'sec-websocket-extensions']);

/**
 * Opens the tunnel, or passes the backend's own answer, and returns null. A rejection says why neither was tried. Throws a
 * SpliceError if something broke. In the last two cases the client has had no answer.
 */
export type Splice = (context: RouteContext, upgrade: SpliceUpgrade, client: ClientEnd) => Promise<Rejection | null>;

/** The parts of the relay engine that a handshake uses. */
interface SpliceDeps {
  /** The native dialler for this client; null: node dials. */
  readonly diallerFor: RelayEngine['diallerFor'];
  /** Opens a tunnel with the options of a route's config. */
  carry(route: string, config: SpliceConfig, ends: TunnelEnds, onEnd: (end: TunnelEnd) => void): Tunnel;
}

/** Makes the action for a relay engine. */
export function createSplice(relay: RelayEngine): Splice {
  // One value for all tunnels of a route; it is garbage-collected with the route's config.
  const compiled = new WeakMap<SpliceConfig, TunnelOptions>();
  const deps: SpliceDeps = {
    diallerFor: (client) => relay.diallerFor(client),
    carry(route, config, ends, onEnd) {
      let options = compiled.get(config);
      if (options === undefined) {
        options = tunnelOptions(route, config);
        compiled.set(config, options);
      }
      return relay.open(ends, options, onEnd);
    },
  };
  return (context, upgrade, client) => splice(deps, context, upgrade, client);
}

async function splice(
  deps: SpliceDeps,
  context: RouteContext,
  upgrade: SpliceUpgrade,
  client: ClientEnd,
): ReturnType<Splice> {
  const config = upgrade.route.websocket.config;
  const { timeouts } = config;
  // The upstream may have a Host of its own.
  const asking = (server: Server) => ({
    preamble: preambleFor(server, context.client.address, client.connection),
    handshake: buildHandshake(context, upgrade, server),
    timeouts,
    clientClosed: client.clientClosed,
  });
  const reached = await reach(context, upgrade, asking, {
    dialler: deps.diallerFor(client.connection),
    bound: context.services.http.bound,
    resources: client.resources,
    // A connection that was never a socket has authenticated nothing before; over HTTP/2 no connection belongs to one client.
    client: client.connection instanceof Socket ? client.connection : null,
  });
  if (isRejection(reached)) return reached;
  const { answer, lease } = reached;
  const { server } = lease;
  try {
    if (answer.head.status !== 101) {
      await pass(context, upgrade, client, reached);
      return null;
    }
    const judged = checkUpgradeResponse(answer.head, upgrade.handshake);
    if ('fault' in judged) throw new GatewayError('bad_accept', `${server.url}: ${judged.fault}`);
    lease.reportOutcome('ok');
    open(context, { deps, upgrade, config, subprotocol: judged.subprotocol }, client, reached);
    return null;
  } catch (error) {
    answer.socket.destroy();
    lease.reportOutcome('failed');
    throw error instanceof GatewayError ? new SpliceError(error, refOf(server)) : error;
  }
}

/** The handshake for the backend, in one write: the client's fields without those of its connection, and the gateway's. */
function buildHandshake(context: RouteContext, upgrade: SpliceUpgrade, server: Server): string {
  const { route, handshake, sent } = upgrade;
  const skip = handshake.extensions.length > 0 ? REWRITTEN : WITHOUT_EXTENSIONS;
  const fields = requestFields(factsOf(context, upgrade), skip, route.policy, server.authority);
  if (handshake.offer.length > 0) fields.push('Sec-WebSocket-Protocol', handshake.offer.join(', '));
  return `GET ${sent.target} HTTP/1.1\r\n${formatFields(fields)}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`;
}

interface Agreed {
  readonly deps: SpliceDeps;
  readonly upgrade: SpliceUpgrade;
  readonly config: SpliceConfig;
  readonly subprotocol: string | null;
}

function open(
  context: RouteContext,
  { deps, upgrade, config, subprotocol }: Agreed,
  client: ClientEnd,
  reached: Reached,
): void {
  const { services, subject, startedAt } = context;
  // A live session holds this service only: the others belong to one config.
  const { connections } = services;
  const { answer, lease, ownFields } = reached;
  const route = upgrade.route.name;
  const policy = answerPolicy(context, upgrade, lease.server);
  const head = Buffer.from(formatSwitching(answer.head, policy, ownFields), 'latin1');
  const ends = {
    client: current(client.connection),
    backend: answer.socket,
    toClient: answer.rest.length === 0 ? head : Buffer.concat([head, answer.rest]),
    headLength: head.length,
    toBackend: client.ahead.take(),
  };
  // It returns before it calls back, so the session exists by then. If it throws, there is no session.
  const tunnel = deps.carry(route, config, ends, (end) => {
    connections.remove(session.id, known);
    session.end(end);
  });
  const session = new LiveSession(
    {
      type: 'session_opened',
      id: subject.id,
      connection: context.client.connection,
      route,
      client: subject.client,
      method: subject.method,
      host: subject.host,
      path: subject.path,
      protocol: subject.protocol,
      secure: subject.secure,
      user: subject.user,
      trace: subject.trace,
      mode: 'splice',
      at: refOf(lease.server),
      origin: upgrade.handshake.origin,
      subprotocol: shownSubprotocol(subprotocol, upgrade.route.websocket.subprotocols),
      durationMs: performance.now() - startedAt,
    },
    {
      registry: services.sessions,
      emit: services.emit,
      expiresAt: context.principal?.expiresAt ?? null,
      identity: services.identityOf(route),
      resources: client.resources,
    },
  );
  const known = new Spliced(session);
  connections.add(session.id, known);
  recheckLater(context, upgrade, session);
  session.carriedBy(tunnel);
  // Last, because this ends the session if the server was taken out in the meantime.
  lease.carry(session);
}

type AnswerPolicy = (fields: readonly string[]) => string[];

function answerPolicy(context: RouteContext, upgrade: SpliceUpgrade, server: Server): AnswerPolicy {
  const { route, sent } = upgrade;
  return responsePolicy(route.policy, { facts: factsOf(context, upgrade), sent, own: server.authority });
}

/** The session as it is found by its id: one object without closures, because each idle tunnel has one. */
class Spliced implements Reachable {
  readonly #session: LiveSession;
  readonly #openedAt = Date.now();

  constructor(session: LiveSession) {
    this.#session = session;
  }

  describe(): ReturnType<Reachable['describe']> {
    const { connection: id, route, client, user, subprotocol } = this.#session.opened;
    return {
      ...{ id, route, mode: 'splice', client, subprotocol, openedAt: this.#openedAt },
      ...{ user, room: null, activeAt: null },
    };
  }

  send(): boolean {
    return false;
  }

  close(code: number, reason: string): void {
    this.#session.close(code, reason, CLOSE_TIMEOUT_MS);
  }
}

/** Fields of a 101 that count as absent if they are empty. */
const OPTIONAL = new Set(['sec-websocket-protocol', 'sec-websocket-extensions']);

/** The 101 for the client: the backend's fields, and Upgrade and Connection as RFC 6455 §4.2.2 writes them. */
function formatSwitching({ fields, names }: AnswerHead, policy: AnswerPolicy, ownFields: readonly string[]): string {
  const said: string[] = [];
  for (const [i, name] of names.entries()) {
    const value = fields[2 * i + 1] as string;
    // A 101 has no body and no length (RFC 9110 §8.6).
    if (name !== 'content-length' && !(value === '' && OPTIONAL.has(name))) said.push(fields[2 * i] as string, value);
  }
  return formatHead(101, ['Upgrade', 'websocket', 'Connection', 'Upgrade', ...policy(said), ...ownFields]);
}

/** Passes a backend's answer other than a 101 to the client. */
async function pass(
  context: RouteContext,
  upgrade: SpliceUpgrade,
  client: ClientEnd,
  { answer, lease: { server }, ownFields }: Reached,
): Promise<void> {
  const { head } = answer;
  const framing = answerFraming(head);
  if ('fault' in framing) throw new GatewayError('bad_accept', `${server.url}: ${framing.fault}`);
  const fields = [...answerPolicy(context, upgrade, server)(head.fields), ...ownFields];
  if (framing.kind === 'chunked') fields.push('Transfer-Encoding', 'chunked');
  // A 426 has to say what to upgrade to (RFC 9110 §15.5.22).
  const socket: StreamConnection = asStream(client.connection);
  const bound = boundFor(context, upgrade, client, { server, head, framing });
  if (head.status === 426) fields.push('Upgrade', 'websocket', 'Connection', 'Upgrade, close');
  else if (bound === null) fields.push('Connection', 'close');
  // The gateway notices a client that leaves even if the backend sends nothing more.
  client.ahead.watch(socket, client.clientClosed);
  const said = withListenerFields(client.connection, fields);
  socket.write(formatHead(head.status, said, head.phrase), 'latin1');
  const keep =
    bound !== null && socket instanceof Socket ? (backend: Socket) => bound.keep(server, socket, backend, head) : null;
  const whole = await passAnswer(answer, framing, socket, keep);
  const rest = client.ahead.take();
  reportPassed(context, upgrade, { status: head.status, at: refOf(server) });
  // An incomplete answer must not look complete.
  if (!whole) socket.destroy();
  else if (bound === null || client.returnToServer === null) endAfterReading(socket);
  else if (!socket.destroyed) {
    client.returnToServer(rest);
    startReading(socket);
  }
}

interface Passed {
  readonly server: Server;
  readonly head: AnswerHead;
  readonly framing: Framing;
}

/**
 * If an answer is a step of a login that authenticates the connection (RFC 4559 §6), both connections stay open for the next
 * step. Null for any other answer, and if either connection ends with it. The connection of a client that has already sent
 * bytes after its handshake ends too: they may not be HTTP.
 */
function boundFor(
  { services }: RouteContext,
  { request }: SpliceUpgrade,
  { ahead, returnToServer }: ClientEnd,
  { server, head, framing }: Passed,
): BoundConnections | null {
  const { bound } = services.http;
  if (bound === null || returnToServer === null || !ahead.empty) return null;
  if (framing.kind === 'close' || head.status === 426 || listHas(request.head, 'connection', 'close')) return null;
  return bound.keeps(server, head) ? bound : null;
}
