// One question to DNS: the addresses of a name, A and AAAA, and how long they may be used.
import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { systemCode } from '../errors.ts';
import type { DnsConfig } from './discovery.ts';

export interface Resolution {
  /** None where the name could not be resolved, or has no address. */
  readonly addresses: readonly string[];
  /** The shortest TTL among the records, in milliseconds. */
  readonly ttlMs: number;
  /** What went wrong, though part of it may have gone well; else null. */
  readonly fault: string | null;
}

/** Asks for a name; where one family fails, those of its kind among `last` are kept. Never rejects. */
export type Resolve = (name: string, last: readonly string[]) => Promise<Resolution>;

const TIMEOUT_MS = 2000;
const TRIES = 2;
/** Answers that say there is no such record, not that the question failed. */
const NO_RECORD = new Set(['ENODATA', 'ENOTFOUND']);

interface Part {
  readonly addresses: readonly string[];
  readonly ttlMs: number;
  readonly fault: string | null;
}

/** The fault of a name that DNS answers with no address. */
export const NO_ADDRESS = 'no address';

/** Asks the resolvers of the config, or those that the system names at the time. */
export function openResolver({ resolvers, family }: Pick<DnsConfig, 'resolvers' | 'family'>): Resolve {
  const ask = async (name: string, version: 4 | 6, last: readonly string[]): Promise<Part> => {
    // A new one reads the system's settings anew: the network may have become another one.
    const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
    if (resolvers !== undefined) resolver.setServers(resolvers);
    try {
      const records = await (version === 4
        ? resolver.resolve4(name, { ttl: true })
        : resolver.resolve6(name, { ttl: true }));
      const ttl = Math.min(...records.map((record) => record.ttl));
      return { addresses: records.map(({ address }) => address), ttlMs: ttl * 1000, fault: null };
    } catch (error) {
      const code = systemCode(error) ?? 'unknown';
      if (NO_RECORD.has(code)) return { addresses: [], ttlMs: Number.POSITIVE_INFINITY, fault: null };
      const kept = last.filter((address) => isIP(address) === version);
      return { addresses: kept, ttlMs: 0, fault: code };
    }
  };
  return async (name, last) => {
    const versions = family === 'any' ? ([4, 6] as const) : [family === 'ipv4' ? (4 as const) : (6 as const)];
    const parts = await Promise.all(versions.map((version) => ask(name, version, last)));
    const addresses = [...new Set(parts.flatMap((part) => part.addresses))];
    const fault = parts.find((part) => part.fault !== null)?.fault ?? (addresses.length === 0 ? NO_ADDRESS : null);
    return { addresses, ttlMs: Math.min(...parts.map((part) => part.ttlMs)), fault };
  };
}
