// From a terminating route's config to its handler: the one place that knows them all by name.
import { pushOptions, roomsOptions } from '../config/handler-options.ts';
import type { TerminateConfig } from '../config/schema.ts';
import type { Broker } from './broker.ts';
import { echo } from './echo.ts';
import type { Handler } from './handler.ts';
import { createPush } from './push.ts';
import { Rooms } from './rooms.ts';

/** What handlers may use of the gateway. */
export interface HandlerServices {
  readonly broker: Broker;
}

const BUILDERS = {
  echo: () => echo,
  push: (config) => createPush(config.push ?? pushOptions.parse({})),
  rooms: (config, { broker }) => new Rooms(config.rooms ?? roomsOptions.parse({}), broker),
} as const satisfies Record<
  TerminateConfig['handler'],
  (config: TerminateConfig, services: HandlerServices) => Handler
>;

/** The handler that a route's config names, with its options. */
export function buildHandler(config: TerminateConfig, services: HandlerServices): Handler {
  return BUILDERS[config.handler](config, services);
}
