// The verdict on a request, the same for each way that one comes. Too many fields, and what the listener
// does not take, are refused before a route is looked for; a gateway that drains opens no session.
import { type Rejection, reject } from '../handshake/rejection.ts';
import { MAX_FIELDS } from '../http/head.ts';
import { decide, type Refuse, type Verdict } from '../routing/decide.ts';
import type { Incoming } from './incoming.ts';

/** The state that a verdict depends on, besides the request and its config. */
export interface GatewayState {
  /** Handshakes are refused from now on. */
  draining: boolean;
}

/**
 * The verdict on a request that has come whole: bounds of its head, then what its listener refuses, then the table of routes, then
 * whether the gateway drains.
 */
export function decideIncoming(incoming: Incoming, { draining }: Readonly<GatewayState>): Verdict {
  const { snapshot, head, context, refused } = incoming;
  if (head.names.length > MAX_FIELDS)
    return refuse(null, reject('head_too_large', `a head has at most ${MAX_FIELDS} fields`));
  if (refused !== null) return refuse(null, refused);
  const verdict = decide(snapshot.table, head, context.client.address);
  const opensSession = verdict.kind === 'splice' || verdict.kind === 'terminate';
  return draining && opensSession ? refuse(verdict.route, reject('draining')) : verdict;
}

function refuse(route: Refuse['route'], rejection: Rejection): Refuse {
  return { kind: 'reject', route, rejection };
}
