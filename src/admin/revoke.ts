// `POST /revocations` of the admin API: whom it is about, and for how long, read from its body.
import { parseRange } from '../config/address.ts';
import { parseDuration } from '../config/yaml/units.ts';
import type { Revocation } from '../sessions/revocations.ts';
import type { Broker } from '../websocket/broker/broker.ts';
import { type AdminResponse, json, problem } from './answer.ts';
import { parseObject } from './body.ts';

/** What is refused for no longer than a handshake takes. */
const DEFAULT_FOR_MS = 30_000;
const CRITERIA = ['subject', 'address', 'route', 'id'] as const;
const LONGEST = 1024;

/** Carries a revocation out, on all gateways; `text` is the request's body. */
export async function revoke(broker: Broker, text: string): Promise<AdminResponse> {
  const wanted = readRevocation(text);
  if (typeof wanted === 'string') return problem(400, 'malformed', wanted);
  return json(200, { closed: await broker.revoke(wanted.revocation, wanted.forMs) });
}

interface Wanted {
  readonly revocation: Revocation;
  readonly forMs: number;
}

/** A string says what is wrong. */
function readRevocation(text: string): Wanted | string {
  const value = parseObject(text);
  if (value === null) return 'the body is no JSON object';
  const { for: lasting = null, ...criteria } = value;
  const unknown = Object.keys(criteria).find((key) => !(CRITERIA as readonly string[]).includes(key));
  if (unknown !== undefined) return `${JSON.stringify(unknown)} is none of ${CRITERIA.join(', ')}, for`;
  const given = Object.entries(criteria);
  if (given.length === 0) return `one of ${CRITERIA.join(', ')} is needed`;
  const odd = given.find(([, text]) => typeof text !== 'string' || text === '' || text.length > LONGEST);
  if (odd) return `${odd[0]} is a text of 1 to ${LONGEST} characters`;
  const revocation = criteria as Revocation;
  const { address } = revocation;
  if (address !== undefined && parseRange(address) === null) return 'address is an IP address or a CIDR range';
  const forMs = lasting === null ? DEFAULT_FOR_MS : durationOf(lasting);
  if (forMs === undefined) return 'for is a duration, such as 10m';
  return { revocation, forMs };
}

/** Milliseconds; undefined where the value is no duration. */
function durationOf(value: unknown): number | undefined {
  return typeof value === 'string' ? parseDuration(value) : undefined;
}
