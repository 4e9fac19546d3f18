// From the config's `broker` to the broker: the one place that knows them all.
import type { Emit } from '../../events.ts';
import type { MemoryBudgets } from '../memory-budgets.ts';
import type { Broker, Local } from './broker.ts';
import { MemoryBroker } from './memory.ts';
import { RedisBroker } from './redis.ts';
import { loadRedis } from './redis-link.ts';

export interface BrokerDeps extends Local {
  readonly emit: Emit;
  readonly budgets: MemoryBudgets;
}

/** Makes the broker; it begins to work with start(). Rejects where a package that it needs is not installed. */
export async function openBroker(config: string, { emit, budgets, ...local }: BrokerDeps): Promise<Broker> {
  if (config === 'memory') return new MemoryBroker(local, budgets.history);
  return new RedisBroker({ library: await loadRedis(), url: config, local, emit, queues: budgets.queues });
}
