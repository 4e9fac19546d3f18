// What a handshake asked for, of which the log and the API tell where it got no session. Pure.
import type { HandshakeFields } from '../events/handshake.ts';
import { type FieldSection, listElements, valuesOf } from '../http/fields.ts';

/** Reads it from any head, also one that is no valid handshake. `listed` are the route's subprotocols; null: it takes any. */
export function shownFields(head: FieldSection, listed: readonly string[] | null): HandshakeFields {
  const [version = null] = valuesOf(head, 'sec-websocket-version');
  // Version 8 (draft 10 of the protocol) names the field Sec-WebSocket-Origin.
  const [origin = null] = valuesOf(head, version === '8' ? 'sec-websocket-origin' : 'origin');
  const offered = listElements(head, 'sec-websocket-protocol');
  return { origin, version, subprotocols: listed === null ? [] : listed.filter((name) => offered.includes(name)) };
}
