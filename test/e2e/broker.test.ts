// Every broker against the one suite: of a single process, and over Redis with one and with two gateways.
import { setImmediate } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import type { GatewayEvent } from '../../src/events.ts';
import { Connections } from '../../src/terminate/connections.ts';
import { openBroker } from '../../src/terminate/open-broker.ts';
import { loadRedis, RedisLink } from '../../src/terminate/redis-link.ts';
import { hasPeers } from '../support/peers.ts';
import { startRedis } from '../support/redis.ts';
import { standStill } from '../support/stand-still.ts';
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

  it('a process that stood still with a question out hears the answer, and does not take Redis for silent', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const down: string[] = [];
    let isUp = () => {};
    const up = new Promise<void>((resolve) => {
      isUp = resolve;
    });
    const link = new RedisLink(await loadRedis(), {
      url: redis.url,
      channel: 'test',
      prefix: 'test:',
      onUp: async () => isUp(),
      onDown: (reason) => down.push(reason),
      onMessage: () => {},
    });
    onTestFinished(() => link.close());
    link.start();
    await up;
    const answer = link.run('reply', 'nobody', 'anything');
    // The question goes out with the immediates of this turn; the answer to it waits in the socket meanwhile.
    await setImmediate();
    standStill(3500);
    expect(await answer).toBe(0);
    expect(down).toEqual([]);
  });
}
