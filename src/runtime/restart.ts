// What a reload can't change: parts that are made at the start and live as long as the process.
import type { Config } from '../config/schema.ts';
import { sharedUrl } from '../sessions/redis-rates.ts';

/** What differs between two configs and takes effect at a restart only, in words. */
export function waitsForRestart(before: Config, now: Config): string[] {
  const changed = {
    'the address of "admin"': before.admin.host !== now.admin.host || before.admin.port !== now.admin.port,
    '"broker"': before.broker !== now.broker,
    '"limits.shared"': before.broker === now.broker && sharedUrl(before) !== sharedUrl(now),
    '"relay"': JSON.stringify(before.relay) !== JSON.stringify(now.relay),
  };
  return Object.entries(changed).flatMap(([what, differs]) => (differs ? [what] : []));
}
