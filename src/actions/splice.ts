// Verdict `splice`: a server of the route's upstream is asked with the rebuilt handshake, and only after its real 101 do
// bytes flow. Any other answer of the backend goes to the client as what it is, a plain HTTP response.
import type { SpliceConfig } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { ServerRef } from '../events.ts';
import { judgeAnswer } from '../handshake/accept.ts';
import { isRejection, type Rejection, reject } from '../handshake/rejection.ts';
import { type AnswerHead, answerFraming } from '../http/answer.ts';
import { requestFields, responsePolicy } from '../http/policy.ts';
import { formatFields, formatHead } from '../http/problem.ts';
import type { RelayEngine, Tunnel, TunnelEnd, TunnelEnds, TunnelOptions } from '../relay/relay.ts';
import type { Upgrade } from '../routing/decide.ts';
import { LiveSession } from '../sessions/live.ts';
import { passAnswer } from '../upstream/pass.ts';
import type { Pool, Server } from '../upstream/pool.ts';
import { type Answer, requestUpgrade } from '../upstream/upgrade.ts';
import { authorityOf, type ClientEnd, factsOf, type RouteContext } from './context.ts';
import { endAfterReading } from './reject.ts';

/** What of a handshake is written anew for the backend. */
const REWRITTEN = new Set(['content-length', 'sec-websocket-protocol']);
/** Answers that mean another server may do better (RFC 9110 §15.6). */
const TRY_ANOTHER = new Set([502, 503, 504]);

/** The backend's answer, on the server that gave it. */
interface Reached {
  readonly server: Server;
  readonly answer: Answer;
  readonly release: () => void;
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
 * Opens the tunnel, or passes the backend's own answer, or says why neither was tried. Throws a SpliceError for what
 * broke; the client has had no answer then.
 */
export type Splice = (
  context: RouteContext,
  upgrade: Upgrade,
  client: ClientEnd,
) => Promise<'opened' | 'passed' | Rejection>;

/** Opens a tunnel as a route's config has it. */
type Carry = (route: string, config: SpliceConfig, ends: TunnelEnds, onEnd: (end: TunnelEnd) => void) => Tunnel;

/** The action, on a relay engine. */
export function createSplice(relay: RelayEngine): Splice {
  // One value for all tunnels of a route, and gone with its config.
  const compiled = new WeakMap<SpliceConfig, TunnelOptions>();
  const carry: Carry = (route, config, ends, onEnd) => {
    const options = compiled.get(config) ?? tunnelOptions(route, config);
    compiled.set(config, options);
    return relay.open(ends, options, onEnd);
  };
  return (context, upgrade, client) => splice(carry, context, upgrade, client);
}

function tunnelOptions(route: string, { inspect, limits, timeouts, ping }: SpliceConfig): TunnelOptions {
  const { max_message: maxMessage = null, messages_per_second = null, bytes_per_second = null, on_limit } = limits;
  const none = { messagesPerSecond: null, bytesPerSecond: null, onLimit: on_limit };
  const toClient = maxMessage === null ? null : { maxMessage, ...none };
  const rates = messages_per_second !== null || bytes_per_second !== null;
  // A rate is a client's: a backend that fans out to many is not slowed down by it.
  const fromClient = rates
    ? { maxMessage, messagesPerSecond: messages_per_second, bytesPerSecond: bytes_per_second, onLimit: on_limit }
    : toClient;
  return {
    route,
    idleMs: timeouts.idle,
    maxLifetimeMs: timeouts.max_lifetime ?? null,
    inspect: inspect === 'on',
    ping: ping === undefined ? null : { everyMs: ping.every, timeoutMs: ping.timeout },
    limits: { fromClient, toClient },
  };
}

async function splice(carry: Carry, context: RouteContext, upgrade: Upgrade, client: ClientEnd): ReturnType<Splice> {
  const config = upgrade.route.websocket.config as SpliceConfig;
  const pool = context.services.pool(config.upstream);
  const handshake = (server: Server): string => buildHandshake(context, upgrade, server);
  const reached = await reach(context, pool, { config, handshake, client });
  if (isRejection(reached)) return reached;
  const { answer, server, release } = reached;
  try {
    if (answer.head.status !== 101) {
      await pass(context, upgrade, client, reached);
      return 'passed';
    }
    const judged = judgeAnswer(answer.head, upgrade.handshake.key, upgrade.handshake.offer);
    if ('fault' in judged) throw new GatewayError('bad_accept', `${server.url}: ${judged.fault}`);
    open(context, { carry, upgrade, config, subprotocol: judged.subprotocol }, client, reached);
    return 'opened';
  } catch (error) {
    answer.socket.destroy();
    release();
    throw error instanceof GatewayError ? new SpliceError(error, refOf(server)) : error;
  }
}

/** The handshake for the backend, one write: what the client said, less what is its own connection's, and our fields. */
function buildHandshake(context: RouteContext, upgrade: Upgrade, server: Server): string {
  const { route, handshake, sent } = upgrade;
  const fields = requestFields(factsOf(context, upgrade), REWRITTEN, route.policy, authorityOf(server));
  if (handshake.offer.length > 0) fields.push('Sec-WebSocket-Protocol', handshake.offer.join(', '));
  return `GET ${sent.target} HTTP/1.1\r\n${formatFields(fields)}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`;
}

interface Asking {
  readonly config: SpliceConfig;
  readonly handshake: (server: Server) => string;
  readonly client: ClientEnd;
}

/**
 * Asks one server after the other, each at most once, until one answers with something better than "not me". The last
 * answer or error stands. The client's bytes behind its handshake wait here: none is sent before a 101.
 */
async function reach(
  context: RouteContext,
  pool: Pool,
  { config, handshake, client }: Asking,
): Promise<Reached | Rejection> {
  const tried = new Set<Server>();
  let failure: SpliceError | null = null;
  for (let server = pool.pick(); server !== null; server = pool.pick(tried)) {
    tried.add(server);
    const release = pool.acquire(server);
    try {
      const answer = await requestUpgrade(server, handshake(server), config.timeouts, client.gone);
      context.services.emit({ type: 'upstream_connected', ...refOf(server), durationMs: answer.connectMs });
      if (!TRY_ANOTHER.has(answer.head.status) || tried.size === pool.servers.length)
        return { server, answer, release };
      answer.socket.destroy();
      release();
      failure = report(
        context,
        server,
        new GatewayError('backend_refused', `${server.url} answered ${answer.head.status}`),
      );
    } catch (error) {
      release();
      if (!(error instanceof GatewayError)) throw error;
      failure = report(context, server, error);
      if (error.source !== 'upstream') throw failure;
    }
  }
  if (failure === null) return reject('no_server');
  throw failure;
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

interface Agreed {
  readonly carry: Carry;
  readonly upgrade: Upgrade;
  readonly config: SpliceConfig;
  readonly subprotocol: string | null;
}

function open(
  context: RouteContext,
  { carry, upgrade, config, subprotocol }: Agreed,
  client: ClientEnd,
  reached: Reached,
): void {
  const { services, subject, startedAt } = context;
  const { answer, server, release } = reached;
  const route = upgrade.route.name;
  const head = Buffer.from(formatSwitching(answer.head, answerPolicy(context, upgrade, server)), 'latin1');
  const session = new LiveSession(
    {
      ...subject,
      type: 'session_opened',
      route,
      mode: 'splice',
      at: refOf(server),
      origin: upgrade.handshake.origin,
      subprotocol,
      durationMs: performance.now() - startedAt,
    },
    { registry: services.sessions, emit: services.emit, releases: [client.permit, release] },
  );
  const ends = {
    client: client.socket,
    backend: answer.socket,
    toClient: answer.rest.length === 0 ? head : Buffer.concat([head, answer.rest]),
    headLength: head.length,
    toBackend: client.rest,
  };
  session.carriedBy(carry(route, config, ends, (end) => session.end(end)));
}

type AnswerPolicy = (fields: readonly string[]) => string[];

function answerPolicy(context: RouteContext, upgrade: Upgrade, server: Server): AnswerPolicy {
  const { route, sent } = upgrade;
  return responsePolicy(route.policy, { facts: factsOf(context, upgrade), sent, own: authorityOf(server) });
}

/** The 101 for the client: the backend's fields, and Upgrade and Connection as RFC 6455 §4.2.2 writes them. */
function formatSwitching(head: AnswerHead, policy: AnswerPolicy): string {
  const fields = policy(head.fields);
  return formatHead(101, ['Upgrade', 'websocket', 'Connection', 'Upgrade', ...fields]);
}

/** The backend said no, or something else that is no 101: its answer is the client's. */
async function pass(
  context: RouteContext,
  upgrade: Upgrade,
  client: ClientEnd,
  { answer, server, release }: Reached,
): Promise<void> {
  const { services, subject, startedAt } = context;
  const { head } = answer;
  const framing = answerFraming(head);
  if ('fault' in framing) throw new GatewayError('bad_accept', `${server.url}: ${framing.fault}`);
  const fields = answerPolicy(context, upgrade, server)(head.fields);
  if (framing.kind === 'chunked') fields.push('Transfer-Encoding', 'chunked');
  // A 426 has to say what to upgrade to (RFC 9110 §15.5.22).
  if (head.status === 426) fields.push('Upgrade', 'websocket', 'Connection', 'Upgrade, close');
  else fields.push('Connection', 'close');
  client.socket.write(formatHead(head.status, fields, head.phrase), 'latin1');
  const whole = await passAnswer(answer, framing, client.socket);
  release();
  // Half an answer must not look like a whole one.
  if (whole) endAfterReading(client.socket);
  else client.socket.destroy();
  services.emit({
    ...subject,
    type: 'handshake_passed',
    mode: 'splice',
    status: head.status,
    at: refOf(server),
    durationMs: performance.now() - startedAt,
  });
}

function refOf(server: Server): ServerRef {
  return { upstream: server.upstream, server: server.url };
}
