// The admin API over several gateways on one Redis: a backend asks any of them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, openClient } from '../support/client.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { hasPeers } from '../support/peers.ts';
import { type Redis, startRedis } from '../support/redis.ts';

const TOKEN = 'a-token-of-some-length';

describe.skipIf(!hasPeers('redis-server'))('the API of one gateway, for connections of another', () => {
  let redis: Redis;
  let echo: EchoServer;
  let asked: Gateway;
  let holding: Gateway;
  const clients: Client[] = [];

  beforeAll(async () => {
    [redis, echo] = [await startRedis(), await startEcho()];
    const local = { mode: 'terminate', origins: 'any' } as const;
    const start = () =>
      startGateway({
        listeners: [{ host: '127.0.0.1', port: 0 }],
        admin: { port: 0, token: TOKEN },
        broker: redis.url,
        upstreams: { echo: { servers: [`ws://127.0.0.1:${echo.port}`] } },
        routes: [
          { name: 'rooms', match: { path: '/rooms/{room}/{user}' }, websocket: { ...local, handler: 'rooms' } },
          {
            name: 'splice',
            match: { path: '/splice' },
            websocket: { mode: 'splice', upstream: 'echo', origins: 'any' },
          },
        ],
      });
    [asked, holding] = await Promise.all([start(), start()]);
    await Promise.all([asked, holding].map((gateway) => gateway.log({ msg: 'the broker is there' })));
  });
  afterAll(async () => {
    for (const client of clients) client.socket.terminate();
    await Promise.all([asked, holding].map((gateway) => gateway.stop('SIGKILL')));
    await redis.stop();
    echo.close();
  });

  async function connect(route: string, path: string) {
    const client = await openClient(`ws://127.0.0.1:${holding.port}${path}`);
    clients.push(client);
    const { id } = await holding.log({ event: 'session_opened', route, path });
    return { client, id: String(id) };
  }

  async function api(method: string, path: string, body?: string) {
    const response = await fetch(`http://127.0.0.1:${asked.adminPort}${path}`, {
      method,
      headers: { Authorization: `Bearer ${TOKEN}`, ...(body === undefined ? {} : { 'Content-Type': 'text/plain' }) },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : (JSON.parse(text) as Record<string, unknown>) };
  }

  it('describes, sends to and closes a terminated one', async () => {
    const { client, id } = await connect('rooms', '/rooms/red/ann');
    const described = await api('GET', `/connections/${id}`);
    expect(described).toMatchObject({ status: 200, body: { id, route: 'rooms', user: 'ann', room: 'red' } });
    expect(await api('POST', `/connections/${id}`, 'grüß dich')).toEqual({ status: 204, body: null });
    expect(await client.next()).toBe('grüß dich');
    expect((await api('DELETE', `/connections/${id}?code=4403&reason=out`)).status).toBe(204);
    expect(await client.closed).toEqual({ code: 4403, reason: 'out' });
    await holding.log({ event: 'session_closed', id });
    expect(await api('GET', `/connections/${id}`)).toMatchObject({ status: 410, body: { reason: 'gone' } });
  });

  it('describes and closes a spliced one, and sends it nothing', async () => {
    const { client, id } = await connect('splice', '/splice');
    expect(await api('GET', `/connections/${id}`)).toMatchObject({ status: 200, body: { mode: 'splice' } });
    expect(await api('POST', `/connections/${id}`, 'x')).toMatchObject({ status: 409, body: { reason: 'spliced' } });
    expect((await api('DELETE', `/connections/${id}`)).status).toBe(204);
    expect((await client.closed).code).toBe(1000);
    expect(client.messages).toEqual([]);
  });

  it('knows the rooms, their members, and speaks in them', async () => {
    const { client, id } = await connect('rooms', '/rooms/blue/bob');
    expect((await api('GET', '/rooms')).body).toMatchObject({ rooms: [{ room: 'blue', members: 1 }] });
    expect((await api('GET', '/rooms/blue/members')).body).toMatchObject({
      room: 'blue',
      members: [{ user: 'bob', connection: id }],
    });
    expect(await api('POST', '/rooms/blue/messages', 'from outside')).toMatchObject({ status: 200 });
    expect(await client.next()).toContain('from outside');
  });

  it('says so while Redis is away, and does what it can again once it is back', async () => {
    const { client, id } = await connect('rooms', '/rooms/green/eve');
    await redis.kill();
    await asked.log({ msg: 'the broker is away' });
    for (const [method, path, body] of [
      ['GET', `/connections/${id}`],
      ['POST', `/connections/${id}`, 'x'],
      ['DELETE', `/connections/${id}`],
      ['POST', '/rooms/green/messages', 'x'],
    ] as const) {
      const answer = await api(method, path, body);
      expect([503, 504]).toContain(answer.status);
      expect(answer.body?.['reason']).toMatch(/^broker_(unavailable|unconfirmed)$/);
    }
    const back = [asked, holding].map(
      (gateway) => gateway.logs().filter((line) => line['msg'] === 'the broker is there').length,
    );
    await redis.restart();
    const isBack = async (gateway: Gateway, before: number | undefined): Promise<void> => {
      const times = () => gateway.logs().filter((line) => line['msg'] === 'the broker is there').length;
      await expect.poll(times).not.toBe(before);
    };
    await Promise.all([isBack(asked, back[0]), isBack(holding, back[1])]);
    expect((await api('POST', `/connections/${id}`, 'again')).status).toBe(204);
    while ((await client.next()) !== 'again');
  });
});
