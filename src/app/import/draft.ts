// What another proxy's config becomes before it is written: the parts of a gateway.yaml, each with remarks on what could not be
// carried. Writing it is write.ts.

/** A config value as it is written. */
export type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value | undefined };

export interface DraftPart {
  readonly remarks: readonly string[];
  readonly value: { readonly [key: string]: Value | undefined };
}

export interface Draft {
  /** What was read, for the head of the file. */
  readonly source: string;
  readonly listeners: readonly DraftPart[];
  readonly upstreams: ReadonlyMap<string, DraftPart>;
  readonly routes: readonly DraftPart[];
  /** Addresses of proxies; empty or undefined: none. */
  readonly trusted?: readonly string[];
  /** What belongs to no part. */
  readonly remarks: readonly string[];
}

/** The answer of what stands behind a guard that could not be carried. */
export const SHUT = { status: 403, body: 'not carried over' };

/** Why a file could not be read at all. */
export class ImportError extends Error {}

/** Gives each name once: those of the config's own are letters, digits, dots, underscores and dashes. */
export class NamesGiven {
  readonly #given = new Set<string>();
  /** By what was wanted the number that may be free, so that many of one name don't all look from the first on. */
  readonly #next = new Map<string, number>();

  take(wanted: string): string {
    const base =
      wanted
        .replace(/[^A-Za-z0-9._-]+/g, '-')
        .replace(/^[^A-Za-z0-9]+|-+$/g, '')
        .slice(0, 50) || 'route';
    let name = base;
    let number = this.#next.get(base) ?? 2;
    for (; this.#given.has(name); number++) name = `${base}-${number}`;
    this.#next.set(base, number);
    this.#given.add(name);
    return name;
  }
}

/** The paths of a prefix: with what is below it, and, where it ends without a slash, itself. */
export function prefixPaths(prefix: string): string[] {
  return prefix.endsWith('/') ? [`${prefix}*`] : [prefix, `${prefix}/*`];
}

/** Exact paths come first, then the longest: the first route that fits wins here. */
export function bySpecificity(one: readonly string[], other: readonly string[]): number {
  return rank(other) - rank(one);
}

function rank(paths: readonly string[]): number {
  const [first = ''] = paths;
  const exact = paths.length === 1 && !first.endsWith('*');
  return (exact ? 1_000_000 : 0) + first.length;
}

/** How many hosts are exact before those with a pattern, and those before any host. */
export function hostRank(hosts: readonly string[] | undefined): number {
  if (hosts === undefined) return 2;
  return hosts.some((host) => host.startsWith('*')) ? 1 : 0;
}
