// From the config's `broker` to the broker: the one place that knows them all.
import type { Emit } from '../events.ts';
import type { Broker } from './broker.ts';
import type { Reach } from './connections.ts';
import { MemoryBroker } from './memory.ts';

export interface BrokerSurroundings {
  /** Finds the connections of this process. */
  readonly reach: Reach;
  readonly emit: Emit;
}

/** Makes the broker; it begins to work with start(). */
export function openBroker(_config: string, { reach }: BrokerSurroundings): Broker {
  return new MemoryBroker(reach);
}
