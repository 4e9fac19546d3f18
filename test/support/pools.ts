// Pools of upstreams without a gateway around them, from what a user may write.
import { schema } from '../../src/config/schema/schema.ts';
import type { GatewayEvent } from '../../src/events.ts';
import { Pool } from '../../src/upstream/pool.ts';
import { ServerOverrides } from '../../src/upstream/server-overrides.ts';

/** The `upstreams` entry `chat`, parsed. */
export function upstreamConfig(chat: object) {
  const config = schema.parse({
    listeners: [{ port: 0 }],
    upstreams: { chat },
    routes: [{ name: 'all', http: { upstream: 'chat' } }],
  });
  return config.upstreams['chat']!;
}

export interface MadePool {
  readonly pool: Pool;
  readonly events: GatewayEvent[];
}

/** A pool that is not started, and all that it tells. */
export function makePool(
  chat: object,
  previous: Pool | null = null,
  events: GatewayEvent[] = [],
  overrides = new ServerOverrides(),
): MadePool {
  const emit = (event: GatewayEvent): void => void events.push(event);
  const config = upstreamConfig({ servers: ['ws://a:1', 'ws://b:1', 'ws://c:1'], ...chat });
  const options = { name: 'chat', config, tls: null, emit, secret: 'only for tests', overrides };
  return { pool: new Pool(options, previous), events };
}
