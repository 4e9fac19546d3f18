// Resolves the host names of an upstream's servers by DNS, and again when the TTL of an answer is over (RFC 1035 §3.2.1). A
// failed answer changes nothing: the last good one stays.

import { isIP } from 'node:net';
import { guarded } from '../base/guard.ts';
import type { UpstreamConfig } from '../config/schema/schema.ts';
import type { Emit } from '../events.ts';
import { openResolver, type Resolution, type Resolve } from './resolver.ts';
import type { ServerConfig } from './server.ts';

export type DnsConfig = NonNullable<UpstreamConfig['dns']>;

/** A server of the config, or one address of a server's name. */
export interface Expanded {
  readonly config: ServerConfig;
  /** The name it was resolved from. */
  readonly serverName?: string;
}

export interface DiscoveryOptions {
  readonly upstream: string;
  readonly config: DnsConfig;
  readonly servers: readonly ServerConfig[];
  readonly emit: Emit;
  /** Default: node's own resolver. */
  readonly lookUp?: Resolve;
}

interface KnownServer {
  addresses: readonly string[];
  /** By performance.now(). */
  until: number;
  failing: boolean;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #lookUp: Resolve;
  readonly #names: readonly string[];
  readonly #known = new Map<string, KnownServer>();
  #timer: NodeJS.Timeout | undefined;
  #onChange: (() => void) | null = null;
  #stopped = false;

  /** Starts with the addresses that an earlier config has resolved. */
  constructor(options: DiscoveryOptions, previous: Discovery | null) {
    this.#options = options;
    this.#lookUp = options.lookUp ?? openResolver(options.config);
    this.#names = [...new Set(options.servers.filter(isNamed).map(({ host }) => host))];
    for (const name of this.#names) {
      const addresses = previous === null ? [] : (previous.#known.get(name)?.addresses ?? []);
      this.#known.set(name, { addresses, until: 0, failing: false });
    }
  }

  /** The current servers, in the order of the config. */
  expand(): readonly Expanded[] {
    return this.#options.servers.flatMap((config) => {
      if (!isNamed(config)) return [{ config }];
      const addresses = this.#known.get(config.host)?.addresses ?? [];
      return addresses.map((address) => ({ config: at(config, address), serverName: config.host }));
    });
  }

  /** Resolves all names once. Never rejects. */
  async prepare(): Promise<void> {
    await Promise.all(this.#names.map((name) => this.#ask(name)));
  }

  /** From now on resolves each name when its answer is outdated. */
  start(onChange: () => void): void {
    this.#onChange = onChange;
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#stopped) return;
    const next = Math.min(...[...this.#known.values()].map(({ until }) => until));
    const wait = Math.max(this.#options.config.min_ttl, next - performance.now());
    this.#timer = setTimeout(
      guarded('upstream', () => this.#refresh()),
      wait,
    );
  }

  async #refresh(): Promise<void> {
    const now = performance.now();
    // Timers may fire a millisecond early.
    const due = this.#names.filter((name) => (this.#known.get(name)?.until ?? 0) <= now + 1);
    try {
      const changed = await Promise.all(due.map((name) => this.#ask(name)));
      if (!this.#stopped && changed.includes(true)) this.#onChange?.();
    } finally {
      this.#schedule();
    }
  }

  /** Whether the addresses of the name have changed. */
  async #ask(name: string): Promise<boolean> {
    const known = this.#known.get(name);
    if (known === undefined) return false;
    const { min_ttl, max_ttl } = this.#options.config;
    const answer = await this.#lookUp(name, known.addresses);
    this.#report(name, known, answer);
    const ttl = answer.addresses.length === 0 ? min_ttl : Math.min(max_ttl, Math.max(min_ttl, answer.ttlMs));
    known.until = performance.now() + ttl;
    if (answer.addresses.length === 0) return false;
    const before = known.addresses.join();
    known.addresses = [...answer.addresses].sort();
    return known.addresses.join() !== before;
  }

  /** Reports once that a name can't be resolved, and once that it can again. */
  #report(name: string, known: KnownServer, { fault }: Resolution): void {
    const failing = fault !== null;
    if (failing === known.failing || this.#stopped) return;
    known.failing = failing;
    const { upstream, emit } = this.#options;
    const message = failing ? 'a name of an upstream is not resolved' : 'a name of an upstream is resolved again';
    const data = { upstream, name, ...(failing ? { why: fault, kept: known.addresses.length } : {}) };
    emit({ type: 'notice', level: failing ? 'warn' : 'info', message, data });
  }
}

function isNamed({ host, unix }: ServerConfig): boolean {
  return unix === undefined && isIP(host) === 0;
}

/** The server at one of its addresses; its label has the port if the config has it. */
function at(config: ServerConfig, address: string): ServerConfig {
  const shown = isIP(address) === 6 ? `[${address}]` : address;
  return { ...config, host: address, url: config.url.replace(`//${config.host}`, () => `//${shown}`) };
}
