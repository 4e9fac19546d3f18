// From a terminating route's config to its handler: the one place that knows them all by name.
import type { TerminateConfig } from '../config/schema.ts';
import { pushOptions } from '../config/schema-websocket.ts';
import { echo } from './echo.ts';
import type { Handler } from './handler.ts';
import { createPush } from './push.ts';

const BUILDERS = {
  echo: () => echo,
  push: (config) => createPush(config.push ?? pushOptions.parse({})),
} as const satisfies Record<TerminateConfig['handler'], (config: TerminateConfig) => Handler>;

/** The handler that a route's config names, with its options. */
export function buildHandler(config: TerminateConfig): Handler {
  return BUILDERS[config.handler](config);
}
