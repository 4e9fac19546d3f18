// The route rules of a config, compiled: patterns checked, shadowed routes found, and candidates looked up by host. Pure.
import type { Problem } from '../config/problem.ts';
import type { Config, MatchConfig, RouteConfig, WebSocketConfig } from '../config/schema.ts';
import { AUTH_KINDS, type AuthConfig } from '../config/schema-auth.ts';
import { type OriginRule, parseOriginPattern } from '../handshake/origin.ts';
import { compileAddresses } from '../http/addresses.ts';
import type { Request } from '../http/head.ts';
import type { TokenPlace } from '../http/token.ts';
import { limitsInForce } from './limits-in-force.ts';
import { compileOwnRule } from './own-answer.ts';
import { compileHost, compilePath, type Params, parentOf } from './pattern.ts';
import { compilePathRule, compilePolicy } from './policy.ts';
import {
  type AddressRule,
  type AuthRule,
  type Condition,
  covers,
  fitRoute,
  type Listed,
  type Match,
  type Route,
  takesPlain,
  type WebSocketRule,
} from './route.ts';

/** Handshakes and plain requests have candidates of their own. */
export type Kind = 'websocket' | 'http';

export interface RouteTable {
  readonly websocket: Candidates;
  readonly http: Candidates;
}

/** A route that fits, and the values of its path parameters. */
export interface Fit {
  readonly route: Route;
  readonly params: Params;
}

/** Told of each route that was looked at, and why it does not fit; null where it does. */
export type RouteTrace = (route: Route, mismatch: string | null) => void;

/** The routes of one kind, in their order. */
export class Candidates {
  readonly #all: readonly Route[];
  readonly #byHost: ReadonlyMap<string, readonly Route[]>;
  readonly #byParent: ReadonlyMap<string, readonly Route[]>;
  readonly #anyHost: readonly Route[];

  constructor(routes: readonly Route[]) {
    this.#all = routes;
    this.#anyHost = routes.filter(({ match }) => match.host === null);
    this.#byHost = index(
      routes,
      (host, wildcard) => (wildcard ? null : host),
      (host, route) => routeTakes(route, host),
    );
    this.#byParent = index(
      routes,
      (host, wildcard) => (wildcard ? host : null),
      (parent, { match }) => match.host === null || (match.host.wildcard && match.host.host === parent),
    );
  }

  /** The first route that fits, or null. With a trace every route up to it is looked at, whatever its host. */
  find(request: Request, trace?: RouteTrace): Fit | null {
    for (const route of trace ? this.#all : this.#under(request)) {
      const params = fitRoute(route.match, request);
      const fits = typeof params !== 'string';
      trace?.(route, fits ? null : params);
      if (fits) return { route, params };
    }
    return null;
  }

  /** The routes whose host can fit, in their order. */
  #under(request: Request): readonly Route[] {
    const host = request.authority?.host;
    if (host === undefined) return this.#anyHost;
    return this.#byHost.get(host) ?? this.#byParent.get(parentOf(host) ?? '') ?? this.#anyHost;
  }
}

function routeTakes(route: Route, host: string): boolean {
  const pattern = route.match.host;
  return pattern === null || (pattern.wildcard ? parentOf(host) === pattern.host : pattern.host === host);
}

function index(
  routes: readonly Route[],
  keyOf: (host: string, wildcard: boolean) => string | null,
  takes: (route: string, of: Route) => boolean,
): Map<string, Route[]> {
  const lists = new Map<string, Route[]>();
  for (const { match } of routes) {
    const key = match.host === null ? null : keyOf(match.host.host, match.host.wildcard);
    if (key !== null)
      lists.set(
        key,
        routes.filter((route) => takes(key, route)),
      );
  }
  return lists;
}

/** Compiles the routes; what can't be compiled is left out of the table and stands among the problems. */
export function compileTable(config: Config): { table: RouteTable; problems: Problem[] } {
  const problems: Problem[] = [];
  const routes: (Route | null)[] = config.routes.map((route, i) => compileRoute(config, route, i, problems));
  for (const kind of ['websocket', 'http'] as const) findShadowed(routes, kind, problems);
  const whole = routes.filter((route) => route !== null);
  return {
    table: {
      websocket: new Candidates(whole.filter(takesHandshakes)),
      http: new Candidates(whole.filter(takesPlain)),
    },
    problems,
  };
}

const takesHandshakes = ({ websocket }: Route): boolean => websocket !== null;
const TAKES = { websocket: takesHandshakes, http: takesPlain } as const;

function compileRoute(config: Config, route: RouteConfig, i: number, problems: Problem[]): Route | null {
  const before = problems.length;
  const match = compileMatch(route.match, i, problems);
  const websocket = route.websocket === undefined ? null : compileWebSocket(route.websocket, i, problems);
  if (match === null) return null;
  const place = { problems, path: ['routes', i] };
  const policy = compilePolicy(config.http, route, match.path, place);
  const path = compilePathRule(route, match.path, place);
  const own = compileOwnRule(route, match.path, place);
  if (problems.length > before) return null;
  const { max_body } = config.limits;
  const http = route.http === undefined ? null : { ...route.http, max_body: route.http.max_body ?? max_body };
  return {
    name: route.name,
    match,
    auth: compileAuth(route.auth),
    addresses: compileAddressRule(route),
    websocket,
    http,
    own,
    policy,
    path,
    limits: limitsInForce(config, route),
  };
}

/** The check of the config holds that there is a kind. */
function compileAuth(config: AuthConfig | undefined): AuthRule | null {
  const kind = AUTH_KINDS.find((key) => config?.[key] !== undefined);
  if (config === undefined || kind === undefined) return null;
  const { jwt, preflight, recheck } = config;
  const token = jwt === undefined ? null : { from: jwt.from.map(placeOf), keep: jwt.keep_token };
  return { kind, token, preflight, recheckMs: recheck?.every ?? null };
}

function placeOf(place: NonNullable<AuthConfig['jwt']>['from'][number]): TokenPlace {
  if (place === 'header') return { kind: 'header' };
  if ('cookie' in place) return { kind: 'cookie', name: place.cookie };
  if ('query' in place) return { kind: 'query', name: place.query };
  return { kind: 'subprotocol', prefix: place.subprotocol };
}

function compileAddressRule({ deny, allow }: RouteConfig): AddressRule | null {
  if (deny === undefined && allow === undefined) return null;
  return { deny: compileListed(deny), allow: compileListed(allow) };
}

function compileListed(entries: readonly string[] | undefined): Listed | null {
  return entries === undefined ? null : { set: compileAddresses(entries), entries };
}

function compileMatch(config: MatchConfig, i: number, problems: Problem[]): Match | null {
  const host = config.host === undefined ? null : compileHost(config.host);
  const path = compilePath(config.path);
  if (typeof host === 'string')
    problems.push({ severity: 'error', path: ['routes', i, 'match', 'host'], message: host });
  if (typeof path === 'string')
    problems.push({ severity: 'error', path: ['routes', i, 'match', 'path'], message: path });
  if (typeof host === 'string' || typeof path === 'string') return null;
  return {
    host,
    path,
    scheme: config.scheme ?? null,
    headers: conditions(config.headers).map((condition) => ({ ...condition, name: condition.name.toLowerCase() })),
    query: conditions(config.query),
  };
}

function conditions(config: Readonly<Record<string, string>> | undefined): Condition[] {
  return Object.entries(config ?? {}).map(([name, value]) => ({ name, value: value === '*' ? null : value }));
}

function compileWebSocket(config: WebSocketConfig, i: number, problems: Problem[]): WebSocketRule {
  return {
    origins: compileOrigins(config.origins, i, problems),
    missingOrigin: config.missing_origin,
    versions: config.versions,
    subprotocols: { subprotocols: config.subprotocols ?? null, required: config.subprotocol_required },
    config,
  };
}

function compileOrigins(config: WebSocketConfig['origins'], i: number, problems: Problem[]): OriginRule {
  if (config === 'any' || config === 'same-host') return { kind: config };
  const patterns = config.map((text, k) => {
    const pattern = parseOriginPattern(text);
    if (pattern === null) {
      problems.push({
        severity: 'error',
        path: ['routes', i, 'websocket', 'origins', k],
        message: `${JSON.stringify(text)} is no origin`,
        hint: 'an origin is https://app.example.com or https://*.example.com, without a path and in ASCII, or null',
      });
    }
    return pattern;
  });
  return { kind: 'listed', patterns: patterns.filter((pattern) => pattern !== null) };
}

/** A route that an earlier one of the same kind takes everything from would never be reached. */
function findShadowed(routes: readonly (Route | null)[], kind: Kind, problems: Problem[]): void {
  for (const [i, route] of routes.entries()) {
    if (route === null || !TAKES[kind](route)) continue;
    const earlier = routes
      .slice(0, i)
      .find((other) => other !== null && TAKES[kind](other) && covers(other.match, route.match));
    if (!earlier) continue;
    problems.push({
      severity: 'error',
      path: ['routes', i, 'match'],
      message: `route ${route.name} is never reached for ${kind}: route ${earlier.name} before it takes everything`,
      hint: 'put the narrower route first',
    });
  }
}
