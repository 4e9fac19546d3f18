// A compiled route: what decide() judges by, and what the actions find their settings in. Pure values.

import type { HttpConfig, SpliceConfig, TerminateConfig, WebSocketConfig } from '../config/schema/schema.ts';
import type { AUTH_KINDS } from '../config/schema/schema-auth.ts';
import type { Version } from '../handshake/handshake.ts';
import type { OriginRule } from '../handshake/origin.ts';
import type { SubprotocolRule } from '../handshake/subprotocol.ts';
import { valuesOf } from '../http/fields.ts';
import type { AddressSet } from '../http/forwarding/addresses.ts';
import type { Request } from '../http/head.ts';
import type { Policy } from '../http/policy/policy.ts';
import type { PathRule } from '../http/policy/rewrite.ts';
import { parametersOf } from '../http/query.ts';
import type { TokenRule } from '../http/token.ts';
import type { DirectResponseRule } from './direct-response.ts';
import type { EffectiveLimits } from './explain/effective-limits.ts';
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

/** A request fits where it fits one of the hosts, one of the paths, and all the rest. */
export interface Match {
  /** Null takes any host. */
  readonly hosts: readonly HostPattern[] | null;
  readonly paths: readonly PathPattern[];
  /** Null takes both. */
  readonly scheme: 'http' | 'https' | null;
  /** Names in lower case. */
  readonly headers: readonly Condition[];
  readonly query: readonly Condition[];
}

/** How a route judges handshakes, and the config of what it does with those it admits: by its mode, one or the other. */
export interface WebSocketRule<C extends WebSocketConfig = WebSocketConfig> {
  readonly origins: OriginRule;
  readonly missingOrigin: 'allow' | 'reject';
  readonly versions: readonly Version[];
  readonly subprotocols: SubprotocolRule;
  readonly config: C;
}

/** How a route authenticates its clients. */
export interface AuthRule {
  /** As the config names it. */
  readonly kind: (typeof AUTH_KINDS)[number];
  /** Where its token may stand; null where it is no token that is asked for. */
  readonly token: TokenRule | null;
  /** Whether a CORS preflight passes without. */
  readonly preflight: 'check' | 'pass';
  /** Milliseconds after which the credentials of a live session are judged again; null: never. */
  readonly recheckMs: number | null;
}

/** Some clients, and how the config names them. */
export interface Listed {
  readonly set: AddressSet;
  readonly entries: readonly string[];
}

/** Which clients a route takes, by their address. */
export interface AddressRule {
  readonly deny: Listed | null;
  readonly allow: Listed | null;
}

export interface Route {
  readonly name: string;
  readonly match: Match;
  /** Null: it takes anyone. */
  readonly auth: AuthRule | null;
  /** Null takes everyone. */
  readonly addresses: AddressRule | null;
  readonly websocket: WebSocketRule | null;
  readonly http: HttpConfig | null;
  /** A redirect or a fixed answer, which a plain request gets in place of a backend's. */
  readonly own: DirectResponseRule | null;
  readonly policy: Policy;
  /** Null where paths stay as they are. */
  readonly path: PathRule | null;
  /** In words, for `explain`. */
  readonly limits: EffectiveLimits;
}

/** A route for handshakes, by what it does with them. */
export type SpliceRoute = Route & { readonly websocket: WebSocketRule<SpliceConfig> };
export type TerminateRoute = Route & { readonly websocket: WebSocketRule<TerminateConfig> };
export type WebSocketRoute = SpliceRoute | TerminateRoute;

/** A route for plain requests that go to an upstream. */
export type HttpRoute = Route & { readonly http: HttpConfig };

/** A route that a request fits, by which of its paths, and the values of that path's parameters. */
export interface Fit {
  readonly route: Route;
  readonly pattern: PathPattern;
  readonly params: Params;
}

/** How the request fits the route; a string says why it does not. */
export function fitRoute(route: Route, request: Request): Fit | string {
  const { match } = route;
  const host = request.authority?.host ?? null;
  if (match.hosts?.some((pattern) => matchHost(pattern, host)) === false)
    return `host is not ${formatPatterns(match.hosts)}`;
  const fit = fitPath(route, request.target.path);
  if (fit === null) return `path is not ${formatPatterns(match.paths)}`;
  if (match.scheme !== null && (match.scheme === 'https') !== request.head.secure)
    return `scheme is not ${match.scheme}`;
  for (const condition of match.headers) {
    if (!holds(condition, valuesOf(request.head, condition.name)))
      return `field ${condition.name} is not ${condition.value ?? 'there'}`;
  }
  if (match.query.length > 0) {
    const query = parametersOf(request.target.query);
    for (const condition of match.query) {
      if (!holds(condition, query.getAll(condition.name)))
        return `query ${condition.name} is not ${condition.value ?? 'there'}`;
    }
  }
  return fit;
}

function fitPath(route: Route, path: string): Fit | null {
  for (const pattern of route.match.paths) {
    const params = matchPath(pattern, path);
    if (params !== null) return { route, pattern, params };
  }
  return null;
}

function formatPatterns(patterns: readonly { readonly text: string }[]): string {
  return patterns.map(({ text }) => text).join(' or ');
}

function holds(condition: Condition, values: readonly string[]): boolean {
  return condition.value === null ? values.length > 0 : values.includes(condition.value);
}

/** Handshakes and plain requests have candidates of their own; a route can be one for both. */
export type RouteKind = 'websocket' | 'http';

/** Whether the route has a rule for this kind, of which it would be a mistake that it is never reached. */
export function isFor({ websocket, http, own }: Route, kind: RouteKind): boolean {
  return kind === 'websocket' ? websocket !== null : http !== null || own !== null;
}

/**
 * Whether the route takes requests of this kind. One that answers by itself takes handshakes too, where it has no rule of
 * their own for them: a redirect to https must not leave `ws://` open behind it.
 */
export function takes(route: Route, kind: RouteKind): boolean {
  return isFor(route, kind) || route.own !== null;
}

/** Whether every request that fits `narrow` also fits `wide`. */
export function covers(wide: Match, narrow: Match): boolean {
  return (
    coversHosts(wide.hosts, narrow.hosts) &&
    narrow.paths.every((path) => wide.paths.some((each) => coversPath(each, path))) &&
    (wide.scheme === null || wide.scheme === narrow.scheme) &&
    coversConditions(wide.headers, narrow.headers) &&
    coversConditions(wide.query, narrow.query)
  );
}

function coversHosts(wide: readonly HostPattern[] | null, narrow: readonly HostPattern[] | null): boolean {
  if (wide === null) return true;
  return narrow?.every((host) => wide.some((each) => coversHost(each, host))) === true;
}

/** The wider one asks for nothing that the narrower one does not ask for. */
function coversConditions(wide: readonly Condition[], narrow: readonly Condition[]): boolean {
  return wide.every(({ name, value }) =>
    narrow.some((other) => other.name === name && (value === null || value === other.value)),
  );
}
