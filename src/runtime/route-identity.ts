// What makes a route the same one after a reload: what it does to a session, with every default in its place. Neither its name
// counts, nor that of its upstream, nor how any of it was written.
import { createHash } from 'node:crypto';
import type { Config, RouteConfig } from '../config/schema/schema.ts';
import type { RouteIdentity } from '../sessions/registry.ts';

export class RouteIdentities {
  readonly #config: Config;
  readonly #routes: ReadonlyMap<string, RouteConfig>;
  /** Made when it is asked for: a config may have very many routes. */
  readonly #known = new Map<string, RouteIdentity>();
  #byFingerprint: Map<string, RouteConfig> | null = null;

  constructor(config: Config) {
    this.#config = config;
    this.#routes = new Map(config.routes.map((route) => [route.name, route]));
  }

  /** Of a route of the config. */
  readonly of = (name: string): RouteIdentity => {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const route = this.#routes.get(name);
    if (route === undefined) throw new Error(`the config has no route ${name}`);
    const identity = { fingerprint: this.#fingerprint(route), onChange: route.on_change ?? null };
    this.#known.set(name, identity);
    return identity;
  };

  /** The route of this name; undefined where it takes no handshakes. */
  route(name: string): RouteConfig | undefined {
    const route = this.#routes.get(name);
    return route?.websocket === undefined ? undefined : route;
  }

  /** The first route that does the same, whatever its name. */
  find(fingerprint: string): RouteConfig | undefined {
    if (this.#byFingerprint === null) {
      this.#byFingerprint = new Map();
      for (const route of this.#config.routes) {
        if (route.websocket === undefined) continue;
        const { fingerprint: own } = this.of(route.name);
        if (!this.#byFingerprint.has(own)) this.#byFingerprint.set(own, route);
      }
    }
    return this.#byFingerprint.get(fingerprint);
  }

  #fingerprint({ match, deny, allow, auth, rewrite, headers, websocket }: RouteConfig): string {
    const splice = websocket?.mode === 'splice' ? websocket : null;
    const upstream = splice === null ? undefined : this.#config.upstreams[splice.upstream];
    const reach = { tls: upstream?.tls, proxy_protocol: upstream?.proxy_protocol };
    const rule = { match, deny, allow, auth, rewrite, headers, websocket: splice === null ? websocket : ownOf(splice) };
    return createHash('sha256').update(canonical({ rule, reach })).digest('base64');
  }
}

/** Less the name of its upstream: what counts is the server that a session has. */
function ownOf({ upstream: _, ...own }: Readonly<Record<string, unknown>>): object {
  return own;
}

/** JSON with the keys of every map in one order, and without what is undefined. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  );
}
