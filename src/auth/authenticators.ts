// The authenticators of one config, by route. Key sets that were fetched for the config before are taken over, as pools are.
import type { Config } from '../config/schema.ts';
import type { JwtConfig } from '../config/schema-auth.ts';
import type { Emit } from '../events.ts';
import type { Authenticator } from './authenticator.ts';
import { createJwt } from './jwt.ts';
import type { FindKey } from './key-set.ts';
import { readKeyText } from './key-text.ts';
import { RemoteKeys } from './remote-keys.ts';

export class Authenticators {
  readonly #byRoute = new Map<string, Authenticator>();
  /** By what they are fetched with: routes that say the same share one. */
  readonly #sets = new Map<string, RemoteKeys>();

  constructor(config: Pick<Config, 'routes'>, emit: Emit, previous: Authenticators | null) {
    for (const { name, auth } of config.routes) {
      if (auth?.jwt !== undefined)
        this.#byRoute.set(name, createJwt(auth.jwt, this.#keysFor(auth.jwt, emit, previous)));
    }
  }

  get(route: string): Authenticator | null {
    return this.#byRoute.get(route) ?? null;
  }

  /** Fetches the key sets that are not there yet. */
  start(): void {
    for (const set of this.#sets.values()) set.warm();
  }

  /** The check of the config holds that there is one of them, and that it can be read. */
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
