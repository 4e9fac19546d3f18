// What every broker must do, whichever it is: run over each implementation by broker.test.ts. `stands` are gateways that share
// one broker; a single one where it is of one process.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Broker, Joined, Membership, RoomRules } from '../../src/websocket/broker/broker.ts';
import type { Connections, Reachable } from '../../src/websocket/connections.ts';
import { jsonView } from '../../src/websocket/rooms/rooms-json.ts';

export interface Stand {
  readonly broker: Broker;
  readonly connections: Connections;
  /** What it was told to revoke. */
  readonly revoked: readonly unknown[];
}

const RULES: RoomRules = { retention: { count: 5, age: 60_000 }, limits: {} };
const END = '999999999999999-0';

export function describeBroker(name: string, open: () => Promise<{ stands: Stand[]; close(): Promise<void> }>): void {
  describe(name, () => {
    let stands: Stand[];
    let close: () => Promise<void>;
    let room = '';
    let rooms = 0;
    const last = () => stands.at(-1)!;
    beforeAll(async () => {
      ({ stands, close } = await open());
    });
    afterAll(() => close());
    beforeEach(() => {
      room = `room-${rooms++}`;
    });

    /** A member; `got` holds what it got, and `until` waits for something in it. */
    async function join({ broker }: Stand, user: string, more: Partial<Membership> = {}, rules = RULES) {
      const got: Record<string, unknown>[] = [];
      const waiting = new Set<() => void>();
      const membership: Membership = {
        ...{ room, user, connection: `c-${user}`, view: jsonView(true), listens: true, echo: false },
        receive: (message) => {
          got.push(JSON.parse(message.payload.toString()) as Record<string, unknown>);
          for (const look of waiting) look();
        },
        ...more,
      };
      const joined = await broker.join(membership, rules);
      const until = (fits: (message: Record<string, unknown>) => boolean) =>
        new Promise<void>((resolve) => {
          const look = () => {
            if (!got.some(fits)) return;
            waiting.delete(look);
            resolve();
          };
          waiting.add(look);
          look();
        });
      const data = () => got.filter(({ type }) => type === 'message').map((message) => message['data']);
      return { joined: joined as Joined, refused: joined, got, data, until };
    }

    it('what one says the others get, with the id that it was told', async () => {
      const [ann, ben] = [await join(stands[0]!, 'ann'), await join(last(), 'ben')];
      const stamp = await ann.joined.publish('{"a":1}');
      await ben.until(({ type }) => type === 'message');
      expect(ben.got.find(({ type }) => type === 'message')).toMatchObject({
        id: stamp.id,
        user: 'ann',
        data: { a: 1 },
      });
      expect(new Date(stamp.at).toISOString()).toBe(ben.got.find(({ type }) => type === 'message')?.['time']);
      expect(ann.data()).toEqual([]);
    });

    it('echo gives it back, who does not listen gets nothing, who has left gets nothing more', async () => {
      const [ann, ben, eve] = [
        await join(stands[0]!, 'ann', { echo: true }),
        await join(last(), 'ben', { listens: false }),
        await join(last(), 'eve'),
      ];
      await ann.joined.publish('1');
      await eve.until(({ data }) => data === 1);
      eve.joined.leave();
      eve.joined.leave();
      await ann.until(({ type, user }) => type === 'leave' && user === 'eve');
      await ann.joined.publish('2');
      expect([ann.data(), ben.got, eve.data()]).toEqual([[1, 2], [], [1]]);
    });

    it('tells of users once, whatever connections they have', async () => {
      const ann = await join(stands[0]!, 'ann');
      const [one, two] = [await join(last(), 'ben'), await join(last(), 'ben')];
      expect([...two.joined.users()].sort()).toEqual(['ann', 'ben']);
      one.joined.leave();
      two.joined.leave();
      await ann.until(({ type }) => type === 'leave');
      expect(ann.got).toEqual([
        { type: 'join', user: 'ben' },
        { type: 'leave', user: 'ben' },
      ]);
    });

    it('lists members and rooms of all gateways', async () => {
      const [ann, ben] = [await join(stands[0]!, 'ann'), await join(last(), 'ben')];
      for (const { broker } of stands) {
        const members = await broker.members(room);
        expect(members.map(({ user, connection }) => [user, connection]).sort()).toEqual([
          ['ann', 'c-ann'],
          ['ben', 'c-ben'],
        ]);
        expect(Math.abs((members[0]?.since ?? 0) - Date.now())).toBeLessThan(60_000);
        expect(await broker.rooms()).toContainEqual({ room, members: 2 });
        expect(await broker.members(`${room}-other`)).toEqual([]);
      }
      ann.joined.leave();
      await ben.until(({ type }) => type === 'leave');
      ben.joined.leave();
      await expect.poll(async () => (await last().broker.rooms()).map((each) => each.room)).not.toContain(room);
    });

    it('what is said from outside reaches everyone, and stays for who comes later', async () => {
      const first = await stands[0]!.broker.publish(room, { user: null, data: '"early"' });
      const ann = await join(last(), 'ann');
      expect(ann.joined.position).toBe(first.id);
      await last().broker.publish(room, { user: 'bot', data: '"late"' });
      await ann.until(({ data }) => data === 'late');
      const { messages } = await stands[0]!.broker.read(room, { count: 10, until: END });
      expect(messages.map(({ user, data }) => [user, data])).toEqual([
        [null, '"early"'],
        ['bot', '"late"'],
      ]);
    });

    it('reads what came after an id, and says where it is no longer whole', async () => {
      const ann = await join(stands[0]!, 'ann');
      const start = ann.joined.position!;
      const ids: string[] = [];
      for (let n = 0; n < 7; n++) ids.push((await ann.joined.publish(`${n}`)).id);
      const { broker } = last();
      const behind = async (id: string, until = END) => {
        const { messages, complete } = await broker.read(room, { after: id, until });
        return [messages.map(({ data }) => Number(data)), complete];
      };
      expect(await behind(ids[1]!)).toEqual([[2, 3, 4, 5, 6], true]);
      expect(await behind(ids[3]!, ids[5])).toEqual([[4, 5], true]);
      expect(await behind(ids[6]!)).toEqual([[], true]);
      expect((await behind(ids[0]!))[1]).toBe(false);
      expect((await behind(start))[1]).toBe(false);
      expect((await behind('99999999999999-0'))[1]).toBe(false);
      const { messages, complete } = await broker.read(room, { count: 2, until: ids[4]! });
      expect([messages.map(({ id }) => id), complete]).toEqual([[ids[3], ids[4]], true]);
    });

    it('old messages go, and what comes after them is whole', async () => {
      const short = { retention: { count: 100, age: 50 }, limits: {} };
      const ann = await join(stands[0]!, 'ann', {}, short);
      const { id } = await ann.joined.publish('1');
      await expect.poll(async () => (await last().broker.read(room, { count: 5, until: END })).messages).toEqual([]);
      expect((await last().broker.read(room, { after: ann.joined.position!, until: END })).complete).toBe(false);
      expect(await last().broker.read(room, { after: id, until: END })).toMatchObject({ messages: [], complete: true });
    });

    it('refuses who is one too many, and says which way', async () => {
      const rules = (limits: RoomRules['limits']) => ({ ...RULES, limits });
      await join(stands[0]!, `a-${room}`, {}, rules({ members: 1 }));
      expect((await join(last(), `b-${room}`, {}, rules({ members: 1 }))).refused).toBe('room_full');
      const elsewhere = { room: `${room}-b` };
      expect((await join(last(), `a-${room}`, elsewhere, rules({ roomsPerUser: 1 }))).refused).toBe('too_many_rooms');
      expect((await join(last(), `a-${room}`, {}, rules({ roomsPerUser: 1 }))).joined.position).not.toBeNull();
      expect((await join(last(), `a-${room}`, elsewhere, rules({ roomsPerUser: 2 }))).joined.position).not.toBeNull();
    });

    it('reaches a connection by its id, wherever it is', async () => {
      const calls: unknown[] = [];
      const description = {
        ...{
          id: room,
          route: 'r',
          mode: 'terminate' as const,
          client: '::1',
          user: 'ann',
          room: null,
          subprotocol: 'chat',
        },
        ...{ openedAt: 1, activeAt: 2 },
      } as const;
      const connection: Reachable = {
        describe: () => description,
        send: (type, data) => {
          calls.push([type, data.toString('hex')]);
          return true;
        },
        close: (code, reason) => void calls.push([code, reason]),
      };
      stands[0]!.connections.add(room, connection);
      for (const { broker } of stands) {
        expect(await broker.describe(room)).toEqual(description);
        expect(await broker.sendTo(room, 'binary', Buffer.from([0, 255]))).toBe(true);
        expect(await broker.disconnect(room, 4000, 'bye')).toBe(true);
      }
      expect(calls).toEqual(
        stands.flatMap(() => [
          ['binary', '00ff'],
          [4000, 'bye'],
        ]),
      );
      stands[0]!.connections.remove(room, connection);
      for (const { broker } of stands) {
        expect(await broker.describe(room)).toBeNull();
        expect(await broker.sendTo(room, 'text', Buffer.from('x'))).toBe(false);
        expect(await broker.disconnect(room, 1000, '')).toBe(false);
      }
    });

    it('takes access back on every gateway, and says how many sessions that closed', async () => {
      for (const { broker } of stands) {
        const before = stands.map(({ revoked }) => revoked.length);
        const closed = await broker.revoke({ subject: room, route: 'chat' }, 60_000);
        // Each stand says as many as it has been asked for.
        expect(closed).toBe(before.reduce((sum, count) => sum + count + 1, 0));
        for (const { revoked } of stands) expect(revoked.at(-1)).toEqual([{ subject: room, route: 'chat' }, 60_000]);
      }
    });

    it('says that it is up', () => {
      for (const { broker } of stands) {
        expect(broker.degraded()).toBeNull();
        expect([...broker.sample()]).toContainEqual({ metric: 'broker_up', labels: { broker: broker.name }, value: 1 });
      }
    });
  });
}
