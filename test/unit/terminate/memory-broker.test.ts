// The histories of all rooms of one process against their one budget.
import { expect, it } from 'vitest';
import { MemoryBudget } from '../../../src/base/memory-budget.ts';
import type { Joined, Membership } from '../../../src/websocket/broker/broker.ts';
import { MemoryBroker } from '../../../src/websocket/broker/memory.ts';
import { jsonView } from '../../../src/websocket/rooms/rooms-json.ts';

const RULES = { retention: { count: 100, age: 3_600_000 }, limits: {} };
const ALL = { count: 100, until: '999999999999999-0' };
const KIB = 1024;

function stand(limit: number) {
  const budget = new MemoryBudget(limit);
  const broker = new MemoryBroker({ reach: () => undefined, revoke: () => 0 }, budget);
  const join = async (room: string) => {
    const membership: Membership = {
      ...{ room, user: 'u', connection: 'c', view: jsonView(false), listens: true, echo: false },
      receive: () => {},
    };
    return (await broker.join(membership, RULES)) as Joined;
  };
  const kept = async (room: string) => (await broker.read(room, ALL)).messages.length;
  return { budget, broker, join, kept };
}

it('450 members in rooms of their own keep no more than the budget', async () => {
  const { budget, join } = stand(2 ** 20);
  for (let n = 0; n < 450; n++) {
    const { publish } = await join(`own-${n}`);
    for (let i = 0; i < 5; i++) await publish(JSON.stringify('x'.repeat(10 * KIB)));
  }
  expect(budget.used).toBeLessThanOrEqual(2 ** 20);
  expect(budget.used).toBeGreaterThan(2 ** 20 - 11 * KIB);
});

it('the oldest messages go first, of the room in which nothing was said for longest, and a resume from there has a gap', async () => {
  const { join, kept, broker } = stand(50 * KIB);
  const [old, fresh] = [await join('old'), await join('fresh')];
  const data = JSON.stringify('x'.repeat(10 * KIB));
  const { id } = await old.publish(data);
  await old.publish(data);
  await fresh.publish(data);
  await fresh.publish(data);
  expect([await kept('old'), await kept('fresh')]).toEqual([2, 2]);
  await fresh.publish(data);
  expect([await kept('old'), await kept('fresh')]).toEqual([1, 3]);
  expect((await broker.read('old', { after: old.position!, until: ALL.until })).complete).toBe(false);
  expect((await broker.read('old', { after: id, until: ALL.until })).complete).toBe(true);
});

it('rooms without members give way before those with some', async () => {
  const { join, kept } = stand(50 * KIB);
  const data = JSON.stringify('x'.repeat(10 * KIB));
  const live = await join('live');
  await live.publish(data);
  for (const name of ['left-1', 'left-2', 'left-3']) {
    const member = await join(name);
    await member.publish(data);
    member.leave();
  }
  await live.publish(data);
  expect([await kept('live'), await kept('left-1'), await kept('left-2'), await kept('left-3')]).toEqual([2, 0, 1, 1]);
});

it('two-byte text counts double, and what is over counts off', async () => {
  const { budget, join } = stand(2 ** 20);
  const { publish, leave } = await join('r');
  await publish(JSON.stringify('x'.repeat(KIB)));
  const narrow = budget.used;
  await publish(JSON.stringify('Ā'.repeat(KIB)));
  expect(budget.used - narrow).toBeGreaterThanOrEqual(narrow + KIB);
  leave();
  expect(budget.used).toBeGreaterThan(0);
});

it('a message larger than the budget is delivered and not kept', async () => {
  const { budget, broker, join, kept } = stand(KIB);
  const { publish } = await join('r');
  await publish(JSON.stringify('x'.repeat(10 * KIB)));
  expect([await kept('r'), budget.used]).toEqual([0, 0]);
  await broker.publish('empty', { user: null, data: JSON.stringify('x'.repeat(10 * KIB)) });
  expect(await kept('empty')).toBe(0);
});
