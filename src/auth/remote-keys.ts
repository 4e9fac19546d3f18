// An issuer's JSON Web Key Set, fetched and kept: a set that grows old is fetched anew while it stays in use, and stays
// in use where that fails. A key that it does not have causes a fetch too, limited by a cooldown. It does not handle
// tokens.
import { background } from '../base/guard.ts';
import type { JwtConfig } from '../config/schema/schema-auth.ts';
import type { Emit } from '../events.ts';
import { type FindKey, isUnknownKey, openKeySet, type SignedToken, type TokenHeader } from './key-set.ts';

/** There is no key set, and none could be fetched just now. */
export class KeysUnavailable extends Error {}

export type RemoteKeysConfig = Pick<JwtConfig, 'jwks_refresh' | 'jwks_cooldown' | 'jwks_timeout'> & {
  readonly jwks: string;
};

/** Bytes of the largest set; a key with its certificates has a few thousand. */
const MAX_BYTES = 256 * 1024;
/** From one failure to the next try while there is no set at all, unless the cooldown is shorter. */
const FIRST_RETRY_MS = 1000;

export class RemoteKeys {
  readonly #config: RemoteKeysConfig;
  readonly #emit: Emit;
  #keys: FindKey | null = null;
  #fetchedAt = 0;
  #triedAt = Number.NEGATIVE_INFINITY;
  #failing = false;
  /** The fetch under way; it never rejects. */
  #fetching: Promise<void> | null = null;

  constructor(config: RemoteKeysConfig, emit: Emit) {
    this.#config = config;
    this.#emit = emit;
  }

  /** Fetches what is not there yet, so that the first client need not wait for it. */
  warm(): void {
    if (this.#keys === null) background('auth', this.#fetch());
  }

  /** Rejects with KeysUnavailable where there is no key set. */
  readonly find = async (header: TokenHeader, token: SignedToken): Promise<Awaited<ReturnType<FindKey>>> => {
    const keys = await this.#current();
    try {
      return await keys(header, token);
    } catch (error) {
      if (!isUnknownKey(error)) throw error;
      const renewed = await this.#renewed(keys);
      if (renewed === null) throw error;
      return renewed(header, token);
    }
  };

  async #current(): Promise<FindKey> {
    const now = performance.now();
    const { jwks_refresh, jwks_cooldown } = this.#config;
    if (this.#keys === null) {
      if (this.#fetching !== null || now - this.#triedAt >= Math.min(FIRST_RETRY_MS, jwks_cooldown))
        await this.#fetch();
    } else if (now - this.#fetchedAt >= jwks_refresh && now - this.#triedAt >= jwks_cooldown) {
      background('auth', this.#fetch());
    }
    if (this.#keys === null) throw new KeysUnavailable('the key set could not be fetched');
    return this.#keys;
  }

  /** A newer set than that; null where there is none, or it is too early to fetch again. */
  async #renewed(old: FindKey): Promise<FindKey | null> {
    // Another request may have fetched meanwhile.
    if (this.#keys === old) {
      if (this.#fetching === null && performance.now() - this.#triedAt < this.#config.jwks_cooldown) return null;
      await this.#fetch();
    }
    return this.#keys === old ? null : this.#keys;
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#fetchOnce().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetchOnce(): Promise<void> {
    this.#triedAt = performance.now();
    try {
      this.#keys = openKeySet(await fetchJson(this.#config.jwks, this.#config.jwks_timeout));
      this.#fetchedAt = performance.now();
      this.#notify('ok', null);
    } catch (error) {
      this.#notify('failed', reasonOf(error));
    }
  }

  #notify(result: 'ok' | 'failed', detail: string | null): void {
    const changed = this.#failing !== (result === 'failed');
    this.#failing = result === 'failed';
    this.#emit({ type: 'keys_fetched', url: shown(this.#config.jwks), result, changed, detail });
  }
}

async function fetchJson(url: string, timeoutMs: number): Promise<unknown> {
  const signal = AbortSignal.timeout(timeoutMs);
  // Following a redirect would let anyone who can cause one choose the keys.
  const answer = await fetch(url, { redirect: 'error', signal, headers: { Accept: 'application/json' } });
  if (answer.status !== 200) {
    await answer.body?.cancel();
    throw new Error(`answered ${answer.status}`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new Error(`is larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

/** The message of fetch() is `fetch failed`; its cause holds the reason. */
function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error;
  if (name === 'TimeoutError') return 'did not answer in time';
  if (error instanceof SyntaxError) return 'is no JSON';
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

/** Without what may be secret in it. */
function shown(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
