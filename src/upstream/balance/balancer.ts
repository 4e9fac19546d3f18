// The interface of balancing: which server takes the next session or request. One file for each rule beside this one. A
// balancer sees only servers that may take it; the pool selects those by backups, limits and health.

/** What a balancer knows of a server. */
export interface Candidate {
  /** Its address: what makes a server the same one when the list around it changes. */
  readonly url: string;
  /** Sessions and requests it carries now. */
  readonly live: number;
  /** Its part of new traffic beside the others'; more than 0. */
  readonly weight: number;
  /** The same, less while it starts slowly. */
  readonly share: number;
}

/** The part of a request that a server is chosen by, as the config says; null where the request has none. */
export type Key = () => string | null;

/** One rule of picking; `open` is never empty, and may change from one pick to the next. */
export interface Balancer {
  pick<T extends Candidate>(open: readonly T[], key: Key): T;
}

/** At least 0 and less than 1. */
export type Random = () => number;
