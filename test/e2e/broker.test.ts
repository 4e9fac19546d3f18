// Every broker against the one suite: of a single process, and over Redis with one and with two gateways.
import type { GatewayEvent } from '../../src/events.ts';
import { Connections } from '../../src/terminate/connections.ts';
import { openBroker } from '../../src/terminate/open-broker.ts';
import { hasPeers } from '../support/peers.ts';
import { startRedis } from '../support/redis.ts';
import { describeBroker, type Stand } from './broker.suite.ts';

async function openStand(config: string): Promise<Stand> {
  const connections = new Connections();
  let isThere = () => {};
  const there = new Promise<void>((resolve) => {
    isThere = resolve;
  });
  const emit = (event: GatewayEvent) => {
    if (event.type === 'notice' && event.message === 'the broker is there') isThere();
  };
  const revoked: unknown[] = [];
  const revoke = (...args: unknown[]) => revoked.push(args);
  const broker = await openBroker(config, { reach: connections.get, revoke, emit });
  broker.start();
  if (config !== 'memory') await there;
  return { broker, connections, revoked };
}

describeBroker('memory', async () => {
  const stand = await openStand('memory');
  return { stands: [stand], close: () => stand.broker.close() };
});

if (hasPeers('redis-server')) {
  for (const count of [1, 2]) {
    describeBroker(`redis, ${count} at a time`, async () => {
      const redis = await startRedis();
      const stands = await Promise.all(Array.from({ length: count }, () => openStand(redis.url)));
      return {
        stands,
        async close() {
          await Promise.all(stands.map(({ broker }) => broker.close()));
          await redis.stop();
        },
      };
    });
  }
}
