// Running out of descriptors must be an answer and never a crash: a connection that was given one of the last is told so
// and closed, which leaves room for the answer itself, for logs and for the admin listener.
import { readFileSync } from 'node:fs';
import { type Connection, descriptorOf } from '../upstream/parked.ts';

/** Descriptors kept free, at most; of a small limit an eighth. */
const RESERVE = 64;

/** The soft limit of this process, or null where the system does not tell. */
export function readDescriptorLimit(): number | null {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return found ? Number(found[1]) : null;
  } catch {
    return null;
  }
}

/**
 * Tells whether a connection holds one of the last descriptors. The system always gives the lowest free one, so the number
 * itself says how many are in use; nothing has to be counted.
 */
export function compileCrowded(limit: number | null): (connection: Connection) => boolean {
  if (limit === null) return () => false;
  const last = limit - Math.min(RESERVE, Math.floor(limit / 8));
  return (connection) => descriptorOf(connection) >= last;
}
