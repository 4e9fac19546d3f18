// The way in after a verdict that lets a request through: rates and what the address may hold, credentials, what the claim
// and the route may hold, in the order of cheap before dear. What was judged before is routing/decide.ts; what comes after is an action.
import type { RouteContext } from '../actions/context.ts';
import type { AuthResult, PassthroughResponse, Principal } from '../auth/authenticator.ts';
import { GatewayError } from '../errors.ts';
import { isRejection, type Rejection, reject } from '../handshake/rejection.ts';
import { isPreflight } from '../http/head.ts';
import type { Admission, AdmissionRequest } from '../limits/admission.ts';
import type { Permit } from '../limits/permit.ts';
import type { ClientClosed } from '../net/client-closed.ts';
import type { Forward, Respond, Upgrade } from '../routing/decide.ts';

/** A request that is let in, with what its action goes by. */
export interface Granted<P> {
  /** As it came, and who the client is. */
  readonly context: RouteContext;
  /** What the client holds from now on; whoever got it gives it back. */
  readonly permit: P;
}

export type AccessResult<P> = Granted<P> | Rejection | PassthroughResponse;

export class AccessPhase {
  readonly #admission: Admission;

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  /** Lets a handshake in, or says why not. Throws a GatewayError for what broke, `client_gone` among it; nothing is held then. */
  async handshake(context: RouteContext, verdict: Upgrade, gone: ClientClosed): Promise<AccessResult<Permit>> {
    const { name } = verdict.route;
    const visit = { route: name, client: context.subject.client, limits: context.services.limits.handshakes(name) };
    const arrived = this.#admission.admitAddress(visit);
    const permit = arrived instanceof Promise ? await arrived : arrived;
    if (isRejection(permit)) return permit;
    let entered = false;
    try {
      stillThere(gone);
      const found = await identify(context, verdict, gone);
      if (found !== null && !isPrincipal(found)) return found;
      const refused = judgeAccess(context, name, found) ?? (await this.#admission.admitIdentity(visit, permit, found));
      if (refused !== null) return refused;
      stillThere(gone);
      entered = true;
      return { context: found === null ? context : withPrincipal(context, found), permit };
    } finally {
      if (!entered) permit.release();
    }
  }

  /** The same for a plain request, which holds no permit. Nothing is waited for where a route asks for nothing. */
  plain(
    context: RouteContext,
    verdict: Forward | Respond,
    gone: () => ClientClosed,
  ): AccessResult<null> | Promise<AccessResult<null>> {
    const limits = verdict.kind === 'forward' ? context.services.limits.requests(verdict.route.name) : null;
    const visit = limits === null ? null : { route: verdict.route?.name ?? '', client: context.subject.client, limits };
    if (visit === null && !needsAuth(context, verdict))
      return judgeAccess(context, nameOf(verdict), null) ?? { context, permit: null };
    return this.#plain({ context, verdict, visit, gone: gone() });
  }

  async #plain({ context, verdict, visit, gone }: PlainAdmission): Promise<AccessResult<null>> {
    const early = visit === null ? null : await this.#admission.request(visit);
    if (early !== null) return early;
    stillThere(gone);
    const found = needsAuth(context, verdict) ? await identify(context, verdict, gone) : null;
    if (found !== null && !isPrincipal(found)) return found;
    const revoked = judgeAccess(context, nameOf(verdict), found);
    const late = revoked ?? (visit === null ? null : await this.#admission.requestOf(visit, found));
    if (late !== null) return late;
    stillThere(gone);
    return { context: found === null ? context : withPrincipal(context, found), permit: null };
  }
}

/** A verdict that lets a request through; an answer to `OPTIONS *` belongs to no route. */
type Through = Upgrade | Forward | Respond;

/** A plain request that has to wait; `visit` is null where no limit is about it. */
interface PlainAdmission {
  readonly context: RouteContext;
  readonly verdict: Forward | Respond;
  readonly visit: AdmissionRequest | null;
  readonly gone: ClientClosed;
}

function needsAuth({ services }: RouteContext, { route, request }: Through): boolean {
  if (route === null || services.authenticator(route.name) === null) return false;
  return route.auth?.preflight !== 'pass' || !isPreflight(request.head);
}

/** Who the client is; null where the route does not ask. */
async function identify(context: RouteContext, verdict: Through, gone: ClientClosed): Promise<AuthResult | null> {
  const { services, subject, client } = context;
  const authenticator = verdict.route === null ? null : services.authenticator(verdict.route.name);
  if (authenticator === null) return null;
  const { request, token } = verdict;
  const { path } = verdict.kind === 'respond' ? request.target : verdict.sent;
  const found = authenticator.authenticate({ id: subject.id, request, path, token, client, gone });
  return whileThere(found, gone);
}

/** What is found out, or a GatewayError as soon as the client has left. */
async function whileThere<T>(found: T | Promise<T>, gone: ClientClosed): Promise<T> {
  stillThere(gone);
  if (!(found instanceof Promise)) return found;
  const leaving = new Promise<never>((_, leave) => gone.onClosed(() => leave(goneError())));
  try {
    return await Promise.race([found, leaving]);
  } finally {
    gone.onClosed(null);
  }
}

/** Whether the client's access was taken back. */
function judgeAccess(
  { services, subject, client }: RouteContext,
  route: string,
  found: Principal | null,
): Rejection | null {
  const { revocations } = services.sessions;
  if (revocations.none) return null;
  const visitor = { id: client.connection, route, client: subject.client, user: found?.subject ?? null };
  return revocations.refuses(visitor) ? reject('revoked') : null;
}

/** An answer to `OPTIONS *` belongs to no route. */
function nameOf({ route }: Through): string {
  return route?.name ?? '';
}

function stillThere(gone: ClientClosed): void {
  if (gone.closed) throw goneError();
}

function goneError(): GatewayError {
  return new GatewayError('client_gone', 'the client left');
}

function isPrincipal(found: AuthResult): found is Principal {
  return 'claims' in found;
}

/** Whether a request was let in. */
export function isGranted<P>(entry: AccessResult<P>): entry is Granted<P> {
  return 'context' in entry;
}

function withPrincipal(context: RouteContext, principal: Principal): RouteContext {
  return { ...context, principal, subject: { ...context.subject, user: principal.subject } };
}
