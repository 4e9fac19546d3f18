// What a newcomer can try on this config: paths that its routes take from anyone. Not the routing itself; `explain` is.
import type { Config, RouteConfig } from '../config/schema/schema.ts';

/** What stands in for `{name}`; any other name gets `demo`. */
const SAMPLES: Readonly<Record<string, string>> = { room: 'lobby', user: 'me' };

/** Paths to connect a WebSocket to, in the order of the routes. */
export function webSocketPaths(config: Config): string[] {
  return unique(openRoutes(config).flatMap((route) => (route.websocket ? samplePaths(route, ['chat', 'echo']) : [])));
}

/** Paths to GET, in the order of the routes. */
export function httpPaths(config: Config): string[] {
  return unique(openRoutes(config).flatMap((route) => (route.http ? samplePaths(route, ['', 'api/hello']) : [])));
}

/** Routes that ask for nothing but a path: a request to localhost can match them. */
function openRoutes(config: Config): RouteConfig[] {
  return config.routes.filter(({ match }) => {
    return (match.host === undefined || match.host.includes('localhost')) && !match.headers && !match.query;
  });
}

/** The paths of a route with something in the place of each pattern; `tails` are put below a prefix. */
function samplePaths({ match }: RouteConfig, tails: readonly string[]): string[] {
  return match.path.flatMap((pattern) => {
    const path = samplePath(pattern, SAMPLES);
    return path.endsWith('/*') ? tails.map((tail) => path.slice(0, -1) + tail) : [path];
  });
}

/** A pattern with names in the place of its `{name}`s; those that `names` does not have are `demo`. */
export function samplePath(pattern: string, names: Readonly<Record<string, string>>): string {
  return pattern.replace(/\{([^{}]*)\}/g, (_, name: string) => names[name] ?? 'demo');
}

function unique(paths: readonly string[]): string[] {
  return [...new Set(paths)];
}
