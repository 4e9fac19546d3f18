// Subprotocols (RFC 6455 §1.9, §4.2.2): what a client offers, and what of it a route lets through. Pure.
import { type FieldSection, isToken, listElements } from '../http/fields.ts';
import { type Rejection, reject } from './rejection.ts';

/**
 * Reads the offer over all lines of Sec-WebSocket-Protocol: distinct tokens, in the client's order. Empty elements of the
 * list count for nothing (RFC 9110 §5.6.1.2).
 */
export function readOffer(head: FieldSection): string[] | Rejection {
  const offer = new Set<string>();
  for (const [i, name] of listElements(head, 'sec-websocket-protocol').entries()) {
    if (!isToken(name)) return reject('malformed', notToken(i + 1, name));
    if (offer.has(name))
      return reject('malformed', `Sec-WebSocket-Protocol names one subprotocol twice, again as element ${i + 1}`);
    offer.add(name);
  }
  return [...offer];
}

/** Says where an element is wrong, and not what stands there: some clients put a secret into it. */
function notToken(position: number, element: string): string {
  const octet = [...element].find((char) => !isToken(char)) as string;
  const hex = octet.charCodeAt(0).toString(16).padStart(2, '0');
  return `element ${position} of Sec-WebSocket-Protocol holds the octet 0x${hex}, which no token may`;
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

/**
 * A chosen subprotocol as the log and the API show it: null where the route does not list it. Some clients offer a secret
 * as a subprotocol, and some servers echo it.
 */
export function shownSubprotocol(chosen: string | null, { subprotocols }: SubprotocolRule): string | null {
  return chosen !== null && subprotocols?.includes(chosen) === true ? chosen : null;
}

/** What a terminating route answers with: the first of its own list that is offered, else the client's first. */
export function chooseSubprotocol(offer: readonly string[], rule: SubprotocolRule): string | null {
  const preferred = rule.subprotocols?.find((name) => offer.includes(name));
  return preferred ?? offer[0] ?? null;
}
