// What a reload can't change: parts that are made at the start and live as long as the process.
import type { Config } from '../config/schema/schema.ts';
import { sharedUrl } from '../limits/redis-rates.ts';

/**
 * The differences from the config that the process was started with which take effect at a restart only; a sentence
 * each.
 */
export function waitsForRestart(started: Config, now: Config): string[] {
  const changed = {
    'the address of "admin"': started.admin.host !== now.admin.host || started.admin.port !== now.admin.port,
    '"broker"': started.broker !== now.broker,
    '"limits.shared"': started.broker === now.broker && sharedUrl(started) !== sharedUrl(now),
    '"relay"': JSON.stringify(started.relay) !== JSON.stringify(now.relay),
  };
  return Object.entries(changed).flatMap(([what, differs]) =>
    differs ? [`a change of ${what} takes effect at a restart`] : [],
  );
}
