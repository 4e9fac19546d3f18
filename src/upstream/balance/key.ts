// Whose a request is, for `hash`: the client's address, or what a field, a query parameter, a cookie or a segment of the
// path says.
import { cookieOf } from '../../http/cookies.ts';
import { valuesOf } from '../../http/fields.ts';
import type { Request } from '../../http/head.ts';
import { parametersOf } from '../../http/query.ts';

/** The request that a server is wanted for. */
export interface Ask {
  /** The client's address as far as trusted proxies vouch for it. */
  readonly client: string;
  /** Whether the peer is a trusted proxy. */
  readonly viaTrusted: boolean;
  readonly request: Request;
  readonly kind: 'handshake' | 'plain';
  /** The servers that the client has authenticated a connection to, if any: one of them is asked before any other. */
  readonly bound?: ReadonlySet<object> | null;
}

/** Where the key stands; exactly one of these, or none: the client's address. `segment` counts from 1. */
export interface KeySource {
  readonly header?: string | undefined;
  readonly query?: string | undefined;
  readonly cookie?: string | undefined;
  readonly segment?: number | undefined;
}

/** How the key of a request is read; null where it has none, an empty one included. */
export function compileKey({ header, query, cookie, segment }: KeySource): (ask: Ask) => string | null {
  if (header !== undefined) {
    const name = header.toLowerCase();
    return ({ request }) => valuesOf(request.head, name)[0] || null;
  }
  if (query !== undefined) return ({ request }) => parametersOf(request.target.query).get(query) || null;
  if (cookie !== undefined) return ({ request }) => cookieOf(request.head, cookie) || null;
  if (segment !== undefined) return ({ request }) => request.target.path.split('/')[segment] || null;
  return ({ client }) => client || null;
}
