// From the config's `broker` to the broker: the one place that knows them all.
import type { Emit } from '../events.ts';
import type { Broker } from './broker.ts';
import type { Reach } from './connections.ts';
import { MemoryBroker } from './memory.ts';
import { RedisBroker } from './redis.ts';
import { loadRedis } from './redis-link.ts';

export interface BrokerSurroundings {
  /** Finds the connections of this process. */
  readonly reach: Reach;
  readonly emit: Emit;
}

/** Makes the broker; it begins to work with start(). Rejects where a package that it needs is not installed. */
export async function openBroker(config: string, { reach, emit }: BrokerSurroundings): Promise<Broker> {
  if (config === 'memory') return new MemoryBroker(reach);
  return new RedisBroker({ library: await loadRedis(), url: config, reach, emit });
}
