// Routes that are never reached, since one before them takes everything that fits them. A config may have tens of thousands
// of routes: those that could cover one are looked up, and not all compared with all. Pure.
import type { Problem } from '../config/problem.ts';
import type { HostPattern, PathPattern } from './pattern.ts';
import { covers, isFor, type Match, type Route, type RouteKind, takes } from './route.ts';

/**
 * The problems of one kind of request, route by route: null where there is none. A place in the list is the route's place in
 * the config.
 */
export function* findShadowed(routes: readonly (Route | null)[], kind: RouteKind): Iterable<Problem | null> {
  const earlier = new Earlier();
  for (const [at, route] of routes.entries()) {
    if (route === null || !takes(route, kind)) continue;
    const by = isFor(route, kind) ? earlier.covering(route.match) : null;
    earlier.add({ at, route });
    yield by === null ? null : shadowedBy(by, { at, route }, kind);
  }
}

function shadowedBy(by: Route, { at, route }: Placed, kind: RouteKind): Problem {
  return {
    severity: 'error',
    path: ['routes', at, 'match'],
    message: `route ${route.name} is never reached for ${kind}: route ${by.name} before it takes everything`,
    hint: 'put the narrower route first',
  };
}

interface Placed {
  readonly at: number;
  readonly route: Route;
}

/**
 * The routes so far, under what a route must have to be covered by them: a host, then segment by segment a path, then a
 * field or query parameter.
 */
class Earlier {
  readonly #byHost = new Map<string, Node>();

  add(placed: Placed): void {
    const { hosts, paths } = placed.route.match;
    for (const host of hosts === null ? [ANY_HOST] : hosts.map(hostKey)) {
      for (const path of paths) {
        const leaf = leafOf(entryOf(this.#byHost, host, newNode), path);
        entryOf(leaf, rarestCondition(leaf, placed.route.match), newList).push(placed);
      }
    }
  }

  /** The first route that takes everything that fits. Whatever covers all hosts and paths covers the first of them. */
  covering(match: Match): Route | null {
    let first: Placed | null = null;
    const [path] = match.paths as [PathPattern];
    for (const host of wideHosts(match.hosts?.[0] ?? null)) {
      const root = this.#byHost.get(host);
      for (const leaf of root === undefined ? [] : wideLeaves(root, path, 0)) {
        for (const condition of conditionsOf(match)) {
          const found = leaf.get(condition)?.find(({ route }) => covers(route.match, match));
          if (found !== undefined && (first === null || found.at < first.at)) first = found;
        }
      }
    }
    return first?.route ?? null;
  }
}

/** Routes by one of their conditions; a route without any stands under the empty text. */
type Leaf = Map<string, Placed[]>;

/** What stands below some segments of a path. */
interface Node {
  readonly texts: Map<string, Node>;
  readonly parameter: Map<'', Node>;
  readonly exact: Leaf;
  readonly prefix: Leaf;
}

const newNode = (): Node => ({ texts: new Map(), parameter: new Map(), exact: new Map(), prefix: new Map() });
const newList = (): Placed[] => [];

function leafOf(root: Node, { segments, prefix }: PathPattern): Leaf {
  let node = root;
  for (const segment of segments)
    node = 'text' in segment ? entryOf(node.texts, segment.text, newNode) : entryOf(node.parameter, '', newNode);
  return prefix ? node.prefix : node.exact;
}

/** The leaves of patterns that can cover a path from its segment `at` on. */
function* wideLeaves(node: Node, path: PathPattern, at: number): Iterable<Leaf> {
  const segment = path.segments[at];
  // A prefix asks for one more segment, which a path that is a prefix itself has.
  if (segment !== undefined || path.prefix) yield node.prefix;
  if (segment === undefined) {
    if (!path.prefix) yield node.exact;
    return;
  }
  const parameter = node.parameter.get('');
  if (parameter !== undefined) yield* wideLeaves(parameter, path, at + 1);
  const text = 'text' in segment ? node.texts.get(segment.text) : undefined;
  if (text !== undefined) yield* wideLeaves(text, path, at + 1);
}

const ANY_HOST = '';

function hostKey({ host, wildcard }: HostPattern): string {
  return wildcard ? `*.${host}` : host;
}

/** The hosts under which what covers a host stands. */
function wideHosts(host: HostPattern | null): string[] {
  if (host === null) return [ANY_HOST];
  const dot = host.host.indexOf('.');
  const parent = host.wildcard || dot === -1 ? [] : [`*${host.host.slice(dot)}`];
  return [ANY_HOST, hostKey(host), ...parent];
}

/** The condition of a route under which the fewest others stand, so that lists stay short. */
function rarestCondition(leaf: Leaf, { headers, query }: Match): string {
  let rarest = '';
  let fewest = Number.POSITIVE_INFINITY;
  for (const [kind, conditions] of Object.entries({ headers, query })) {
    for (const { name, value } of conditions) {
      const key = conditionKey(kind, name, value);
      const count = leaf.get(key)?.length ?? 0;
      if (count < fewest) [rarest, fewest] = [key, count];
    }
  }
  return rarest;
}

/** No condition, and each that the route has: with its value, and with any. */
function* conditionsOf({ headers, query }: Match): Iterable<string> {
  yield '';
  for (const [kind, conditions] of Object.entries({ headers, query })) {
    for (const { name, value } of conditions) {
      yield conditionKey(kind, name, value);
      if (value !== null) yield conditionKey(kind, name, null);
    }
  }
}

function conditionKey(kind: string, name: string, value: string | null): string {
  return JSON.stringify([kind, name, value]);
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
