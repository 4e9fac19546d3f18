// What a reload can't change: parts that are made at the start and live as long as the process.
import type { Config } from '../config/schema.ts';
import { sharedUrl } from '../sessions/redis-rates.ts';

/** What a config changes of the one before, if there was one, and takes effect at a restart only; a sentence each. */
export function waitsForRestart(before: Config | undefined, now: Config): string[] {
  if (before === undefined) return [];
  const changed = {
    'the address of "admin"': before.admin.host !== now.admin.host || before.admin.port !== now.admin.port,
    '"broker"': before.broker !== now.broker,
    '"limits.shared"': before.broker === now.broker && sharedUrl(before) !== sharedUrl(now),
    '"relay"': JSON.stringify(before.relay) !== JSON.stringify(now.relay),
  };
  return Object.entries(changed).flatMap(([what, differs]) =>
    differs ? [`a change of ${what} takes effect at a restart`] : [],
  );
}
