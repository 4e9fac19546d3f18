// Descriptors are the first thing that clients can use up, idle ones too. The last ones are reserved: a client that
// would get one of them is refused as it is accepted, before a byte of it is read, and a connection to a server may
// take half of them, so that the admin listener, names, files and logs always find one. The same shares stand in
// relay/native/c/fd-limit.h.
import { closeSync, openSync, readFileSync } from 'node:fs';

/** Descriptors reserved from clients, at most; of a small limit an eighth. */
const RESERVE = 64;

/** Numbers of descriptors: the system always gives the lowest free one, so a number shows how many are in use. */
export interface FdLimits {
  /** From here on idle connections of clients are closed. */
  readonly pressing: number;
  /** From here on a client is refused. */
  readonly clients: number;
  /** From here on a connection to a server is refused. */
  readonly servers: number;
}

/** The shares of a limit; null: it is not known, and nothing is refused. */
export function shareFds(limit: number | null): FdLimits {
  if (limit === null) return { pressing: Infinity, clients: Infinity, servers: Infinity };
  const reserve = Math.min(RESERVE, Math.floor(limit / 8));
  return { pressing: limit - 2 * reserve, clients: limit - reserve, servers: limit - Math.floor(reserve / 2) };
}

/** The soft limit of this process, or null where the system does not report it. */
export function readFdLimit(): number | null {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return found ? Number(found[1]) : null;
  } catch {
    return null;
  }
}

/** Those of this process, as it was started. */
export const FD_LIMITS = shareFds(readFdLimit());

/** Why no connection to a server can be opened now, as the system would report it; null where one can. */
export function fdShortage(limits = FD_LIMITS): NodeJS.ErrnoException | null {
  if (limits.servers === Infinity) return null;
  let next = -1;
  try {
    next = openSync('/dev/null', 'r');
    closeSync(next);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EMFILE' && code !== 'ENFILE') return null;
    next = Infinity;
  }
  if (next < limits.servers) return null;
  return Object.assign(new Error('EMFILE: the last descriptors are kept free'), { code: 'EMFILE' });
}
