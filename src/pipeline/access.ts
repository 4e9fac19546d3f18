// Admits a request after its verdict, with the cheap checks first: the sessions of the address, rates, credentials, the
// sessions of the claim and the route. routing/decide.ts runs before it, an action after it.
import type { RouteContext } from '../actions/context.ts';
import type { HandshakeResources } from '../actions/handshake-resources.ts';
import type { AuthResult, PassthroughResponse, Principal } from '../auth/authenticator.ts';
import { GatewayError } from '../errors.ts';
import { isRejection, type Rejection, reject } from '../handshake/rejection.ts';
import { isPreflight } from '../http/head.ts';
import type { Admission, AdmissionRequest } from '../limits/admission.ts';
import type { ClientClosed } from '../net/client-closed.ts';
import type { Forward, Respond, Upgrade } from '../routing/decide.ts';

/** An admitted request. */
export interface Granted {
  /** The request and the identity of its client. */
  readonly context: RouteContext;
}

export type AccessResult = Granted | Rejection | PassthroughResponse;

/** The client of a handshake. */
export interface HandshakeClient {
  readonly clientClosed: ClientClosed;
  /** They hold the permit, whatever the result; the caller must release them. */
  readonly resources: HandshakeResources;
}

export class AccessPhase {
  readonly #admission: Admission;

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  /** Admits a handshake, or returns why not. Throws a GatewayError for what broke, such as `client_gone`. */
  async handshake(
    context: RouteContext,
    verdict: Upgrade,
    { clientClosed, resources }: HandshakeClient,
  ): Promise<AccessResult> {
    const { name } = verdict.route;
    const request = { route: name, client: context.subject.client, limits: context.services.limits.handshakes(name) };
    const admitted = this.#admission.admitAddress(request);
    const permit = admitted instanceof Promise ? await admitted : admitted;
    if (isRejection(permit)) return permit;
    resources.holdPermit(permit);
    throwIfClosed(clientClosed);
    const found = await identify(context, verdict, clientClosed);
    if (found !== null && !isPrincipal(found)) return found;
    const refused = checkRevoked(context, name, found) ?? (await this.#admission.admitIdentity(request, permit, found));
    if (refused !== null) return refused;
    throwIfClosed(clientClosed);
    return { context: found === null ? context : withPrincipal(context, found) };
  }

  /** The same for a plain request, which has no permit. Does not wait if the route has neither credentials nor limits. */
  plain(
    context: RouteContext,
    verdict: Forward | Respond,
    clientClosed: () => ClientClosed,
  ): AccessResult | Promise<AccessResult> {
    const limits = verdict.kind === 'forward' ? context.services.limits.requests(verdict.route.name) : null;
    const request =
      limits === null ? null : { route: verdict.route?.name ?? '', client: context.subject.client, limits };
    if (request === null && !needsAuth(context, verdict))
      return checkRevoked(context, nameOf(verdict), null) ?? { context };
    return this.#plain({ context, verdict, request, clientClosed: clientClosed() });
  }

  async #plain({ context, verdict, request, clientClosed }: PlainAdmission): Promise<AccessResult> {
    const early = request === null ? null : await this.#admission.request(request);
    if (early !== null) return early;
    throwIfClosed(clientClosed);
    const found = needsAuth(context, verdict) ? await identify(context, verdict, clientClosed) : null;
    if (found !== null && !isPrincipal(found)) return found;
    const revoked = checkRevoked(context, nameOf(verdict), found);
    const late = revoked ?? (request === null ? null : await this.#admission.requestOf(request, found));
    if (late !== null) return late;
    throwIfClosed(clientClosed);
    return { context: found === null ? context : withPrincipal(context, found) };
  }
}

/** A verdict other than a refusal; the answer to `OPTIONS *` belongs to no route. */
type Through = Upgrade | Forward | Respond;

/** A plain request with a check that waits; `request` is null if no limit applies to it. */
interface PlainAdmission {
  readonly context: RouteContext;
  readonly verdict: Forward | Respond;
  readonly request: AdmissionRequest | null;
  readonly clientClosed: ClientClosed;
}

function needsAuth({ services }: RouteContext, { route, request }: Through): boolean {
  if (route === null || services.authenticator(route.name) === null) return false;
  return route.auth?.preflight !== 'pass' || !isPreflight(request.head);
}

/** The client's identity; null if the route needs none. */
async function identify(
  context: RouteContext,
  verdict: Through,
  clientClosed: ClientClosed,
): Promise<AuthResult | null> {
  const { services, subject, client } = context;
  const authenticator = verdict.route === null ? null : services.authenticator(verdict.route.name);
  if (authenticator === null) return null;
  const { request, token } = verdict;
  const { path } = verdict.kind === 'respond' ? request.target : verdict.sent;
  const found = authenticator.authenticate({ id: subject.id, request, path, token, client, clientClosed });
  return untilClosed(found, clientClosed);
}

/** The result of the check, or a GatewayError as soon as the client has left. */
async function untilClosed<T>(found: T | Promise<T>, clientClosed: ClientClosed): Promise<T> {
  throwIfClosed(clientClosed);
  if (!(found instanceof Promise)) return found;
  const leaving = new Promise<never>((_, leave) => clientClosed.onClosed(() => leave(clientClosedError())));
  try {
    return await Promise.race([found, leaving]);
  } finally {
    clientClosed.onClosed(null);
  }
}

/** Whether the client's access was revoked. */
function checkRevoked(
  { services, subject, client }: RouteContext,
  route: string,
  found: Principal | null,
): Rejection | null {
  const { revocations } = services.sessions;
  if (revocations.none) return null;
  const session = { id: client.connection, route, client: subject.client, user: found?.subject ?? null };
  return revocations.refuses(session) ? reject('revoked') : null;
}

/** The route of a verdict; the answer to `OPTIONS *` belongs to none. */
function nameOf({ route }: Through): string {
  return route?.name ?? '';
}

function throwIfClosed(clientClosed: ClientClosed): void {
  if (clientClosed.closed) throw clientClosedError();
}

function clientClosedError(): GatewayError {
  return new GatewayError('client_gone', 'the client left');
}

function isPrincipal(found: AuthResult): found is Principal {
  return 'claims' in found;
}

/** Whether a request was admitted. */
export function isGranted(result: AccessResult): result is Granted {
  return 'context' in result;
}

function withPrincipal(context: RouteContext, principal: Principal): RouteContext {
  return { ...context, principal, subject: { ...context.subject, user: principal.subject } };
}
