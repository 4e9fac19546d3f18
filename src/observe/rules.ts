// Which rule decided, by reason code: the key of the config that refused or that sets the time that was too short, or the RFC
// where the config has no say. A test holds the table against all reasons.

import { lookupTable } from '../base/lookup-table.ts';
import type { ServerRef } from '../events.ts';

/** `missing_origin` is the reason `origin` where there is none, `passed` an answer of the server's own that is no 101. `{route}` stands for the route's part of the config, `{upstream}` for the upstream's. */
export const RULES: Readonly<Record<string, string>> = lookupTable({
  malformed: 'RFC 9112, RFC 6455 section 4.2.1',
  method: 'RFC 6455 section 4.2.1: a handshake is a GET; RFC 9110 section 9.1',
  transfer_encoding: 'RFC 9112 section 6.1',
  key: 'RFC 6455 section 4.2.1: Sec-WebSocket-Key',
  version: '{route}.websocket.versions',
  upgrade_required: '{route}.websocket, and no route with http',
  address: '{route}.allow, {route}.deny',
  origin: '{route}.websocket.origins',
  missing_origin: '{route}.websocket.missing_origin',
  auth: '{route}.auth',
  certificate: '{route}.client_certificate, listeners.tls.client_auth',
  revoked: 'POST /revocations',
  auth_unavailable: '{route}.auth',
  https_required: 'listeners.redirect_to_https',
  misdirected: 'RFC 9110 section 15.5.20: listeners.tls.certificates',
  no_route: 'routes: no match',
  subprotocol: '{route}.websocket.subprotocols',
  name: '{route}.websocket.rooms',
  head_too_large: 'listeners.max_head',
  body_too_large: '{route}.http.max_body',
  head_timeout: 'listeners.timeouts.head',
  client_limit: '{route}.websocket.limits.connections_per_ip, limits.connections_per_ip',
  rate: '{route}.websocket.limits, {route}.http.limits, limits',
  ramp: 'limits.ramp',
  room_full: '{route}.websocket.rooms.limits',
  too_many_rooms: '{route}.websocket.rooms.limits',
  limit: '{route}.websocket.limits.connections, limits.connections, descriptors',
  draining: 'SIGTERM, or POST /drain',
  no_server: '{upstream}.servers: none is eligible',
  client_gone: 'the client left',
  backend_refused: '{upstream}.servers',
  bad_accept: 'RFC 6455 section 4.1, the answer of {upstream}',
  backend_timeout: '{route}.timeouts, of {upstream}',
  passed: 'the answer of {upstream}',
  internal: 'a defect of the gateway: see internal_error in the log',
});

/** What of a refusal or failure tells the rule. */
interface Refused {
  readonly reason: string | null;
  readonly route: string | null;
  /** Null where a handshake had none; undefined where nobody knows. */
  readonly origin?: string | null | undefined;
  /** The limit that was reached, as in a Rejection. */
  readonly limit?: string | undefined;
  readonly at?: ServerRef | null;
}

/** The rule that refused a request or handshake: of a limit the very one that was reached. Null where nothing was refused. */
export function ruleOfRefusal({ reason, route, origin, limit, at }: Refused): string | null {
  if (reason === null) return null;
  if (limit !== undefined) return limitRule(limit);
  return ruleOf(reason === 'origin' && origin === null ? 'missing_origin' : reason, route, at?.upstream ?? null);
}

/** The rule that a limit is: `chat connections` is that of the route, `connections` the gateway's own. */
function limitRule(limit: string): string {
  const [key = '', route] = limit.split(' ').reverse();
  if (route === undefined) return `limits.${key}`;
  return `routes.${route}.${key.startsWith('requests_') ? 'http' : 'websocket'}.limits.${key}`;
}

/** The rule for a reason, with the names of what it is about; null for a reason that is not known. */
export function ruleOf(reason: string, route: string | null, upstream: string | null): string | null {
  if (!Object.hasOwn(RULES, reason)) return null;
  return (RULES[reason] as string)
    .replaceAll('{route}', route === null ? 'routes' : `routes.${route}`)
    .replaceAll('{upstream}', upstream === null ? 'upstreams' : `upstreams.${upstream}`);
}
