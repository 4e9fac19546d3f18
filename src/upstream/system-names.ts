// A name as the system knows it, for servers without `dns:`: `/etc/hosts` first, then DNS with the search domains of
// `/etc/resolv.conf`, then the system's own resolver for what only that knows (mDNS, NIS, a hostname). getaddrinfo comes
// last and one name at a time: it blocks one of the few threads that libuv gives it until the question has run out, and
// one name that nobody answers must not keep the others waiting.
import { lookup as getaddrinfo } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { Semaphore } from '../base/semaphore.ts';
import { systemCode } from '../errors.ts';
import { NO_ADDRESS, openResolver, type Resolution, type Resolve } from './resolver.ts';

export interface SystemNamesOptions {
  /** Default: /etc/hosts. */
  readonly hosts?: string;
  /** Default: /etc/resolv.conf. */
  readonly resolvConf?: string;
  /** DNS servers in place of those that resolv.conf names. */
  readonly resolvers?: string[];
  /** The addresses of a name by getaddrinfo; default: node's. Rejects where there are none. */
  readonly library?: (name: string) => Promise<readonly string[]>;
}

/** What the hosts file and getaddrinfo say has no TTL: it is asked for again each time it may be. */
const NO_TTL_MS = 0;
/** Names that may wait for getaddrinfo; a further one is not found at once. */
const MAX_WAITING = 100;

const NOT_FOUND: Resolution = { addresses: [], ttlMs: NO_TTL_MS, fault: 'ENOTFOUND' };

/**
 * Looks names up as the system does. What is wrong with a name is a system error's code: `ENOTFOUND`, `ETIMEOUT` where DNS
 * leaves it unanswered.
 */
export function openSystemNames(options: SystemNamesOptions = {}): Resolve {
  const { hosts = '/etc/hosts', resolvConf = '/etc/resolv.conf', resolvers, library = byLibrary } = options;
  const ask = openResolver({ family: 'any', ...(resolvers === undefined ? {} : { resolvers }) });
  const semaphore = new Semaphore(1);

  const askLibrary = async (name: string): Promise<Resolution> => {
    if (semaphore.waiting >= MAX_WAITING) return NOT_FOUND;
    const done = await semaphore.acquire(null);
    try {
      return { addresses: await library(name), ttlMs: NO_TTL_MS, fault: null };
    } catch (error) {
      return { ...NOT_FOUND, fault: systemCode(error) ?? NOT_FOUND.fault };
    } finally {
      done();
    }
  };

  return async (name) => {
    const written = readHosts(await textOf(hosts), name);
    if (written.length > 0) return { addresses: written, ttlMs: NO_TTL_MS, fault: null };
    for (const candidate of candidates(name, readSearch(await textOf(resolvConf)))) {
      // Nothing is kept here: who asks keeps what was good.
      const answer = await ask(candidate, []);
      if (answer.addresses.length > 0) return answer;
      if (!NOT_THERE.has(answer.fault ?? '')) return answer;
    }
    return askLibrary(name);
  };
}

/**
 * DNS knows no such name, or this machine has no DNS server: another source may know it. Where DNS was only silent or
 * failed, getaddrinfo would wait for the same servers.
 */
const NOT_THERE = new Set([NO_ADDRESS, 'ECONNREFUSED']);

async function byLibrary(name: string): Promise<readonly string[]> {
  return (await getaddrinfo(name, { all: true })).map(({ address }) => address);
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return '';
  }
}

/** The addresses of a name in a hosts file (hosts(5)). */
export function readHosts(text: string, name: string): string[] {
  const wanted = name.toLowerCase();
  const found = new Set<string>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = wordsOf(line);
    if (isIP(address) !== 0 && names.some((each) => each.toLowerCase() === wanted)) found.add(address);
  }
  return [...found];
}

export interface Search {
  readonly domains: readonly string[];
  /** A name with fewer dots is looked for in the domains first. */
  readonly ndots: number;
}

/** What resolv.conf(5) says of search domains: the last `search` or `domain` counts, and `ndots` of `options`. */
export function readSearch(text: string): Search {
  let domains: readonly string[] = [];
  let ndots = 1;
  for (const line of text.split('\n')) {
    const [keyword, ...words] = wordsOf(line);
    if (keyword === 'search' || keyword === 'domain') domains = words.filter((domain) => domain !== '.');
    if (keyword !== 'options') continue;
    const set = words.find((word) => /^ndots:\d+$/.test(word));
    if (set !== undefined) ndots = Number(set.slice('ndots:'.length));
  }
  return { domains, ndots };
}

/** The names that one may stand for, in the order in which they are tried. A final dot says that it is whole. */
function candidates(name: string, { domains, ndots }: Search): readonly string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const within = domains.map((domain) => `${name}.${domain}`);
  return name.split('.').length - 1 >= ndots ? [name, ...within] : [...within, name];
}

/** The words of a line, without its comment. */
function wordsOf(line: string): string[] {
  const end = line.search(/[#;]/);
  return (end === -1 ? line : line.slice(0, end)).split(/[ \t\r]/).filter((word) => word !== '');
}
