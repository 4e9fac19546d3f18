// The route rules of a config, compiled: patterns checked, shadowed routes found, and candidates looked up by host. Pure.
import { runAtOnce } from '../base/slices.ts';
import type { Widened } from '../config/parse.ts';
import type { Problem } from '../config/problem.ts';
import { patternHint } from '../config/problems/slips.ts';
import type { Config, MatchConfig, RouteConfig, WebSocketConfig } from '../config/schema/schema.ts';
import { AUTH_KINDS, type AuthConfig } from '../config/schema/schema-auth.ts';
import { isUnusualText, type OriginRule, parseOriginPattern } from '../handshake/origin.ts';
import { compileAddresses } from '../http/forwarding/addresses.ts';
import type { Request } from '../http/head.ts';
import type { TokenSource } from '../http/token.ts';
import { compileDirectResponse } from './direct-response.ts';
import { effectiveLimits } from './explain/effective-limits.ts';
import { compileHost, compilePath, parentOf } from './pattern.ts';
import { compilePathRule, compilePolicy, type ProblemSink } from './policy.ts';
import {
  type AddressRule,
  type AuthRule,
  type Condition,
  type Fit,
  fitRoute,
  type Listed,
  type Match,
  type Route,
  type RouteKind,
  takes,
  type WebSocketRule,
} from './route.ts';
import { findShadowed } from './shadowed.ts';

export interface RouteTable {
  readonly websocket: Candidates;
  readonly http: Candidates;
  /** The fields (in lower case) and query parameters that any route matches by. */
  readonly chosenBy: { readonly headers: ReadonlySet<string>; readonly query: ReadonlySet<string> };
}

/** Called for each route that was tried, with the reason why it does not fit; null if it fits. */
export type RouteTrace = (route: Route, mismatch: string | null) => void;

/** A route and its index among all routes. */
interface Placed {
  readonly at: number;
  readonly route: Route;
}

/** The routes of one kind, in their order. */
export class Candidates {
  readonly #all: readonly Route[];
  /** Routes by exact host, by the suffix after `*.`, and those for any host; each in the order of the routes. */
  readonly #byHost = new Map<string, Placed[]>();
  readonly #byParent = new Map<string, Placed[]>();
  readonly #anyHost: Placed[] = [];

  constructor(routes: readonly Route[]) {
    this.#all = routes;
    for (const [at, route] of routes.entries()) {
      const { hosts } = route.match;
      if (hosts === null) this.#anyHost.push({ at, route });
      for (const { host, wildcard } of hosts ?? []) {
        const lists = wildcard ? this.#byParent : this.#byHost;
        const list = lists.get(host);
        if (list === undefined) lists.set(host, [{ at, route }]);
        else list.push({ at, route });
      }
    }
  }

  /** The first route that fits, or null. With a trace, every route up to it is tried, whatever its host. */
  find(request: Request, trace?: RouteTrace): Fit | null {
    if (trace === undefined) return this.#findFirst(request);
    for (const route of this.#all) {
      const fit = fitRoute(route, request);
      const fits = typeof fit !== 'string';
      trace(route, fits ? null : fit);
      if (fits) return fit;
    }
    return null;
  }

  /** Searches each list that may contain the host, until a route fits. */
  #findFirst(request: Request): Fit | null {
    const host = request.authority?.host;
    let first = findIn(this.#anyHost, request, Number.POSITIVE_INFINITY);
    if (host === undefined) return first?.fit ?? null;
    for (const list of [this.#byHost.get(host), this.#byParent.get(parentOf(host) ?? '')])
      if (list !== undefined) first = findIn(list, request, first?.at ?? Number.POSITIVE_INFINITY) ?? first;
    return first?.fit ?? null;
  }
}

/** The first route of a list that fits, if its index is below a given one. */
function findIn(list: readonly Placed[], request: Request, before: number): { at: number; fit: Fit } | null {
  for (const { at, route } of list) {
    if (at > before) return null;
    const fit = fitRoute(route, request);
    if (typeof fit !== 'string') return { at, fit };
  }
  return null;
}

/** The compiled routes, and the problems found in them. */
export interface Compiled {
  readonly table: RouteTable;
  readonly problems: readonly Problem[];
}

/**
 * Compiles the routes. A route that can't be compiled is left out of the table and listed in the problems. Routes in
 * `widened` are checked for problems only.
 */
export function compileTable(config: Config, widened: Widened = new Map()): Compiled {
  return runAtOnce(compileSteps(config, widened));
}

/** The same in steps of one route: there may be tens of thousands of routes, and other work between the steps. */
export function* compileSteps(config: Config, widened: Widened): Generator<void, Compiled> {
  const problems: Problem[] = [];
  const routes: (Route | null)[] = [];
  for (const [i, route] of config.routes.entries()) {
    yield;
    routes.push(compileKnown(config, route, { i, lost: widened.get(i) }, problems));
  }
  for (const kind of ['websocket', 'http'] as const) {
    for (const problem of findShadowed(routes, kind)) {
      if (problem !== null) problems.push(problem);
      yield;
    }
  }
  return { table: buildTable(routes.filter((route) => route !== null)), problems };
}

/** Null if the route can't be compiled, or has lost a part of its match. */
function compileKnown(
  config: Config,
  route: RouteConfig,
  { i, lost }: { readonly i: number; readonly lost: { readonly knowsPath: boolean } | undefined },
  problems: Problem[],
): Route | null {
  if (lost === undefined) return compileRoute(config, route, i, problems);
  if (lost.knowsPath) compileRoute(config, route, i, problems);
  else compileRules(route, i, problems);
  return null;
}

function buildTable(routes: readonly Route[]): RouteTable {
  const of = (kind: RouteKind) => new Candidates(routes.filter((route) => takes(route, kind)));
  const valued = (conditions: readonly Condition[]) => conditions.filter(({ value }) => value !== null);
  const namesOf = (kind: 'headers' | 'query') =>
    new Set(routes.flatMap(({ match }) => valued(match[kind]).map(({ name }) => name)));
  const chosenBy = { headers: namesOf('headers'), query: namesOf('query') };
  return { websocket: of('websocket'), http: of('http'), chosenBy };
}

function compileRoute(config: Config, route: RouteConfig, i: number, problems: Problem[]): Route | null {
  const before = problems.length;
  const { match, websocket } = compileRules(route, i, problems);
  if (match === null) return null;
  const sink = { problems, path: ['routes', i] };
  const policy = compilePolicy(config.http, route, match.paths, sink);
  const path = compilePathRule(route, match.paths, sink);
  const own = compileDirectResponse(route, match.paths, sink);
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
    limits: effectiveLimits(config, route),
  };
}

/** The conditions of a route other than its paths. */
function compileRules(route: RouteConfig, i: number, problems: Problem[]) {
  const match = compileMatch(route.match, i, problems);
  const websocket = route.websocket === undefined ? null : compileWebSocket(route.websocket, i, problems);
  return { match, websocket };
}

/** The config check ensures that a route has a kind. */
function compileAuth(config: AuthConfig | undefined): AuthRule | null {
  const kind = AUTH_KINDS.find((key) => config?.[key] !== undefined);
  if (config === undefined || kind === undefined) return null;
  const { jwt, preflight, recheck } = config;
  const token = jwt === undefined ? null : { from: jwt.from.map(sourceOf), keep: jwt.keep_token };
  return { kind, token, preflight, recheckMs: recheck?.every ?? null };
}

function sourceOf(source: NonNullable<AuthConfig['jwt']>['from'][number]): TokenSource {
  if (source === 'header') return { kind: 'header' };
  if ('cookie' in source) return { kind: 'cookie', name: source.cookie };
  if ('query' in source) return { kind: 'query', name: source.query };
  return { kind: 'subprotocol', prefix: source.subprotocol };
}

function compileAddressRule({ deny, allow }: RouteConfig): AddressRule | null {
  if (deny === undefined && allow === undefined) return null;
  return { deny: compileListed(deny), allow: compileListed(allow) };
}

function compileListed(entries: readonly string[] | undefined): Listed | null {
  return entries === undefined ? null : { set: compileAddresses(entries), entries };
}

function compileMatch(config: MatchConfig, i: number, problems: Problem[]): Match | null {
  const sink = { problems, path: ['routes', i, 'match'] };
  const hosts = config.host === undefined ? null : compileEach(config.host, 'host', compileHost, sink);
  const paths = compileEach(config.path, 'path', compilePath, sink);
  if (hosts?.includes(null) || paths.includes(null)) return null;
  return {
    hosts: hosts === null ? null : hosts.filter((host) => host !== null),
    paths: paths.filter((path) => path !== null),
    scheme: config.scheme ?? null,
    headers: conditions(config.headers).map((condition) => ({ ...condition, name: condition.name.toLowerCase() })),
    query: conditions(config.query),
  };
}

/** Compiles a value or each value of a list; null if one can't be compiled. */
function compileEach<T extends object>(
  texts: readonly string[],
  key: 'host' | 'path',
  compile: (text: string) => T | string,
  { problems, path }: ProblemSink,
): (T | null)[] {
  return texts.map((text, k) => {
    const compiled = compile(text);
    if (typeof compiled !== 'string') return compiled;
    // A single value has no list entry that a problem could point to.
    const at = texts.length === 1 ? [key] : [key, k];
    const hint = patternHint(key, text);
    problems.push({ severity: 'error', path: [...path, ...at], message: compiled, ...(hint && { hint }) });
    return null;
  });
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
    const path = ['routes', i, 'websocket', 'origins', k];
    const quoted = JSON.stringify(text);
    if (pattern === null) {
      problems.push({
        severity: 'error',
        path,
        message: `${quoted} is no origin`,
        hint:
          patternHint('origins', text) ??
          'an origin is https://app.example.com or https://*.example.com, in ASCII; or exact text, as file://',
      });
    } else if (pattern.kind === 'text' && isUnusualText(text)) {
      problems.push({
        severity: 'warning',
        path,
        message: `${quoted} is compared as exact text, and no browser sends that`,
        hint: 'an origin of the web is https://app.example.com, without a path',
      });
    }
    return pattern;
  });
  return { kind: 'listed', patterns: patterns.filter((pattern) => pattern !== null) };
}
