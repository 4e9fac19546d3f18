// Several gateways on one Redis, as processes: rooms, presence, history and resume across them, and what is left when any
// of them is killed. Held by the ids of messages: none is lost, none comes twice, each sender's stay in order.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { hasPeers } from '../support/peers.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { joinRoom, messagesOf, type RoomClient } from '../support/rooms.ts';

const configOf = (broker: string): GatewayFile => ({
  listeners: [{ host: '127.0.0.1', port: 0 }],
  broker,
  routes: [
    {
      name: 'json',
      match: { path: '/json/{room}/{user}' },
      websocket: {
        mode: 'terminate',
        handler: 'rooms',
        origins: 'any',
        rooms: { format: 'json', history: { count: 10_000 }, limits: { members: 50, rooms_per_user: 20 } },
      },
    },
    {
      name: 'text',
      match: { path: '/text/{room}/{user}' },
      websocket: { mode: 'terminate', handler: 'rooms', origins: 'any' },
    },
  ],
});

/** Every number from 0 to one less than `count`. */
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

describe.skipIf(!hasPeers('redis-server'))('gateways on one Redis', () => {
  let redis: Redis;
  let gateways: Gateway[] = [];
  const members: RoomClient[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    gateways = await Promise.all(numbers(3).map(() => startGateway(configOf(redis.url))));
    await Promise.all(gateways.map((gateway) => gateway.log({ msg: 'the broker is there' })));
  });

  afterEach(() => {
    for (const { client } of members.splice(0)) client.socket.terminate();
  });

  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop('SIGKILL')));
    await redis?.stop();
  });

  async function join(gateway: Gateway | undefined, path: string): Promise<RoomClient> {
    const member = await joinRoom(`ws://127.0.0.1:${gateway?.port}${path}`);
    members.push(member);
    return member;
  }

  /** A killed gateway has another one in its place. */
  async function replace(index: number): Promise<void> {
    gateways[index] = await startGateway(configOf(redis.url));
    await gateways[index].log({ msg: 'the broker is there' });
  }

  it('members of one room hear each other, and of each other, wherever they are', async () => {
    const alice = await join(gateways[0], '/json/tea/alice');
    const bob = await join(gateways[1], '/json/tea/bob');
    expect([...(bob.joined['users'] as string[])].sort()).toEqual(['alice', 'bob']);
    expect(await alice.hear()).toEqual({ type: 'join', user: 'bob' });
    const ack = await bob.publish({ hello: 'alice' });
    expect(await alice.hear()).toMatchObject({ type: 'message', id: ack['id'], time: ack['time'], user: 'bob' });
    alice.say({ type: 'presence' });
    expect([...((await alice.hear())['users'] as string[])].sort()).toEqual(['alice', 'bob']);
    await bob.client.close();
    expect(await alice.hear()).toEqual({ type: 'leave', user: 'bob' });
  });

  it('all hear the same messages in the same order, each sender its own in its order', async () => {
    const talkers = await Promise.all(numbers(6).map((n) => join(gateways[n % 3], `/json/busy/u${n}`)));
    const watchers = await Promise.all(numbers(3).map((n) => join(gateways[n], `/json/busy/w${n}`)));
    const acks = await Promise.all(
      talkers.flatMap((talker, t) => numbers(50).map(async (n) => ({ ack: await talker.publish([t, n]), t, n }))),
    );
    expect(acks.every(({ ack }) => ack['type'] === 'ack')).toBe(true);
    const last = acks
      .map(({ ack }) => String(ack['id']))
      .sort(byId)
      .at(-1);
    await Promise.all(watchers.map((watcher) => watcher.hearOnly({ type: 'message', id: last })));
    const [one, ...others] = watchers.map((watcher) => messagesOf(watcher));
    expect(one?.map(({ id }) => id)).toEqual(acks.map(({ ack }) => String(ack['id'])).sort(byId));
    for (const other of others) expect(other).toEqual(one);
    for (const t of numbers(6)) {
      const own = one?.map(({ data }) => data as [number, number]).filter(([talker]) => talker === t);
      expect(own?.map(([, n]) => n)).toEqual(numbers(50));
    }
  });

  it('a client that comes back on another gateway gets exactly what it missed', async () => {
    const alice = await join(gateways[0], '/json/move/alice');
    const before = await join(gateways[1], '/json/move/bob');
    await alice.publish(0);
    const { id } = await before.hearOnly({ type: 'message' });
    before.client.socket.terminate();
    for (const n of [1, 2, 3]) await alice.publish(n);
    const after = await join(gateways[2], '/json/move/bob');
    after.say({ type: 'resume', after: id, ref: 'r' });
    await after.hearOnly({ type: 'resumed', count: 3 });
    expect(messagesOf(after).map(({ data }) => data)).toEqual([1, 2, 3]);
    after.say({ type: 'history', count: 2 });
    const history = await after.hearOnly({ type: 'history' });
    expect((history['messages'] as { data: unknown }[]).map(({ data }) => data)).toEqual([2, 3]);
  });

  it('limits hold over all gateways', async () => {
    const rooms = await Promise.all(numbers(20).map((n) => join(gateways[n % 3], `/json/limit${n}/zed`)));
    expect(rooms).toHaveLength(20);
    await expect(join(gateways[1], '/json/limit20/zed')).rejects.toMatchObject({ status: 429 });
    await Promise.all(numbers(50).map((n) => join(gateways[n % 3], `/json/full/m${n}`)));
    await expect(join(gateways[0], '/json/full/m50')).rejects.toMatchObject({ status: 503 });
  });

  it('the users of a killed gateway leave within seconds, and its clients lose nothing elsewhere', async () => {
    const watcher = await join(gateways[0], '/json/kill/watcher');
    const victim = await join(gateways[2], '/json/kill/victim');
    const speaker = await join(gateways[1], '/json/kill/speaker');
    await speaker.publish('before');
    const { id } = await victim.hearOnly({ type: 'message' });
    await gateways[2]?.stop('SIGKILL');
    const acks = [];
    for (const n of numbers(20)) acks.push((await speaker.publish(n))['id']);
    await watcher.hearOnly({ type: 'leave', user: 'victim' });
    const again = await join(gateways[0], '/json/kill/victim');
    expect([...(again.joined['users'] as string[])].sort()).toEqual(['speaker', 'victim', 'watcher']);
    again.say({ type: 'resume', after: id });
    await again.hearOnly({ type: 'resumed', count: 20 });
    expect(messagesOf(again).map((message) => message.id)).toEqual(acks);
    expect(messagesOf(watcher).map(({ data }) => data)).toEqual(['before', ...numbers(20)]);
    await replace(2);
  });

  it('a gateway that stops in order takes its users with it at once', async () => {
    const watcher = await join(gateways[0], '/json/stop/watcher');
    await join(gateways[2], '/json/stop/leaver');
    await watcher.hearOnly({ type: 'join', user: 'leaver' });
    await gateways[2]?.stop();
    await watcher.hearOnly({ type: 'leave', user: 'leaver' }, 2000);
    await replace(2);
  });

  /** Says numbers one after the other until told to stop; what was acknowledged, and what was answered with an error. */
  function talk(member: RoomClient) {
    let going = true;
    const acked: { id: unknown; data: unknown }[] = [];
    const failed: { code: unknown; data: unknown }[] = [];
    const done = (async () => {
      for (let n = 0; going; n++) {
        const answer = await member.publish(n);
        if (answer['type'] === 'ack') acked.push({ id: answer['id'], data: n });
        else failed.push({ code: answer['code'], data: n });
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    return {
      acked,
      failed,
      async stop() {
        going = false;
        await done;
      },
    };
  }

  it('Redis is killed: told, local delivery goes on, nothing is lost silently; back, all is taken up again', async () => {
    const [one, two] = [await join(gateways[0], '/json/crash/one'), await join(gateways[1], '/json/crash/two')];
    const local = await join(gateways[0], '/json/crash/local');
    const talks = [talk(one), talk(two)];
    await one.hearOnly({ type: 'message', user: 'two' });
    await redis.kill();
    await Promise.all(gateways.map((gateway) => gateway.log({ msg: 'the broker is away' })));
    expect((await gateways[0]!.admin('/readyz')).text).toMatch(/^degraded: the broker is away/);
    expect((await gateways[0]!.admin('/readyz')).status).toBe(200);
    expect(await gateways[0]!.metric('broker_up', { broker: 'redis' })).toBe(0);
    // Answered with an error, and delivered here, without an id.
    const refused = await one.publish('while away');
    expect(refused).toMatchObject({ type: 'error', code: 'unavailable' });
    expect(await local.hearOnly({ type: 'message', data: 'while away' })).toMatchObject({ id: null, user: 'one' });
    // A member that comes meanwhile is in the room of its gateway.
    const late = await join(gateways[1], '/json/crash/late');
    expect((await join(gateways[1], '/json/crash-too/late')).joined).toMatchObject({ position: null, users: ['late'] });
    const back = Promise.all(
      gateways.slice(0, 2).map(async (gateway) => {
        const before = gateway.logs().filter(({ msg }) => msg === 'the broker is there').length;
        const times = () => gateway.logs().filter(({ msg }) => msg === 'the broker is there').length;
        await expect.poll(times).toBeGreaterThan(before);
      }),
    );
    await redis.restart();
    await back;
    const [final] = await Promise.all([one.publish('final')]);
    expect(final).toMatchObject({ type: 'ack' });
    await Promise.all(talks.map((each) => each.stop()));
    const end = await two.publish('end');
    await Promise.all([local, late].map((member) => member.hearOnly({ type: 'message', id: end['id'] })));
    expect(await gateways[0]!.metric('broker_up', { broker: 'redis' })).toBe(1);
    expect((await gateways[0]!.admin('/readyz')).text).toBe('ok\n');

    const got = messagesOf(local).filter(({ id }) => id !== null);
    const ids = got.map(({ id }) => String(id));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual([...ids].sort(byId));
    for (const { acked } of talks) for (const { id } of acked) expect(ids).toContain(id);
    // What was neither acknowledged nor may have been done has no id.
    for (const [i, user] of ['one', 'two'].entries()) {
      const own = got.filter((message) => message.user === user && typeof message.data === 'number');
      expect(own.map(({ data }) => data)).toEqual(own.map(({ data }) => data as number).sort((a, b) => a - b));
      const maybe = talks[i]!.failed.filter(({ code }) => code === 'unconfirmed').map(({ data }) => data);
      const sure = new Set(talks[i]!.acked.map(({ data }) => data));
      expect(own.every(({ data }) => sure.has(data as number) || maybe.includes(data))).toBe(true);
    }
    expect([...(await presence(late))].sort()).toEqual(['late', 'local', 'one', 'two']);
  });

  it('Redis comes back empty: rooms go on, and members are told that there may be a gap', async () => {
    const [one, two] = [await join(gateways[0], '/json/empty/one'), await join(gateways[1], '/json/empty/two')];
    await one.publish('before');
    await two.hearOnly({ type: 'message', data: 'before' });
    await redis.restart('fresh');
    await two.hearOnly({ type: 'gap' });
    await one.hearOnly({ type: 'gap' });
    await insist(one, 'after');
    const heard = await two.hearOnly({ type: 'message', data: 'after' });
    expect(heard['id']).not.toBeNull();
    expect([...(await presence(two))].sort()).toEqual(['one', 'two']);
  });

  it('Redis does not answer: it counts as away', async () => {
    const one = await join(gateways[0], '/json/hung/one');
    redis.signal('SIGSTOP');
    try {
      expect(await one.publish('x')).toMatchObject({ type: 'error', code: 'unconfirmed' });
      expect(await one.publish('y')).toMatchObject({ type: 'error', code: 'unavailable' });
    } finally {
      redis.signal('SIGCONT');
    }
    await insist(one, 'z');
  });

  it('a gateway starts without Redis, says so, and takes part once Redis is there', async () => {
    const later = await startRedis('later');
    const gateway = await startGateway(configOf(later.url));
    try {
      const one = await joinRoom(`ws://127.0.0.1:${gateway.port}/json/early/one`);
      expect((await gateway.admin('/readyz')).text).toMatch(/^degraded/);
      await later.restart();
      await gateway.log({ msg: 'the broker is there' });
      expect(await one.publish(1)).toMatchObject({ type: 'ack' });
      one.client.socket.terminate();
    } finally {
      await gateway.stop('SIGKILL');
      await later.stop();
    }
  });
});

/** Says something again and again until it is acknowledged. */
async function insist(member: RoomClient, data: string): Promise<void> {
  while ((await member.publish(data))['type'] !== 'ack') await new Promise((resolve) => setTimeout(resolve, 20));
}

async function presence(member: RoomClient): Promise<string[]> {
  member.say({ type: 'presence', ref: 'p' });
  return (await member.hearOnly({ type: 'presence', ref: 'p' }))['users'] as string[];
}

function byId(one: string, other: string): number {
  const [a = 0, b = 0] = one.split('-').map(Number);
  const [c = 0, d = 0] = other.split('-').map(Number);
  return a - c || b - d;
}
