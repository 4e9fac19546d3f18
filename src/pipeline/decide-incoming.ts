// The verdict on a request: too many fields are refused before a route is looked for.
import { type Rejection, reject } from '../handshake/rejection.ts';
import { MAX_FIELDS } from '../http/head.ts';
import { decide, type Verdict } from '../routing/decide.ts';
import type { Incoming } from './incoming.ts';

export function decideIncoming({ snapshot, head, context }: Incoming): Verdict {
  if (head.names.length > MAX_FIELDS)
    return refuse(reject('head_too_large', `a head has at most ${MAX_FIELDS} fields`));
  return decide(snapshot.table, head, context.client.address);
}

function refuse(rejection: Rejection): Verdict {
  return { kind: 'reject', route: null, rejection };
}
