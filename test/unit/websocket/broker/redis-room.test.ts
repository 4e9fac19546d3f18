// The order of messages of a room that comes over a channel which may lose, repeat and delay them.
import { describe, expect, it } from 'vitest';
import {
  BrokerError,
  compareIds,
  type Membership,
  type Message,
  type MessageView,
} from '../../../../src/websocket/broker/broker.ts';
import { type Logged, type ReceivedMessage, RedisRoom } from '../../../../src/websocket/broker/redis-room.ts';

const id = (n: number) => `${n}-0`;
const logged = (n: number, membership: string | null = null): Logged => ({
  id: id(n),
  at: n,
  user: 'u',
  data: `${n}`,
  membership,
});
const received = (n: number, previous = n - 1, membership: string | null = null): ReceivedMessage => ({
  ...logged(n, membership),
  previous: id(previous),
});

/** A room behind the message 0, with one membership, and a log that has everything up to `last`. */
function stand({ last = 0, floor = 0 } = {}) {
  const log = { last, floor, asked: [] as string[], away: false };
  const errors: unknown[] = [];
  const room = new RedisRoom(
    'r',
    async (_, after) => {
      log.asked.push(after);
      if (log.away) throw new BrokerError('unavailable', 'away');
      const from = Number(after.split('-')[0]);
      const first = Math.max(from, log.floor) + 1;
      const messages = Array.from({ length: Math.max(0, log.last - first + 1) }, (_, n) => logged(first + n));
      return { messages, complete: from >= log.floor, last: id(log.last) };
    },
    (error) => errors.push(error),
  );
  const got: string[] = [];
  const view: MessageView = {
    message: (_, said: Message) => said.data,
    presence: (_, change, user) => `${change} ${user}`,
    gap: () => 'gap',
  };
  const membership: Membership = {
    ...{ room: 'r', user: 'me', connection: 'c', view, listens: true, echo: false },
    receive: (message) => got.push(message.payload.toString()),
  };
  room.memberships.set('own', membership);
  room.local.take(membership);
  return { room, got, log, membership, errors };
}

/** Lets what was asked of the log come back. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('messages', () => {
  it('wait until the place in the log is known, and go on behind it', () => {
    const { room, got } = stand();
    room.onMessage(received(1));
    room.onMessage(received(2));
    expect(got).toEqual([]);
    room.begin(id(1));
    expect(got).toEqual(['2']);
    expect(room.position).toBe(id(2));
  });

  it('come once, also where they are repeated or overtaken', () => {
    const { room, got } = stand();
    room.begin(id(0));
    for (const n of [1, 1, 2, 1, 2, 3]) room.onMessage(received(n));
    expect(got).toEqual(['1', '2', '3']);
  });

  it('one that is missing is read from the log, and those behind it wait', async () => {
    const { room, got, log } = stand({ last: 3 });
    room.begin(id(0));
    room.onMessage(received(1));
    room.onMessage(received(3));
    room.onMessage(received(4));
    expect(got).toEqual(['1']);
    await settled();
    expect(log.asked).toEqual([id(1)]);
    expect(got).toEqual(['1', '2', '3', '4']);
    expect(room.behind).toBe(false);
  });

  it('what the log keeps no more is told as a gap', async () => {
    const { room, got } = stand({ last: 9, floor: 7 });
    room.begin(id(0));
    room.onMessage(received(9));
    await settled();
    expect(got).toEqual(['gap', '8', '9']);
  });

  it('after a cut, the log is handed on before what comes', async () => {
    const { room, got, log } = stand();
    room.begin(id(0));
    room.onMessage(received(1));
    room.cut();
    log.last = 4;
    room.onMessage(received(4));
    room.onMessage(received(5));
    expect(got).toEqual(['1']);
    await room.catchUp(id(1));
    expect(got).toEqual(['1', '2', '3', '4', '5']);
  });

  it('a log that does not answer is asked again', async () => {
    const { room, got, log } = stand({ last: 2 });
    room.begin(id(0));
    log.away = true;
    room.onMessage(received(2));
    await settled();
    expect([got, room.behind]).toEqual([[], true]);
    log.away = false;
    await room.catchUp(id(0));
    expect([got, room.behind]).toEqual([['1', '2'], false]);
  });

  it('its own are left out, over the channel and out of the log', async () => {
    const { room, got } = stand();
    room.begin(id(0));
    room.onMessage(received(1, 0, 'own'));
    room.onMessage(received(2, 1, 'other'));
    expect(got).toEqual(['2']);
  });

  it('ids are compared as numbers', () => {
    expect(compareIds('10-0', '9-5')).toBeGreaterThan(0);
    expect(compareIds('9-10', '9-9')).toBeGreaterThan(0);
    expect(compareIds('9-9', '9-9')).toBe(0);
  });
});

describe('who said something hears of it', () => {
  it('after everything before it was handed on', async () => {
    const { room, got } = stand();
    room.begin(id(0));
    const order: string[] = [];
    const done = room.handedOn({ id: id(2), at: 2 }).then(() => order.push([...got].join()));
    room.onMessage(received(1));
    await settled();
    expect(order).toEqual([]);
    room.onMessage(received(2, 1, 'own'));
    await done;
    expect(order).toEqual(['1']);
  });

  it('at once where it was handed on already, and also where the channel was cut', async () => {
    const { room, log } = stand();
    room.begin(id(3));
    await expect(room.handedOn({ id: id(3), at: 3 })).resolves.toMatchObject({ id: id(3) });
    room.cut();
    const waiting = room.handedOn({ id: id(4), at: 4 });
    log.last = 4;
    await room.catchUp(id(3));
    await expect(waiting).resolves.toMatchObject({ id: id(4) });
  });
});

describe('presence', () => {
  it('a user comes once and leaves once, whatever connections it has and however often that is told', () => {
    const { room, got } = stand();
    for (const membership of ['a', 'a', 'b']) room.addMember(membership, 'ann');
    expect(got).toEqual(['join ann']);
    for (const membership of ['a', 'a', 'unknown']) room.exit(membership);
    expect(got).toEqual(['join ann']);
    room.exit('b');
    expect(got).toEqual(['join ann', 'leave ann']);
  });

  it('a new list tells the difference', () => {
    const { room, got } = stand();
    room.addMember('own', 'me');
    room.addMember('a', 'ann');
    got.length = 0;
    room.renew(
      new Map([
        ['own', 'me'],
        ['b', 'ben'],
      ]),
    );
    expect(got).toEqual(['leave ann', 'join ben']);
    expect(room.local.users()).toEqual(['me', 'ben']);
  });
});

it('what comes while the log is asked is bounded, and what was let go of is asked for again', async () => {
  const { room, got, log } = stand();
  room.begin(id(0));
  log.last = 2;
  room.onMessage(received(2));
  // One after the other, 8 MiB in all.
  for (let n = 3; n <= 10; n++) room.onMessage({ ...received(n), data: 'x'.repeat(2 ** 20) });
  await settled();
  expect(got).toEqual(['1', '2']);
  expect(room.behind).toBe(true);
  log.last = 10;
  await room.catchUp(room.position!);
  expect(got).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10']);
  expect(room.behind).toBe(false);
});

it('a defect in asking the log is told, and that the broker is away is not one', async () => {
  const { room, log, errors } = stand();
  room.begin(id(0));
  log.away = true;
  room.onMessage(received(2));
  await settled();
  expect(errors).toEqual([expect.any(BrokerError)]);
});
