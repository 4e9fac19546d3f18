// The authenticators of one config, by route. Key sets that were fetched for the previous config are kept, as pools are.
import type { Config } from '../config/schema/schema.ts';
import type { AuthConfig, JwtConfig } from '../config/schema/schema-auth.ts';
import type { Emit } from '../events.ts';
import type { InternalClient } from '../proxy/internal-client.ts';
import type { Pool } from '../upstream/pool.ts';
import type { Authenticator } from './authenticator.ts';
import { createBasic, PASSWORD_CHECKS } from './basic.ts';
import { createCertificate } from './certificate.ts';
import { FairSemaphore } from './fair-semaphore.ts';
import { createForward } from './forward.ts';
import { createJwt } from './jwt.ts';
import type { FindKey } from './key-set.ts';
import { readKeyText } from './key-text.ts';
import { RemoteKeys } from './remote-keys.ts';
import { usersOf } from './users.ts';

/** How authenticators reach other servers. */
export interface AuthDeps {
  readonly emit: Emit;
  readonly caller: InternalClient;
  /** The pool of an upstream that the config names. */
  readonly pool: (upstream: string) => Pool;
}

/** How a route checks its live sessions again. */
interface Recheck {
  readonly authenticator: Authenticator;
  /** See the config. */
  readonly everyMs: number;
  readonly graceMs: number;
}

export class Authenticators {
  readonly #byRoute = new Map<string, Authenticator>();
  readonly #rechecks = new Map<string, Recheck>();
  /** For the passwords of all routes, and of the previous config. */
  readonly #checks: FairSemaphore;
  /** By the options they are fetched with: routes with the same options share one. */
  readonly #sets = new Map<string, RemoteKeys>();

  constructor(config: Pick<Config, 'routes'>, deps: AuthDeps, previous: Authenticators | null) {
    this.#checks = previous === null ? new FairSemaphore(PASSWORD_CHECKS) : previous.#checks;
    for (const { name, auth } of config.routes) {
      const authenticator = auth === undefined ? null : this.#create(auth, deps, previous);
      if (authenticator === null) continue;
      this.#byRoute.set(name, authenticator);
      const recheck = auth?.recheck;
      if (recheck) this.#rechecks.set(name, { authenticator, everyMs: recheck.every, graceMs: recheck.grace });
    }
  }

  #create({ jwt, basic, forward, certificate }: AuthConfig, deps: AuthDeps, previous: Authenticators | null) {
    if (jwt !== undefined) return createJwt(jwt, this.#keysFor(jwt, deps.emit, previous));
    if (basic !== undefined) {
      const { realm, users = {} } = basic;
      return createBasic({ realm, users: usersOf(users), checks: this.#checks });
    }
    if (forward !== undefined) return createForward({ config: forward, ...deps });
    return certificate === undefined ? null : createCertificate(certificate);
  }

  get(route: string): Authenticator | null {
    return this.#byRoute.get(route) ?? null;
  }

  /** Null where the route does not check again. */
  recheckOf(route: string): Recheck | null {
    return this.#rechecks.get(route) ?? null;
  }

  /** Fetches the key sets that are not there yet. */
  start(): void {
    for (const set of this.#sets.values()) set.warm();
  }

  /** The check of the config ensures that there is one of them, and that it can be read. */
  #keysFor(config: JwtConfig, emit: Emit, previous: Authenticators | null): FindKey {
    const { jwks, jwks_refresh, jwks_cooldown, jwks_timeout, key = '', algorithms } = config;
    if (jwks === undefined) {
      const keys = readKeyText(key, algorithms);
      if (typeof keys === 'string') throw new Error(`the key ${keys}`);
      return keys;
    }
    const source = { jwks, jwks_refresh, jwks_cooldown, jwks_timeout };
    const id = JSON.stringify(source);
    const known = this.#sets.get(id) ?? (previous === null ? undefined : previous.#sets.get(id));
    const set = known ?? new RemoteKeys(source, emit);
    this.#sets.set(id, set);
    return set.find;
  }
}
