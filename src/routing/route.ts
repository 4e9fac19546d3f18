// A compiled route: what decide() judges by, and what the actions find their settings in. Pure values.
import type { HttpConfig, WebSocketConfig } from '../config/schema.ts';
import type { Version } from '../handshake/handshake.ts';
import type { OriginRule } from '../handshake/origin.ts';
import type { SubprotocolRule } from '../handshake/subprotocol.ts';
import { valuesOf } from '../http/fields.ts';
import type { Request } from '../http/head.ts';
import {
  coversHost,
  coversPath,
  type HostPattern,
  matchHost,
  matchPath,
  type Params,
  type PathPattern,
} from './pattern.ts';

/** A field or query parameter that must be there with this value; null takes any value. */
export interface Condition {
  readonly name: string;
  readonly value: string | null;
}

export interface Match {
  readonly host: HostPattern | null;
  readonly path: PathPattern;
  /** Names in lower case. */
  readonly headers: readonly Condition[];
  readonly query: readonly Condition[];
}

/** How a route judges handshakes, and the config of what it does with those it lets in. */
export interface WebSocketRule {
  readonly origins: OriginRule;
  readonly missingOrigin: 'allow' | 'reject';
  readonly versions: readonly Version[];
  readonly subprotocols: SubprotocolRule;
  readonly config: WebSocketConfig;
}

export interface Route {
  readonly name: string;
  readonly match: Match;
  readonly websocket: WebSocketRule | null;
  readonly http: HttpConfig | null;
}

/** The parameters where the request fits the route; a string says why it does not. */
export function fitRoute(match: Match, request: Request): Params | string {
  if (!matchHost(match.host, request.authority?.host ?? null)) return `host is not ${match.host?.text}`;
  const params = matchPath(match.path, request.target.path);
  if (params === null) return `path is not ${match.path.text}`;
  for (const condition of match.headers) {
    if (!holds(condition, valuesOf(request.head, condition.name)))
      return `field ${condition.name} is not ${condition.value ?? 'there'}`;
  }
  if (match.query.length > 0) {
    const query = new URLSearchParams(request.target.query);
    for (const condition of match.query) {
      if (!holds(condition, query.getAll(condition.name)))
        return `query ${condition.name} is not ${condition.value ?? 'there'}`;
    }
  }
  return params;
}

function holds(condition: Condition, values: readonly string[]): boolean {
  return condition.value === null ? values.length > 0 : values.includes(condition.value);
}

/** Whether every request that fits `narrow` also fits `wide`. */
export function covers(wide: Match, narrow: Match): boolean {
  return (
    coversHost(wide.host, narrow.host) &&
    coversPath(wide.path, narrow.path) &&
    coversConditions(wide.headers, narrow.headers) &&
    coversConditions(wide.query, narrow.query)
  );
}

/** The wider one asks for nothing that the narrower one does not ask for. */
function coversConditions(wide: readonly Condition[], narrow: readonly Condition[]): boolean {
  return wide.every(({ name, value }) =>
    narrow.some((other) => other.name === name && (value === null || value === other.value)),
  );
}
