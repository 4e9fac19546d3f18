// Rooms of one gateway, through the built program: the text chat, the JSON protocol, limits and rules.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, openClient, openRefused } from '../support/client.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { hasPeers, pythonClient } from '../support/peers.ts';
import { joinRoom } from '../support/rooms.ts';

type Rooms = NonNullable<
  Extract<NonNullable<GatewayFile['routes'][number]['websocket']>, { mode: 'terminate' }>['rooms']
>;

const route = (name: string, path: string, rooms: Rooms, more: object = {}): GatewayFile['routes'][number] => ({
  name,
  match: { path },
  websocket: { mode: 'terminate', handler: 'rooms', origins: 'any', rooms, ...more },
});

let gateway: Gateway;
const clients: Client[] = [];

beforeAll(async () => {
  gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    routes: [
      {
        name: 'bare',
        match: { path: '/rooms/{room}/{user}' },
        websocket: { mode: 'terminate', handler: 'rooms', origins: 'any' },
      },
      route('all', '/all', { room: 'everyone' }),
      route('json', '/json/{room}/{user}', { format: 'json' }),
      route('short', '/short/{room}/{user}', { format: 'json', history: { count: 3 } }),
      route('query', '/query', {
        room: 'q-{query.room}',
        user: '{query.me}',
        names: { charset: 'unicode', length: 5 },
      }),
      route('small', '/small/{room}/{user}', { format: 'json', limits: { members: 2 } }),
      route('few', '/few/{room}/{user}', { format: 'json', limits: { rooms_per_user: 1 } }),
      route('listen', '/listen/{room}/{user}', { format: 'json', allow: ['subscribe'] }),
      route('speak', '/speak/{room}/{user}', { format: 'json', allow: ['publish'] }),
      route('some', '/some/{room}/{user}', { format: 'json', publishers: ['alice'] }),
    ],
  });
});

afterAll(async () => {
  for (const { socket } of clients) socket.terminate();
  await gateway?.stop();
});

async function enter(path: string): Promise<Client> {
  const client = await openClient(`ws://127.0.0.1:${gateway.port}${path}`);
  clients.push(client);
  return client;
}

type Message = Readonly<Record<string, unknown>>;

async function join(path: string) {
  const member = await joinRoom(`ws://127.0.0.1:${gateway.port}${path}`);
  clients.push(member.client);
  return member;
}

describe('format: text', () => {
  it('what one says, the others get with its name, and nobody in another room', async () => {
    const [alice, bob, carol, other] = await Promise.all(
      ['/rooms/tea/alice', '/rooms/tea/bob', '/rooms/tea/carol', '/rooms/coffee/dave'].map(enter),
    );
    alice!.socket.send('hello');
    expect(await Promise.all([bob!.next(), carol!.next()])).toEqual(['alice: hello', 'alice: hello']);
    bob!.socket.send('hi');
    expect(await Promise.all([alice!.next(), carol!.next()])).toEqual(['bob: hi', 'bob: hi']);
    expect(other!.messages).toEqual([]);
  });

  it('a fixed room without names is a broadcast to the others', async () => {
    const [one, two] = await Promise.all([enter('/all'), enter('/all')]);
    one.socket.send('to all');
    expect(await two.next()).toBe('to all');
    two.socket.send('back');
    expect(await one.next()).toBe('back');
  });

  it('no line of a message looks as if another user had said it', async () => {
    const [alice, mallory] = await Promise.all([enter('/rooms/lines/alice'), enter('/rooms/lines/mallory')]);
    mallory.socket.send('hi\nbob: one\r\nbob: two\rbob: three\u2028bob: four\u0085bob: five\u000bbob: six');
    const got = String(await alice.next());
    expect(got.split('\n')[0]).toBe('mallory: hi');
    expect(got.split(/\r\n|[\n\v\f\r\u0085\u2028\u2029]/).slice(1)).toEqual(
      ['one', 'two', 'three', 'four', 'five', 'six'].map((word) => ` bob: ${word}`),
    );
  });

  it('names come from the path and from nothing else', async () => {
    const [alice, mallory] = await Promise.all([enter('/rooms/names/alice'), enter('/rooms/names/mallory?user=alice')]);
    mallory.socket.send('alice: give me your money');
    expect(await alice.next()).toBe('mallory: alice: give me your money');
  });

  it('a binary message has no place in it', async () => {
    const client = await enter('/rooms/tea/erin');
    client.socket.send(Buffer.from([1]));
    expect(await client.closed).toEqual({ code: 1003, reason: 'text_only' });
  });

  it('room and user from the query, in letters of any script, in one normal form', async () => {
    const path = (me: string) => `/query?room=%E8%8C%B6&me=${encodeURIComponent(me)}`;
    const [jose, other] = await Promise.all([enter(path('José')), enter(path('Zoë'))]);
    jose.socket.send('x');
    expect(await other.next()).toBe('José: x');
    other.socket.send('y');
    expect(await jose.next()).toBe('Zoë: y');
  });

  it.each([
    ['a space', '/rooms/tea/a%20b'],
    ['a slash', '/rooms/a%2Fb/alice'],
    ['a colon, which would forge a name', '/rooms/tea/a:%20b'],
    ['a dot first', '/rooms/.tea/alice'],
    ['no UTF-8', '/rooms/tea/%ff'],
    ['letters of another script, where the route has ASCII', '/rooms/tea/%C3%A9'],
    ['65 characters', `/rooms/tea/${'a'.repeat(65)}`],
    ['6 characters where 5 is the most', '/query?room=a&me=abcdef'],
    ['no name', '/query?room=a'],
    ['two names', '/query?room=a&me=b&me=c'],
    ['an empty name', '/query?room=a&me='],
  ])('a name with %s is refused before the 101', async (_, path) => {
    const refusal = await openRefused(`ws://127.0.0.1:${gateway.port}${path}`);
    expect(refusal.status).toBe(400);
    expect(refusal.fields['x-gateway-reason']).toBe('name');
  });

  it.skipIf(!hasPeers('python3-websockets'))('Python clients and ws clients talk to each other', async () => {
    const alice = await enter('/rooms/py/alice');
    const python = pythonClient({
      url: `ws://127.0.0.1:${gateway.port}/rooms/py/guido`,
      steps: [{ send: 'from Python' }, { receive: 1 }, { close: 1000, reason: 'bye' }],
    });
    expect(await alice.next()).toBe('guido: from Python');
    alice.socket.send('from ws');
    expect(await python).toMatchObject({ received: ['alice: from ws'], code: 1000 });
  });
});

describe('format: json', () => {
  it('tells who is there, who comes and who goes, each user once', async () => {
    const alice = await join('/json/p/alice');
    expect(alice.joined).toMatchObject({ room: 'p', user: 'alice', users: ['alice'], may: ['publish', 'subscribe'] });
    const bob = await join('/json/p/bob');
    expect(bob.joined).toMatchObject({ users: ['alice', 'bob'] });
    expect(await alice.hear()).toEqual({ type: 'join', user: 'bob' });
    const again = await join('/json/p/bob');
    alice.say({ type: 'presence', ref: 'x' });
    expect(await alice.hear()).toEqual({ type: 'presence', ref: 'x', users: ['alice', 'bob'] });
    await again.client.close();
    await bob.client.close();
    expect(await alice.hear()).toEqual({ type: 'leave', user: 'bob' });
  });

  it('a message has an id, a time and its sender, and the sender an acknowledgement with the same', async () => {
    const [alice, bob] = [await join('/json/m/alice'), await join('/json/m/bob')];
    const ack = await alice.publish({ text: 'hi', n: [1, null] });
    expect(ack).toMatchObject({ type: 'ack', ref: 1, id: expect.stringMatching(/^\d+-\d+$/) });
    const { id, time } = ack;
    expect(await bob.hear()).toEqual({ type: 'message', id, time, user: 'alice', data: { text: 'hi', n: [1, null] } });
    expect(Math.abs(Date.parse(String(time)) - Date.now())).toBeLessThan(60_000);
  });

  it('text members and json members share a room', async () => {
    const [alice, bob] = [await join('/json/both/alice'), await enter('/rooms/both/bob')];
    expect(await alice.hear()).toEqual({ type: 'join', user: 'bob' });
    bob.socket.send('plain');
    expect(await alice.hear()).toMatchObject({ type: 'message', user: 'bob', data: 'plain' });
    await alice.publish('words');
    await alice.publish({ a: 1 });
    expect([await bob.next(), await bob.next()]).toEqual(['alice: words', 'alice: {"a":1}']);
  });

  it('a member that comes back gets exactly what it missed', async () => {
    const [alice, bob] = [await join('/json/r/alice'), await join('/json/r/bob')];
    await alice.publish(1);
    const last = (await bob.hear())['id'];
    await bob.client.close();
    const missed = [await alice.publish(2), await alice.publish(3)].map(({ id }) => id);
    const back = await join('/json/r/bob');
    await alice.publish(4);
    back.say({ type: 'resume', after: last, ref: 9 });
    const heard = [];
    for (let i = 0; i < 4; i++) heard.push(await back.hear());
    const messages = heard.filter(({ type }) => type === 'message');
    expect(messages.map(({ data }) => data).sort()).toEqual([2, 3, 4]);
    expect(messages.filter(({ data }) => data !== 4).map(({ id }) => id)).toEqual(missed);
    expect(heard.find(({ type }) => type === 'resumed')).toEqual({ type: 'resumed', ref: 9, after: last, count: 2 });
  });

  it('says that a gap is too old, and gives what is left as history', async () => {
    const [alice, bob] = [await join('/short/g/alice'), await join('/short/g/bob')];
    const { id } = await alice.publish(0);
    await bob.client.close();
    const ids = [];
    for (let n = 1; n <= 4; n++) ids.push((await alice.publish(n))['id']);
    const back = await join('/short/g/bob');
    back.say({ type: 'resume', after: id, ref: 1 });
    expect(await back.hear()).toEqual({ type: 'gap', ref: 1, after: id });
    back.say({ type: 'history', count: 10, ref: 2 });
    const history = await back.hear();
    expect(history).toMatchObject({ type: 'history', ref: 2, complete: false });
    expect((history['messages'] as Message[]).map((message) => message['id'])).toEqual(ids.slice(1));
    back.say({ type: 'history', count: 1, before: ids[3], ref: 3 });
    expect(((await back.hear())['messages'] as Message[]).map((message) => message['id'])).toEqual([ids[2]]);
    back.say({ type: 'resume', after: ids[0], ref: 4 });
    expect(await back.hear()).toMatchObject({ type: 'message', id: ids[1] });
  });

  it.each([
    ['no JSON', '{', 'malformed'],
    ['no object', '[]', 'malformed'],
    ['no type', '{}', 'unknown_type'],
    ['another type', '{"type":"shout"}', 'unknown_type'],
    ['nothing to say', '{"type":"publish"}', 'malformed'],
    ['a ref that is an object', '{"type":"publish","data":1,"ref":{}}', 'malformed'],
    ['no id', '{"type":"resume","after":"yesterday"}', 'malformed'],
    ['too much history', '{"type":"history","count":1001}', 'malformed'],
  ])('%s is answered with an error, and the connection lives', async (_, text, code) => {
    const alice = await join('/json/errors/alice');
    alice.client.socket.send(text);
    expect(await alice.hearOnly({ type: 'error' })).toMatchObject({ code });
    await alice.publish('still here');
    await alice.client.close();
  });
});

describe('limits and rules', () => {
  it('a full room is refused with 503 until someone leaves', async () => {
    const [alice] = [await join('/small/full/alice'), await join('/small/full/bob')];
    const refusal = await openRefused(`ws://127.0.0.1:${gateway.port}/small/full/carol`);
    expect(refusal.status).toBe(503);
    expect(refusal.fields).toMatchObject({ 'x-gateway-reason': 'room_full', 'retry-after': '5' });
    await alice.client.close();
    await gateway.log({ event: 'session_closed', path: '/small/full/alice' });
    expect((await join('/small/full/carol')).joined).toMatchObject({ users: ['bob', 'carol'] });
  });

  it('a user in too many rooms is refused with 429, in the same room again it is not', async () => {
    await join('/few/one/zed');
    await join('/few/one/zed');
    const refusal = await openRefused(`ws://127.0.0.1:${gateway.port}/few/two/zed`);
    expect(refusal.status).toBe(429);
    expect(refusal.fields['x-gateway-reason']).toBe('too_many_rooms');
    await join('/few/two/zoe');
  });

  it('who may only listen gets an error for what it says, who may only speak hears nothing', async () => {
    const [listener, speaker] = [await join('/listen/rules/ann'), await join('/speak/rules/ben')];
    listener.say({ type: 'publish', data: 1, ref: 1 });
    expect(await listener.hearOnly({ type: 'error' })).toMatchObject({ ref: 1, code: 'not_allowed' });
    await speaker.publish('one');
    expect(await listener.hearOnly({ type: 'message' })).toMatchObject({ data: 'one', user: 'ben' });
    speaker.say({ type: 'history', ref: 2 });
    expect(await speaker.hearOnly({ type: 'error' })).toMatchObject({ ref: 2, code: 'not_allowed' });
  });

  it('publishers names those who may publish', async () => {
    const [alice, bob] = [await join('/some/x/alice'), await join('/some/x/bob')];
    await alice.publish(1);
    bob.say({ type: 'publish', data: 2 });
    expect(await bob.hearOnly({ type: 'error' })).toMatchObject({ code: 'not_allowed' });
  });

  it('counts rooms, members and what is said', async () => {
    expect(await gateway.metric('room_members')).toBeGreaterThan(3);
    expect(await gateway.metric('rooms')).toBeGreaterThan(2);
    expect(await gateway.metric('room_messages_total', { result: 'published' })).toBeGreaterThan(10);
    expect(await gateway.metric('broker_up', { broker: 'memory' })).toBe(1);
    expect((await gateway.admin('/readyz')).text).toBe('ok\n');
  });
});

describe('deep JSON', () => {
  const deep = (levels: number, open = '[', close = ']') => `${open.repeat(levels)}${close.repeat(levels)}`;

  it.each([
    ['lists', deep(5000)],
    ['objects', `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`],
    ['as many lists as a message may have octets', deep(500_000)],
    ['one level too many', deep(64)],
  ])('of %s is malformed, and costs nobody else anything', async (_, data) => {
    const [alice, bob] = [await join('/json/deep/alice'), await join('/json/deep/bob')];
    alice.client.socket.send(`{"type":"publish","ref":1,"data":${data}}`);
    expect(await alice.hearOnly({ type: 'error' })).toMatchObject({ code: 'malformed' });
    alice.client.socket.send(`{"type":${data}}`);
    expect(await alice.hearOnly({ type: 'error' })).toMatchObject({ code: 'malformed' });
    expect(await bob.publish('still here')).toMatchObject({ type: 'ack' });
    expect(await alice.hearOnly({ type: 'message' })).toMatchObject({ data: 'still here' });
    for (const { client } of [alice, bob]) client.socket.terminate();
  });

  it('is said as it is up to 64 levels, brackets in texts not counted', async () => {
    const [alice, bob] = [await join('/json/flat/alice'), await join('/json/flat/bob')];
    const data = `[${deep(62)},"${'['.repeat(100)}\\"${'{'.repeat(100)}"]`;
    alice.client.socket.send(`{"type":"publish","ref":1,"data":${data}}`);
    expect(await bob.hearOnly({ type: 'message' })).toMatchObject({ data: JSON.parse(data) as unknown });
  });
});
