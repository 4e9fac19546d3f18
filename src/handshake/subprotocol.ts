// Subprotocols (RFC 6455 §1.9, §4.2.2): what a client offers, and what of it a route lets through. Pure.
import { type FieldSection, isToken, listElements } from '../http/fields.ts';
import { type Rejection, reject } from './rejection.ts';

/**
 * Reads the offer over all lines of Sec-WebSocket-Protocol: distinct tokens, in the client's order. Empty elements of the
 * list count for nothing (RFC 9110 §5.6.1.2).
 */
export function readOffer(head: FieldSection): string[] | Rejection {
  const offer = new Set<string>();
  for (const name of listElements(head, 'sec-websocket-protocol')) {
    if (!isToken(name)) return reject('malformed', 'Sec-WebSocket-Protocol is malformed');
    if (offer.has(name)) return reject('malformed', 'Sec-WebSocket-Protocol names one subprotocol twice');
    offer.add(name);
  }
  return [...offer];
}

/** Which subprotocols a route lets through; a null list lets any pass. */
export interface SubprotocolRule {
  readonly subprotocols: readonly string[] | null;
  readonly required: boolean;
}

/** The part of the offer that the route lets through, or the refusal where none is left and one is required. */
export function cutOffer(offer: readonly string[], rule: SubprotocolRule): readonly string[] | Rejection {
  if (rule.subprotocols === null) return offer;
  const allowed = rule.subprotocols;
  const left = offer.filter((name) => allowed.includes(name));
  return left.length === 0 && rule.required ? reject('subprotocol') : left;
}

/** What a terminating route answers with: the first of its own list that is offered, else the client's first. */
export function chooseSubprotocol(offer: readonly string[], rule: SubprotocolRule): string | null {
  const preferred = rule.subprotocols?.find((name) => offer.includes(name));
  return preferred ?? offer[0] ?? null;
}
