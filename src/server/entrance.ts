// The way in after a verdict that lets a request through: permits of the client, credentials, permits of the route, in the
// order of cheap before dear. What was judged before is routing/decide.ts; what comes after is an action.
import type { RouteContext } from '../actions/context.ts';
import type { Finding, ForeignAnswer, Principal } from '../auth/authenticator.ts';
import { GatewayError } from '../errors.ts';
import { isRejection, type Rejection } from '../handshake/rejection.ts';
import type { Forward, Respond, Upgrade } from '../routing/decide.ts';
import type { Admission, Permit } from '../sessions/admission.ts';
import type { Departure } from '../upstream/departure.ts';

/** A request that is let in, with what its action goes by. */
export interface Entered<P> {
  /** As it came, and who the client is. */
  readonly context: RouteContext;
  /** What the client holds from now on; whoever got it gives it back. */
  readonly permit: P;
}

export type Entry<P> = Entered<P> | Rejection | ForeignAnswer;

export class Entrance {
  readonly #admission: Admission;

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  /** Lets a handshake in, or says why not. Throws a GatewayError for what broke, `client_gone` among it; nothing is held then. */
  async handshake(context: RouteContext, verdict: Upgrade, gone: Departure): Promise<Entry<Permit>> {
    const { name, websocket } = verdict.route;
    const visit = { route: name, client: context.subject.client, limits: websocket.config.limits };
    const permit = this.#admission.arrive(visit);
    if (isRejection(permit)) return permit;
    let entered = false;
    try {
      const found = await identify(context, verdict, gone);
      if (found !== null && !isPrincipal(found)) return found;
      const refused = this.#admission.admit(visit, permit, found);
      if (refused !== null) return refused;
      entered = true;
      return { context: found === null ? context : withPrincipal(context, found), permit };
    } finally {
      if (!entered) permit.release();
    }
  }

  /** The same for a plain request, which holds no permit. Nothing is waited for where a route asks for no credentials. */
  plain(context: RouteContext, verdict: Forward | Respond, gone: () => Departure): Entry<null> | Promise<Entry<null>> {
    if (!asksWho(context, verdict)) return { context, permit: null };
    return this.#plain(context, verdict, gone());
  }

  async #plain(context: RouteContext, verdict: Forward | Respond, gone: Departure): Promise<Entry<null>> {
    const found = await identify(context, verdict, gone);
    if (found === null) return { context, permit: null };
    return isPrincipal(found) ? { context: withPrincipal(context, found), permit: null } : found;
  }
}

/** A verdict that lets a request through; an answer to `OPTIONS *` belongs to no route. */
type Through = Upgrade | Forward | Respond;

function asksWho({ services }: RouteContext, { route }: Through): boolean {
  return route !== null && services.authenticator(route.name) !== null;
}

/** Who the client is; null where the route does not ask. */
async function identify(context: RouteContext, verdict: Through, gone: Departure): Promise<Finding | null> {
  const { services, subject, client } = context;
  const authenticator = verdict.route === null ? null : services.authenticator(verdict.route.name);
  if (authenticator === null) return null;
  const found = await authenticator.authenticate({ id: subject.id, request: verdict.request, client, gone });
  if (gone.left) throw new GatewayError('client_gone', 'the client left');
  return found;
}

function isPrincipal(found: Finding): found is Principal {
  return 'claims' in found;
}

export function isEntered<P>(entry: Entry<P>): entry is Entered<P> {
  return 'context' in entry;
}

function withPrincipal(context: RouteContext, principal: Principal): RouteContext {
  return { ...context, principal, subject: { ...context.subject, user: principal.subject } };
}
