// The limits that a route's requests are under, in words, for `explain`: which of them is reached only live state can say.
// What they count and how is limits/. Pure.
import type { Config, RouteConfig } from '../../config/schema/schema.ts';

/** In the order they are asked: before credentials, and after. An empty text is no limit. */
export interface EffectiveLimit {
  readonly before: string;
  readonly after: string;
}

/** Of handshakes and of plain requests. */
export interface EffectiveLimits {
  readonly handshakes: EffectiveLimit;
  readonly requests: EffectiveLimit;
}

const HANDSHAKES = ['connections_per_ip', 'handshakes_per_second_per_ip', 'handshakes_per_second'];
const SESSIONS = ['connections_per_claim', 'handshakes_per_second_per_claim', 'connections'];
const REQUESTS = ['requests_per_second_per_ip', 'requests_per_second'];
const OF_CLAIM = ['requests_per_second_per_claim'];

/** The limits that hold for a route, its own and the gateway's, as text, in the order in which they are asked. */
export function effectiveLimits({ limits: all }: Config, { websocket, http }: RouteConfig): EffectiveLimits {
  const ramp = all.ramp === undefined ? [] : [`ramp ${all.ramp.rate}`];
  const of = (own: object | undefined, keys: readonly string[]) => [
    ...listed(own, keys),
    ...listed(all, keys, 'gateway '),
  ];
  return {
    handshakes: {
      before: [...of(websocket?.limits, HANDSHAKES), ...ramp].join(', '),
      after: of(websocket?.limits, SESSIONS).join(', '),
    },
    requests: { before: of(http?.limits, REQUESTS).join(', '), after: of(http?.limits, OF_CLAIM).join(', ') },
  };
}

function listed(limits: object | undefined, keys: readonly string[], of = ''): string[] {
  const values = new Map<string, unknown>(Object.entries(limits ?? {}));
  return keys.flatMap((key) => {
    const value = values.get(key);
    if (value === undefined) return [];
    const claim = key.endsWith('_per_claim') ? ` (${String(values.get('claim'))})` : '';
    return [`${of}${key}${claim} ${formatLimit(value)}`];
  });
}

function formatLimit(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const { rate, burst } = value as { rate: number; burst: number };
  return `${rate} (burst ${burst})`;
}
