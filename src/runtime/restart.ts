// What of a config is made at the start, lives as long as the process, and so can't change at a reload.
import type { Config } from '../config/schema.ts';

/** What a reload would have to change and does not, in words for the operator. */
export function waitingForRestart(before: Config, now: Config): string[] {
  const changed = {
    'the address of "admin"': before.admin.host !== now.admin.host || before.admin.port !== now.admin.port,
    '"broker"': before.broker !== now.broker,
    '"relay"': JSON.stringify(before.relay) !== JSON.stringify(now.relay),
  };
  return Object.entries(changed).flatMap(([what, differs]) =>
    differs ? [`a change of ${what} takes effect at a restart`] : [],
  );
}
