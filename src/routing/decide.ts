// What the gateway does with a request, decided from its head alone: no socket, no clock, no waiting. READ THIS FIRST.
//
// A head becomes a Verdict in these steps, and docs/handshake.md walks through the same ones:
//   1. readRequest      HTTP version, Host, framing and target are valid (RFC 9112), else 400
//   2. wantsWebSocket   `Upgrade: websocket` and `Connection: upgrade` make it a handshake; everything else is plain HTTP
//   3. find             the first route of that kind that fits, else 404 (426 if only a websocket route fits). Redirects
//                       and fixed responses are of both kinds, and are sent after the next two steps
//   4. address          the route admits the client's address, else 403
//   5. takeToken        the token that the route needs is removed from the request, so that no later step sees it
//   6. readHandshake    method, key, version, lists (RFC 6455 §4.2.1), else 400, 405 or 426
//   7. Origin           403
//   8. subprotocol      400
//   9. max_body         413, for plain requests
//  10. rewrite          the path for the backend, else 400
// Steps that need more than the head (permits, credentials, a server) follow in pipeline/access.ts and actions/.
import { type Handshake, readHandshake, wantsWebSocket } from '../handshake/handshake.ts';
import { originAllowed } from '../handshake/origin.ts';
import { isRejection, type Rejection, reject } from '../handshake/rejection.ts';
import { cutOffer } from '../handshake/subprotocol.ts';
import { valuesOf } from '../http/fields.ts';
import { type Request, type RequestHead, readRequest } from '../http/head.ts';
import { type RewrittenTarget, rewriteTarget } from '../http/policy/rewrite.ts';
import { parametersOf } from '../http/query.ts';
import { type PresentedToken, type TokenResult, takeToken } from '../http/token.ts';
import type { DirectResponse } from './direct-response.ts';
import { matchPath, type Params } from './pattern.ts';
import type { Fit, HttpRoute, Route, SpliceRoute, TerminateRoute, WebSocketRoute, WebSocketRule } from './route.ts';
import type { RouteTable } from './table.ts';

/** An admitted handshake; `offer` lists the subprotocols that may be forwarded. */
interface Admitted {
  /** Without its token. */
  readonly request: Request;
  readonly token: PresentedToken;
  readonly params: Params;
  readonly handshake: Handshake;
  /** Where it goes on the backend. */
  readonly sent: RewrittenTarget;
}

export interface SpliceUpgrade extends Admitted {
  readonly kind: 'splice';
  readonly route: SpliceRoute;
}

export interface TerminateUpgrade extends Admitted {
  readonly kind: 'terminate';
  readonly route: TerminateRoute;
}

export type Upgrade = SpliceUpgrade | TerminateUpgrade;

/** A plain request for a REST upstream. */
export interface Forward {
  readonly kind: 'forward';
  readonly route: HttpRoute;
  /** Without its token. */
  readonly request: Request;
  readonly token: PresentedToken;
  readonly params: Params;
  /** Where it goes on the backend. */
  readonly sent: RewrittenTarget;
}

/** An answer of the gateway's own that is not a refusal: a redirect or a fixed response. */
export interface Respond extends DirectResponse {
  readonly kind: 'respond';
  readonly route: Route | null;
  /** Without its token. */
  readonly request: Request;
  readonly token: PresentedToken;
}

/** A refusal; `route` is the route whose rule refused, null if none was found. */
export interface Refuse {
  readonly kind: 'reject';
  readonly route: Route | null;
  readonly rejection: Rejection;
}

export type Verdict = Upgrade | Forward | Respond | Refuse;

/** One step of a decision, in order, for `explain`. It is for the operator, because it says what would be admitted. */
export interface TraceStep {
  /** `request`, `kind`, `route NAME`, `address`, `handshake`, `origin`, `subprotocol`, `body`, `path`. */
  readonly rule: string;
  readonly passed: boolean;
  readonly detail: string;
}
export type Trace = (step: TraceStep) => void;

const METHODS = 'GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS';

/**
 * Decides one request. `address` is the client's, as found through trusted proxies; it is empty on a unix socket. The trace,
 * if given, is called with every step.
 */
export function decide(table: RouteTable, head: RequestHead, client: string, trace?: Trace): Verdict {
  // Methods are case-sensitive (RFC 9110 §9.1), but a backend may ignore case. CONNECT has no path to route by (§9.3.6).
  const method = head.method.toUpperCase();
  if (method === 'CONNECT') {
    trace?.({ rule: 'request', passed: false, detail: 'CONNECT is for a forward proxy' });
    return refuse(null, reject('method', 'this is no forward proxy', ['Allow', METHODS]));
  }
  const request = readRequest(head);
  if ('fault' in request) {
    trace?.({ rule: 'request', passed: false, detail: request.fault });
    return refuse(null, reject(request.unknownCoding ? 'transfer_encoding' : 'malformed', request.fault));
  }
  // TRACE would show a page the fields that the gateway and earlier proxies have added (RFC 9110 §9.3.8).
  if (method === 'TRACE') {
    trace?.({ rule: 'request', passed: false, detail: 'TRACE is not forwarded' });
    return refuse(null, reject('method', 'TRACE is not forwarded', ['Allow', METHODS]));
  }
  const ambiguous = ambiguity(table, request);
  if (ambiguous !== null) {
    trace?.({ rule: 'request', passed: false, detail: ambiguous });
    return refuse(null, reject('malformed', ambiguous));
  }
  const websocket = wantsWebSocket(head);
  trace?.({ rule: 'kind', passed: true, detail: websocket ? 'a WebSocket handshake' : 'plain HTTP' });
  return websocket ? decideHandshake(table, request, client, trace) : decidePlain(table, request, client, trace);
}

/**
 * A field or parameter that some route matches by and that appears with two values: the route could use one of them, and a
 * backend the other.
 */
function ambiguity({ chosenBy }: RouteTable, { head, target }: Request): string | null {
  for (const name of chosenBy.headers) {
    if (head.names.includes(name) && new Set(valuesOf(head, name)).size > 1)
      return `there is more than one ${name}, and a route goes by it`;
  }
  if (chosenBy.query.size === 0 || target.query === '') return null;
  const query = parametersOf(target.query);
  for (const name of chosenBy.query) {
    if (new Set(query.getAll(name)).size > 1) return `the query has more than one ${name}, and a route goes by it`;
  }
  return null;
}

function decideHandshake(table: RouteTable, received: Request, client: string, trace?: Trace): Verdict {
  const found = table.websocket.find(received, traceRoutes(trace));
  if (!found) {
    if (trace) traceUnfit(trace, table.http.find(received), 'plain HTTP');
    return refuse(null, reject('no_route', 'no route takes a WebSocket here'));
  }
  if (!takesClient(found.route, client, trace)) return refuse(found.route, reject('address'));
  const { request, token } = take(found.route, received);
  if (found.route.websocket === null) return answerOwn(found, { request, token });
  const route = found.route as WebSocketRoute;
  const rule = route.websocket;
  const handshake = readHandshake(request.head, rule.versions);
  if (isRejection(handshake)) {
    trace?.({
      rule: 'handshake',
      passed: false,
      detail: `${handshake.detail} (versions: ${rule.versions.join(', ')})`,
    });
    return refuse(route, handshake);
  }
  trace?.({ rule: 'handshake', passed: true, detail: `version ${handshake.version}` });
  const refused = checkOrigin(rule, handshake.origin, request, trace);
  if (refused) return refuse(route, refused);
  const offer = checkOffer(rule, handshake.offer, trace);
  if (isRejection(offer)) return refuse(route, offer);
  const sent = rewrite(found, request, trace);
  if (isRejection(sent)) return refuse(route, sent);
  const { params } = found;
  const agreed = { ...handshake, offer };
  return isTerminate(route)
    ? { kind: 'terminate', route, request, token, params, handshake: agreed, sent }
    : { kind: 'splice', route, request, token, params, handshake: agreed, sent };
}

function isTerminate(route: WebSocketRoute): route is TerminateRoute {
  return route.websocket.config.mode === 'terminate';
}

/** A request without its token, and the token. */
function take({ auth }: Route, request: Request): TokenResult {
  return auth === null || auth.token === null ? { request, token: null } : takeToken(auth.token, request);
}

function checkOrigin(rule: WebSocketRule, origin: string | null, request: Request, trace?: Trace): Rejection | null {
  const missing = origin === null;
  const passed = missing ? rule.missingOrigin === 'allow' : originAllowed(rule.origins, origin, request.authority);
  trace?.({
    rule: 'origin',
    passed,
    detail: missing
      ? `none (missing_origin: ${rule.missingOrigin})`
      : `${origin} (origins: ${[rule.config.origins].flat().join(', ')})`,
  });
  if (passed) return null;
  return reject('origin', missing ? 'Origin is missing' : undefined);
}

function checkOffer(rule: WebSocketRule, offer: readonly string[], trace?: Trace): readonly string[] | Rejection {
  const left = cutOffer(offer, rule.subprotocols);
  trace?.({
    rule: 'subprotocol',
    passed: !isRejection(left),
    detail: `${offer.join(', ') || 'none'} (subprotocols: ${rule.subprotocols.subprotocols?.join(', ') ?? 'any'})`,
  });
  return left;
}

function decidePlain(table: RouteTable, received: Request, client: string, trace?: Trace): Verdict {
  // The target `*` names the gateway as a whole (RFC 9110 §9.3.7).
  if (received.target.path === '*') return decideAsterisk(received);
  const found = table.http.find(received, traceRoutes(trace));
  if (found) {
    if (!takesClient(found.route, client, trace)) return refuse(found.route, reject('address'));
    const { request, token } = take(found.route, received);
    if (found.route.own !== null) return answerOwn(found, { request, token });
    const route = found.route as HttpRoute;
    if (tooLarge(route, request)) {
      trace?.({ rule: 'body', passed: false, detail: `larger than max_body (${route.http.max_body} bytes)` });
      return refuse(route, reject('body_too_large'));
    }
    const sent = rewrite(found, request, trace);
    if (isRejection(sent)) return refuse(route, sent);
    return { kind: 'forward', route, request, token, params: found.params, sent };
  }
  const upgradable = table.websocket.find(received);
  if (trace) traceUnfit(trace, upgradable, 'WebSockets');
  if (!upgradable) return refuse(null, reject('no_route'));
  // A client that is refused by its address must not learn what the route supports.
  const { route } = upgradable;
  return refuse(route, reject(takesClient(route, client, trace) ? 'upgrade_required' : 'address'));
}

/** Refuses an address in `deny`, and, if there is an `allow`, an address that is not in it. */
function takesClient({ addresses }: Route, client: string, trace?: Trace): boolean {
  if (addresses === null) return true;
  const { deny, allow } = addresses;
  const denied = deny?.set.has(client) === true;
  const passed = !denied && allow?.set.has(client) !== false;
  if (trace) {
    const [key, listed] = denied || allow === null ? ['deny', deny] : ['allow', allow];
    trace({ rule: 'address', passed, detail: `${client || 'a unix socket'} (${key}: ${listed?.entries.join(', ')})` });
  }
  return passed;
}

function answerOwn(fit: Fit, { request, token }: TokenResult): Verdict {
  const { route } = fit;
  const own = route.own?.(request, fit) ?? null;
  if (own === null) return refuse(route, reject('malformed', 'Host is missing'));
  return { kind: 'respond', route, request, token, ...own };
}

/** Checks the announced length; a chunked body is counted as it arrives. */
function tooLarge({ http }: HttpRoute, { head }: Request): boolean {
  if (http.max_body === undefined) return false;
  const [length = '0'] = valuesOf(head, 'content-length');
  return Number(length) > http.max_body;
}

/** The path for the backend; a refusal if the path can't be rewritten. */
function rewrite({ route: { path }, pattern }: Fit, { target }: Request, trace?: Trace): RewrittenTarget | Rejection {
  if (path === null) return { target: target.raw, shown: '', sent: '', path: target.path };
  const fitting = { segments: pattern.segments.length, fits: (text: string) => matchPath(pattern, text) !== null };
  const sent = rewriteTarget(path, fitting, target);
  const fault = 'fault' in sent ? sent.fault : null;
  trace?.({ rule: 'path', passed: fault === null, detail: 'fault' in sent ? sent.fault : `sent as ${sent.target}` });
  return 'fault' in sent ? reject('malformed', sent.fault) : sent;
}

function decideAsterisk(request: Request): Verdict {
  if (request.head.method !== 'OPTIONS') return refuse(null, reject('malformed', 'only OPTIONS has the target *'));
  return {
    kind: 'respond',
    route: null,
    request,
    token: null,
    status: 204,
    fields: allowed,
    body: null,
  };
}

const allowed = (): string[] => ['Allow', METHODS];

function refuse(route: Route | null, rejection: Rejection): Refuse {
  return { kind: 'reject', route, rejection };
}

/** The first route that would fit a request of the other kind. */
function traceUnfit(trace: Trace, fit: Fit | null, kind: string): void {
  if (fit) trace({ rule: `route ${fit.route.name}`, passed: false, detail: `fits, but takes only ${kind}` });
}

function traceRoutes(trace: Trace | undefined): ((route: Route, mismatch: string | null) => void) | undefined {
  if (!trace) return undefined;
  return (route, mismatch) =>
    trace({ rule: `route ${route.name}`, passed: mismatch === null, detail: mismatch ?? 'fits' });
}
