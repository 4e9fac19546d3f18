// Every broker against the one suite: of a single process, and over Redis with one and with two gateways.
import { setImmediate } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import type { GatewayEvent } from '../../src/events.ts';
import type { Joined } from '../../src/websocket/broker/broker.ts';
import { openBroker } from '../../src/websocket/broker/open-broker.ts';
import { loadRedis, RedisLink } from '../../src/websocket/broker/redis-link.ts';
import { Connections } from '../../src/websocket/connections.ts';
import { MemoryBudgets } from '../../src/websocket/memory-budgets.ts';
import { jsonView } from '../../src/websocket/rooms/rooms-json.ts';
import { blockThread } from '../support/block-thread.ts';
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
  const broker = await openBroker(config, { reach: connections.get, revoke, emit, budgets: new MemoryBudgets() });
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
      queues: new MemoryBudgets().queues,
    });
    onTestFinished(() => link.close());
    link.start();
    await up;
    const answer = link.run('reply', 'nobody', 'anything');
    // The question goes out with the immediates of this turn; the answer to it waits in the socket meanwhile.
    await setImmediate();
    blockThread(3500);
    expect(await answer).toBe(0);
    expect(down).toEqual([]);
  });

  it('garbage over the channel costs the link nothing, and a question of an unknown kind closes nobody', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const stand = await openStand(redis.url);
    onTestFinished(() => stand.broker.close());
    const done: string[] = [];
    stand.connections.add('c1', {
      describe: () => {
        throw new Error('not expected');
      },
      send: () => done.push('sent') > 0,
      close: () => void done.push('closed'),
    });
    const client = (await loadRedis()).createClient({ url: redis.url });
    await client.connect();
    onTestFinished(() => client.destroy());
    const [channel] = await client.pubSubChannels('upgate:0:node:*');
    const ask = (command: object) => JSON.stringify(['ask', { id: 'q', from: 'other', command }]);
    const garbage = ['', '{', 'null', '[]', '["publish"]', '["publish","r","x","y","u","\\"d\\"","s"]', '["burn"]'];
    for (const text of [...garbage, ask({ kind: 'burn', connection: 'c1', code: 1000, reason: '' })])
      expect(await client.publish(channel!, text)).toBe(1);
    // What is valid behind it is acted on.
    await client.publish(channel!, ask({ kind: 'send', connection: 'c1', type: 'text', data: '' }));
    await expect.poll(() => done, { timeout: 20_000 }).toEqual(['sent']);
    expect(stand.broker.degraded()).toBeNull();
    const ignored = [...stand.broker.sample()].filter(({ metric }) => metric === 'broker_events_ignored_total');
    expect(ignored.map(({ labels, value }) => [labels['reason'], value])).toEqual([
      ['unknown', 2],
      ['malformed', 6],
    ]);
  });

  it('of a room Redis keeps 4 MiB, and gives it in pages, whole and in order', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const { broker } = await openStand(redis.url);
    onTestFinished(() => broker.close());
    const membership = {
      ...{ room: 'r', user: 'u', connection: 'c', view: jsonView(false), listens: false, echo: false },
      receive: () => {},
    };
    const joined = (await broker.join(membership, { retention: { count: 100, age: 3_600_000 }, limits: {} })) as Joined;
    const ids: string[] = [];
    for (let n = 0; n < 12; n++) ids.push((await joined.publish(JSON.stringify(`${n}${'x'.repeat(2 ** 19)}`))).id);
    const end = '999999999999999-0';
    // Seven of 512 KiB and their costs fit in 4 MiB.
    expect((await broker.read('r', { count: 100, until: end })).messages.map(({ id }) => id)).toEqual(ids.slice(-7));
    expect((await broker.read('r', { count: 3, until: ids[10]! })).messages.map(({ id }) => id)).toEqual(
      ids.slice(8, 11),
    );
    const behind = await broker.read('r', { after: ids[5]!, until: end });
    expect([behind.complete, behind.messages.map(({ id }) => id)]).toEqual([true, ids.slice(6)]);
    expect((await broker.read('r', { after: ids[3]!, until: end })).complete).toBe(false);
    // Small ones let go of the large ones by their bytes alone, and the count comes down with them.
    for (let n = 0; n < 20; n++) ids.push((await joined.publish(JSON.stringify('x'.repeat(2 ** 18)))).id);
    expect((await broker.read('r', { count: 100, until: end })).messages.map(({ id }) => id)).toEqual(ids.slice(-15));
  });
}
