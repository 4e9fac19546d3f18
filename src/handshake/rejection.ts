// The closed table of expected refusals: a reason code, the status it is answered with, and the fields that go with it.
// A rejection is a value; what breaks is an error and stands in errors.ts. Pure.

/** What the client is told, by reason. `detail` is for a person, and never says what would have been admitted. */
export const REJECTIONS = {
  /** No request of HTTP/1.1 as RFC 9112 has it, or no handshake as RFC 6455 §4.2.1 has it. */
  malformed: { status: 400, detail: 'the request is malformed' },
  /** A handshake by another method than GET, or a method that a gateway does not serve; 501 where no parser knows it. */
  method: { status: 405, detail: 'the method is not allowed here' },
  /** A Transfer-Encoding that is more than chunked. */
  transfer_encoding: { status: 501, detail: 'the only supported Transfer-Encoding is chunked' },
  /** Sec-WebSocket-Key is missing, repeated, or not 16 octets in base64. */
  key: { status: 400, detail: 'Sec-WebSocket-Key is not 16 octets in base64' },
  /** The version is not in the route's list. */
  version: { status: 426, detail: 'this WebSocket version is not supported' },
  /** A plain request where only handshakes are taken. */
  upgrade_required: { status: 426, detail: 'this resource accepts only WebSocket connections' },
  /** The client's address is in the route's `deny`, or is not in its `allow`. */
  address: { status: 403, detail: 'this address may not connect here' },
  /** Origin is not allowed by the route, or missing where it must be there. */
  origin: { status: 403, detail: 'this Origin may not connect here' },
  /** No credentials, or none that the route takes. */
  auth: { status: 401, detail: 'valid credentials are needed here' },
  /** The listener's authorities have signed no certificate of this client's, or not one that the route takes. */
  certificate: { status: 403, detail: 'this client certificate may not connect here' },
  /** The client's access was taken back through the admin API. */
  revoked: { status: 403, detail: 'access was revoked' },
  /** Nobody could tell what the credentials are worth. */
  auth_unavailable: { status: 503, detail: 'credentials can not be checked at the moment' },
  /** It came without TLS, over a listener that only redirects to https. */
  https_required: { status: 308, detail: 'this is served by https only' },
  /** It came over a TLS connection that was made for a name with another certificate. */
  misdirected: { status: 421, detail: 'this connection is for another host; open one for this host' },
  /** No route fits. */
  no_route: { status: 404, detail: 'no route takes this request' },
  /** None of the offered subprotocols is in the route's list. */
  subprotocol: { status: 400, detail: 'none of the offered subprotocols is supported' },
  /** The name of a room or user is missing, or is none that the route takes. */
  name: { status: 400, detail: 'the name of the room or of the user is not allowed here' },
  /** The head is larger, or has more fields, than the listener takes. */
  head_too_large: { status: 431, detail: 'the request head is too large' },
  /** The body is announced to be larger than the route takes. */
  body_too_large: { status: 413, detail: 'the request body is too large' },
  /** The head did not arrive whole in time. */
  head_timeout: { status: 408, detail: 'the request head did not arrive in time' },
  /** This client has as many live sessions as the route, or the gateway, allows it. */
  client_limit: { status: 429, detail: 'this client has too many sessions' },
  /** A rate is used up: the client's own, or that of all together. */
  rate: { status: 429, detail: 'too many requests' },
  /** Many clients come at once, and are admitted little by little. */
  ramp: { status: 503, detail: 'many clients are connecting at once; try again later' },
  /** The room has as many members as the route allows. */
  room_full: { status: 503, detail: 'the room is full' },
  /** The user is in as many rooms as the route allows. */
  too_many_rooms: { status: 429, detail: 'this user is in too many rooms' },
  /** The route, or the gateway, has as many live sessions as it may, or the gateway is out of descriptors. */
  limit: { status: 503, detail: 'no capacity for another connection' },
  /** The gateway is being shut down. */
  draining: { status: 503, detail: 'the gateway is shutting down' },
  /** The upstream has no server that could take it. */
  no_server: { status: 503, detail: 'no server is available' },
} as const satisfies Record<string, { status: number; detail: string }>;

export type Reason = keyof typeof REJECTIONS;

/** A refusal, ready to be answered. */
export interface Rejection {
  readonly reason: Reason;
  readonly status: number;
  readonly detail: string;
  /** Fields that go with it, flat. */
  readonly fields: readonly string[];
  /** Which limit was reached, for operators: its key, behind the name of the route and a space where it is a route's. */
  readonly limit?: string;
}

/** Seconds that a client turned away for want of room should wait. */
const RETRY_AFTER = '5';

/** Builds the rejection for a reason; `detail` replaces the table's where more can be said. */
export function reject(reason: Reason, detail?: string, fields: readonly string[] = fieldsOf(reason)): Rejection {
  const row = REJECTIONS[reason];
  return { reason, status: row.status, detail: detail ?? row.detail, fields };
}

function fieldsOf(reason: Reason): readonly string[] {
  if (reason === 'method') return ['Allow', 'GET'];
  if (reason === 'upgrade_required') return ['Upgrade', 'websocket'];
  const { status } = REJECTIONS[reason];
  return status === 503 || status === 429 ? ['Retry-After', RETRY_AFTER] : [];
}

/** RFC 6455 §4.4: the versions spoken, newest first, so that the client can try again with one of them. */
export function rejectVersion(versions: readonly number[]): Rejection {
  return reject('version', undefined, ['Upgrade', 'websocket', 'Sec-WebSocket-Version', versionList(versions)]);
}

/** The versions as a list for Sec-WebSocket-Version, newest first. */
export function versionList(versions: readonly number[]): string {
  return [...versions].sort((a, b) => b - a).join(', ');
}

/** Whether a value is a rejection and not what was asked for. */
export function isRejection(value: object): value is Rejection {
  return 'reason' in value;
}
