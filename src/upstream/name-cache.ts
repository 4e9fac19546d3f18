// Resolves the host names of servers for connections. One query per name runs at a time, all connections share its answer, and
// the last good answer is used until there is a newer one. So a name that does not resolve delays its own connections
// only.
import { isIP, type LookupFunction } from 'node:net';
import type { Resolve } from './resolver.ts';
import { openSystemNames } from './system-names.ts';

export interface NameCacheOptions {
  /** Default: the system's resolver. */
  readonly lookUp?: Resolve;
  /** Milliseconds; default: performance.now(). */
  readonly now?: () => number;
  /** The longest wait of a connection for an answer, in ms; default 5 s. */
  readonly deadlineMs?: number;
  /** The longest wait for a new answer if there is an old one, in ms; default 200 ms. */
  readonly refreshTimeoutMs?: number;
}

/** An answer is used for at least this long whatever its TTL, and at most for the second. */
const SHORTEST_MS = 1000;
const LONGEST_MS = 60_000;
/** Names in the cache: those of the config and of a few earlier ones. */
const MAX_NAMES = 10_000;
/** Connections that may wait for one name; one more fails at once. */
const MAX_WAITING = 10_000;

interface CachedName {
  /** The last good answer. */
  addresses: readonly string[];
  /** Until when it is used without a query. */
  until: number;
  /** Whether the last query failed. */
  failing: boolean;
  waiting: number;
  /** The running query; resolves to the error, or null. Never rejects. */
  asking: Promise<string | null> | null;
}

export class NameCache {
  readonly #lookUp: Resolve;
  readonly #now: () => number;
  readonly #deadlineMs: number;
  readonly #refreshTimeoutMs: number;
  readonly #entries = new Map<string, CachedName>();

  constructor(options: NameCacheOptions = {}) {
    this.#lookUp = options.lookUp ?? openSystemNames();
    this.#now = options.now ?? (() => performance.now());
    this.#deadlineMs = options.deadlineMs ?? 5000;
    this.#refreshTimeoutMs = options.refreshTimeoutMs ?? 200;
  }

  /** For `lookup` of net.connect and all that is made of it. The error of a name without addresses has a `code`. */
  readonly lookup: LookupFunction = (name, { all, family }, callback) => {
    this.find(name).then(
      (found) => {
        const version = family === 4 || family === 'IPv4' ? 4 : family === 6 || family === 'IPv6' ? 6 : 0;
        const addresses = found
          .map((address) => ({ address, family: isIP(address) }))
          .filter((each) => version === 0 || each.family === version);
        const [first] = addresses;
        if (first === undefined) callback(notFound(name, 'ENOTFOUND'), '');
        else if (all) callback(null, addresses);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };

  /** The addresses of a name. Rejects with a `code` if it has none, or if there is no answer in time. */
  async find(name: string): Promise<readonly string[]> {
    const entry = this.#entryOf(name);
    if (this.#now() < entry.until) return entry.addresses;
    const answered = this.#ask(name, entry);
    const known = entry.addresses.length > 0;
    // If the last query failed, connections use the old answer and do not wait.
    if (known && entry.failing) return entry.addresses;
    if (entry.waiting >= MAX_WAITING) throw notFound(name, 'ENOBUFS');
    entry.waiting++;
    const fault = await within(answered, known ? this.#refreshTimeoutMs : this.#deadlineMs);
    entry.waiting--;
    if (entry.addresses.length > 0) return entry.addresses;
    throw notFound(name, fault ?? 'ENOTFOUND');
  }

  #entryOf(name: string): CachedName {
    const known = this.#entries.get(name);
    const entry = known ?? { addresses: [], until: 0, failing: false, waiting: 0, asking: null };
    // Move it to the end: the least recently used name is first.
    if (known !== undefined) this.#entries.delete(name);
    this.#entries.set(name, entry);
    if (this.#entries.size > MAX_NAMES) this.#entries.delete(this.#entries.keys().next().value ?? name);
    return entry;
  }

  #ask(name: string, entry: CachedName): Promise<string | null> {
    entry.asking ??= this.#askOnce(name, entry).finally(() => {
      entry.asking = null;
    });
    return entry.asking;
  }

  async #askOnce(name: string, entry: CachedName): Promise<string | null> {
    const { addresses, ttlMs, fault } = await this.#lookUp(name, entry.addresses);
    entry.failing = addresses.length === 0;
    if (entry.failing) return fault ?? 'ENOTFOUND';
    entry.addresses = addresses;
    entry.until = this.#now() + Math.min(LONGEST_MS, Math.max(SHORTEST_MS, ttlMs));
    return null;
  }
}

/** The result of a promise, or ETIMEOUT after a time. */
async function within(answered: Promise<string | null>, ms: number): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, ms, 'ETIMEOUT');
  });
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}

function notFound(name: string, code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`no address of ${name}: ${code}`), { code });
}
