// From a terminating route's config to its handler: the only file that knows all handlers by name.
import type { TerminateConfig } from '../config/schema/schema.ts';
import { pushOptions, roomsOptions } from '../config/schema/schema-handlers.ts';
import type { Emit } from '../events.ts';
import type { InternalClient } from '../proxy/internal-client.ts';
import type { Pool } from '../upstream/pool.ts';
import type { Broker } from './broker/broker.ts';
import type { Handler } from './handler.ts';
import { echo } from './handlers/echo.ts';
import { createPush } from './handlers/push.ts';
import type { MemoryBudgets } from './memory-budgets.ts';
import { Rooms } from './rooms/rooms.ts';
import { createWebhook } from './webhook/webhook.ts';
import { type PendingDeliveries, WebhookBackend } from './webhook/webhook-backend.ts';

/** What handlers may use beside their own options. */
export interface HandlerServices {
  /** The route's name. */
  readonly route: string;
  readonly emit: Emit;
  readonly broker: Broker;
  readonly caller: InternalClient;
  readonly deliveries: PendingDeliveries;
  readonly budgets: MemoryBudgets;
  /** The pool of an upstream that the config names. */
  pool(upstream: string): Pool;
}

const BUILDERS = {
  echo: () => echo,
  push: (config) => createPush(config.push ?? pushOptions.parse({})),
  rooms: (config, { broker, budgets }) => new Rooms(config.rooms ?? roomsOptions.parse({}), broker, budgets.queues),
  webhook: buildWebhook,
} as const satisfies Record<
  TerminateConfig['handler'],
  (config: TerminateConfig, services: HandlerServices) => Handler
>;

/** The handler that a route's config names, with its options. */
export function buildHandler(config: TerminateConfig, services: HandlerServices): Handler {
  return BUILDERS[config.handler](config, services);
}

function buildWebhook({ webhook, limits }: TerminateConfig, services: HandlerServices): Handler {
  if (webhook === undefined) throw new Error('the check of the config holds that a webhook has options');
  const { route, emit, caller, deliveries, budgets, pool } = services;
  const options = { route, config: webhook, maxBytes: limits.max_message, caller, deliveries, emit };
  const backend = new WebhookBackend({ ...options, pool: pool(webhook.upstream) });
  return createWebhook({ route, config: webhook, backend, queues: budgets.queues });
}
