// The balancer that a config names.
import type { UpstreamConfig } from '../../config/schema/schema.ts';
import type { Balancer } from './balancer.ts';
import { hashed } from './hash.ts';
import { type Ask, compileKey } from './key.ts';
import { leastConnections } from './least-connections.ts';
import { randomTwo } from './random-two.ts';
import { roundRobin } from './round-robin.ts';

/** A rule of picking, and the key it goes by. */
export interface Balance {
  readonly balancer: Balancer;
  readonly keyOf: (ask: Ask) => string | null;
}

const BALANCERS = {
  round_robin: roundRobin,
  least_connections: leastConnections,
  random_two: () => randomTwo(),
  hash: hashed,
} as const satisfies Record<Extract<UpstreamConfig['balance'], string>, () => Balancer>;

/** The balancer that a config names, with the key that it hashes. */
export function buildBalance(config: UpstreamConfig['balance']): Balance {
  if (typeof config === 'string') return { balancer: BALANCERS[config](), keyOf: compileKey({}) };
  return { balancer: hashed(), keyOf: compileKey(config.hash) };
}
