// What the built gateway holds back, with real clients, by HTTP/1.1 and by HTTP/2: rates of handshakes and requests, live sessions, by route, by gateway,
// by address, by claim and by server; and what is left after a refusal, a reload and a storm.
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Client, openClient, Refusal } from '../support/client.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { bothListeners, fetchBy, optionsOf, PROTOCOLS, targetOf } from '../support/protocols.ts';
import { connectRaw, exchange, handshake, readAnswer } from '../support/raw.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

type Route = GatewayFile['routes'][number];
type SessionLimits = NonNullable<Extract<Route['websocket'], { mode: 'terminate' }>['limits']>;
type RequestLimits = NonNullable<NonNullable<Route['http']>['limits']>;

const echo = (limits: SessionLimits = {}, name = 'ws', rest: Partial<Route> = {}): Route => ({
  name,
  match: { path: `/${name}` },
  websocket: { mode: 'terminate', handler: 'echo', origins: 'any', limits },
  ...rest,
});

async function start(config: Partial<GatewayFile>): Promise<Gateway> {
  const gateway = await startGateway({
    listeners: bothListeners(),
    trusted_proxies: ['127.0.0.1'],
    routes: [echo()],
    ...config,
  });
  ends.push(() => gateway.stop());
  return gateway;
}

describe.each(PROTOCOLS)('by HTTP/%s', (protocol) => {
  /** Opens one from an address; a refusal is its value. */
  async function open(
    gateway: Gateway,
    { from = '192.0.2.1', path = '/ws', fields = {} } = {},
  ): Promise<Client | Refusal> {
    const headers = { 'X-Forwarded-For': from, ...fields };
    const { port } = targetOf(gateway, protocol);
    const options = { headers, ...optionsOf(protocol) };
    const outcome = await openClient(`ws://127.0.0.1:${port}${path}`, options).catch((error: unknown) => error);
    if (outcome instanceof Refusal) return outcome;
    if (outcome instanceof Error) throw outcome;
    const client = outcome as Client;
    ends.push(() => client.socket.terminate());
    return client;
  }

  const reasonOf = (outcome: Client | Refusal): string =>
    outcome instanceof Refusal ? `${outcome.status} ${outcome.fields['x-gateway-reason']}` : 'open';

  /** Closes one; the gateway, which may see another client's connection first, knows of it too. */
  async function leave(gateway: Gateway, client: Client): Promise<void> {
    const closed = () => gateway.logs().filter(({ event }) => event === 'session_closed').length;
    const before = closed();
    await client.close();
    await expect.poll(closed, { interval: 5 }).toBeGreaterThan(before);
  }

  /** How often each outcome came. */
  function tally(outcomes: readonly string[]): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
    return counts;
  }

  const openMany = async (gateway: Gateway, count: number, of: Parameters<typeof open>[1] = {}) =>
    tally((await Promise.all(Array.from({ length: count }, () => open(gateway, of)))).map(reasonOf));

  /** So slow that no token comes in while a test runs. */
  const slow = (burst: number) => ({ rate: 0.001, burst });

  describe('handshakes a second', () => {
    it.each<[string, Partial<GatewayFile>]>([
      ['of a route', { routes: [echo({ handshakes_per_second: slow(7) })] }],
      ['of the gateway', { limits: { handshakes_per_second: slow(7) } }],
      ['of an address on a route', { routes: [echo({ handshakes_per_second_per_ip: slow(7) })] }],
      ['of an address', { limits: { handshakes_per_second_per_ip: slow(7) } }],
    ])('%s: as many as the burst come in, the others are told when to come again', async (_, config) => {
      const gateway = await start(config);
      expect(await openMany(gateway, 30)).toEqual({ open: 7, '429 rate': 23 });
      const refused = (await open(gateway)) as Refusal;
      const { 'retry-after': after, 'content-type': type } = refused.fields;
      expect(Number(after)).toBeGreaterThanOrEqual(900);
      expect(Number(after)).toBeLessThanOrEqual(1201);
      expect(type).toBe('application/problem+json');
      const route = { route: 'ws', reason: 'rate' };
      expect(await gateway.metric('websocket_rejections_total', route)).toBe(24);
      // Nothing of the refused is held.
      expect(await gateway.metric('websocket_connections', { route: 'ws', mode: 'terminate' })).toBe(7);
    });

    it('comes true: after Retry-After there is room', async () => {
      const gateway = await start({ routes: [echo({ handshakes_per_second: 1 })] });
      expect(reasonOf(await open(gateway))).toBe('open');
      let refused = await open(gateway);
      // On a slow machine the next one finds the next token.
      while (!(refused instanceof Refusal)) refused = await open(gateway);
      const after = Number(refused.fields['retry-after']);
      expect([1, 2, 3]).toContain(after);
      await new Promise((resolve) => setTimeout(resolve, after * 1000));
      expect(reasonOf(await open(gateway))).toBe('open');
    });

    it('of an address are each address’s own, as a trusted proxy tells it, and an IPv6 network’s', async () => {
      const gateway = await start({ limits: { handshakes_per_second_per_ip: slow(2) } });
      const from = (address: string) => openMany(gateway, 4, { from: address });
      expect(await from('192.0.2.1')).toEqual({ open: 2, '429 rate': 2 });
      expect(await from('192.0.2.2')).toEqual({ open: 2, '429 rate': 2 });
      expect(await from('::ffff:192.0.2.2')).toEqual({ '429 rate': 4 });
      expect(await from('2001:db8:1:2::1')).toEqual({ open: 2, '429 rate': 2 });
      expect(await from('2001:db8:1:2:ffff:ffff:ffff:ffff')).toEqual({ '429 rate': 4 });
      expect(await from('2001:db8:1:3::1')).toEqual({ open: 2, '429 rate': 2 });
      // What stands left of an address that nobody vouches for is anybody's word.
      expect(await from('198.51.100.77, 192.0.2.2')).toEqual({ '429 rate': 4 });
      expect(await gateway.metric('limit_clients', { limit: 'handshakes_per_second_per_ip' })).toBe(4);
    });

    it('of an address are the peer’s own where no proxy is trusted', async () => {
      const gateway = await start({ trusted_proxies: [], limits: { handshakes_per_second_per_ip: slow(3) } });
      const outcomes = await Promise.all(Array.from({ length: 9 }, (_, n) => open(gateway, { from: `192.0.2.${n}` })));
      expect(tally(outcomes.map(reasonOf))).toEqual({ open: 3, '429 rate': 6 });
    });

    it('that are refused take nothing of other limits', async () => {
      const gateway = await start({
        limits: { handshakes_per_second: slow(4) },
        routes: [echo({ handshakes_per_second_per_ip: slow(1) })],
      });
      expect(await openMany(gateway, 50, { from: '192.0.2.1' })).toEqual({ open: 1, '429 rate': 49 });
      for (const last of [2, 3, 4]) expect(reasonOf(await open(gateway, { from: `192.0.2.${last}` }))).toBe('open');
      expect(reasonOf(await open(gateway, { from: '192.0.2.5' }))).toBe('429 rate');
    });

    it('refused behind what a client sent ahead are whole answers, and the connection ends', async () => {
      const gateway = await start({ routes: [echo({ handshakes_per_second: slow(1) })] });
      const first = await connectRaw(targetOf(gateway, protocol));
      ends.push(() => first.socket.destroy());
      first.write(handshake());
      await first.until('101 Switching');
      const { status, fields, body } = readAnswer(
        await exchange(targetOf(gateway, protocol), `${handshake()}\x81\x85abcdefghi`),
      );
      expect(status).toBe(429);
      expect(Object.fromEntries(fields)).toMatchObject({ 'X-Gateway-Reason': 'rate', Connection: 'close' });
      expect(JSON.parse(body)).toMatchObject({ reason: 'rate', detail: 'too many ask for this at the moment' });
    });
  });

  describe('a ramp', () => {
    it('begins with the start, tells each of the others a time of its own, and ends with a config that has none', async () => {
      const gateway = await start({ limits: { ramp: { rate: 1, over: '1h' } } });
      expect(await gateway.metric('ramp_active')).toBe(1);
      const from = performance.now();
      const outcomes = await Promise.all(Array.from({ length: 30 }, () => open(gateway)));
      const seconds = (performance.now() - from) / 1000;
      const refused = outcomes.filter((outcome) => outcome instanceof Refusal);
      expect(new Set(refused.map(reasonOf))).toEqual(new Set(['503 ramp']));
      expect(outcomes.length - refused.length).toBeGreaterThanOrEqual(1);
      const told = refused.map(({ fields }) => Number(fields['retry-after'])).sort((a, b) => a - b);
      // One a second: the last of them is told to wait for all the others.
      expect(new Set(told).size).toBeGreaterThan(told.length / 2);
      expect(told[0]).toBeLessThanOrEqual(3);
      expect(told.at(-1)).toBeGreaterThanOrEqual(told.length - 2 - seconds);
      const now = { admin: { port: 0 }, listeners: bothListeners(), routes: [echo()] };
      writeFileSync(gateway.file, JSON.stringify(now));
      gateway.signal('SIGHUP');
      await gateway.log({ event: 'config_reloaded', result: 'success' });
      expect(await openMany(gateway, 10)).toEqual({ open: 10 });
    });
  });

  describe('live sessions', () => {
    it('of the gateway are counted over all routes, and come back', async () => {
      const gateway = await start({
        limits: { connections: 4, connections_per_ip: 3 },
        routes: [echo(), echo({}, 'other')],
      });
      expect(await openMany(gateway, 2)).toEqual({ open: 2 });
      const last = (await open(gateway, { path: '/other' })) as Client;
      expect(reasonOf(await open(gateway, { path: '/other' }))).toBe('429 client_limit');
      expect(reasonOf(await open(gateway, { from: '192.0.2.2' }))).toBe('open');
      expect(reasonOf(await open(gateway, { from: '192.0.2.3' }))).toBe('503 limit');
      await leave(gateway, last);
      expect(reasonOf(await open(gateway, { from: '192.0.2.3' }))).toBe('open');
      expect(reasonOf(await open(gateway, { from: '192.0.2.4' }))).toBe('503 limit');
    });
  });

  describe('a reload', () => {
    it('keeps what is used up of limits that stay, and what is live', async () => {
      const limits = { handshakes_per_second: slow(3), connections: 10 };
      const gateway = await start({ routes: [echo(limits), echo({ handshakes_per_second: slow(2) }, 'other')] });
      expect(await openMany(gateway, 4)).toEqual({ open: 3, '429 rate': 1 });
      expect(await openMany(gateway, 4, { path: '/other' })).toEqual({ open: 2, '429 rate': 2 });
      const now: GatewayFile = {
        admin: { port: 0 },
        listeners: bothListeners(),
        trusted_proxies: ['127.0.0.1'],
        routes: [echo(limits), echo({ handshakes_per_second: slow(5), connections: 3 }, 'other')],
      };
      writeFileSync(gateway.file, JSON.stringify(now));
      gateway.signal('SIGHUP');
      await gateway.log({ event: 'config_reloaded', result: 'success' });
      expect(await openMany(gateway, 2)).toEqual({ '429 rate': 2 });
      // Another rate begins full; two of the three are live since before.
      expect(await openMany(gateway, 3, { path: '/other' })).toEqual({ open: 1, '503 limit': 2 });
    });
  });

  async function startRest(): Promise<{ url: string; bodies: number[]; server: Server }> {
    const bodies: number[] = [];
    const server = createServer((req, res) => {
      let length = 0;
      req.on('data', (chunk: Buffer) => {
        length += chunk.length;
      });
      req.on('end', () => {
        bodies.push(length);
        res.end('ok');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ends.push(() => {
      server.close();
      server.closeAllConnections();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies, server };
  }

  const api = (limits: RequestLimits = {}, rest: Partial<Route> = {}): Route => ({
    name: 'api',
    http: { upstream: 'rest', limits },
    ...rest,
  });

  const get = async (gateway: Gateway, from = '192.0.2.1', fields: Record<string, string> = {}) => {
    const answer = await fetchBy(gateway, protocol, '/x', { headers: { 'X-Forwarded-For': from, ...fields } });
    return `${answer.status} ${answer.headers['x-gateway-reason'] ?? 'ok'}`;
  };
  const getMany = async (gateway: Gateway, count: number, from?: string) =>
    tally(await Promise.all(Array.from({ length: count }, () => get(gateway, from))));

  describe('requests a second', () => {
    it.each<[string, (url: string) => Partial<GatewayFile>]>([
      ['of a route', () => ({ routes: [api({ requests_per_second: slow(5) })] })],
      ['of the gateway', () => ({ limits: { requests_per_second: slow(5) }, routes: [api()] })],
      ['of an address on a route', () => ({ routes: [api({ requests_per_second_per_ip: slow(5) })] })],
      ['of an address', () => ({ limits: { requests_per_second_per_ip: slow(5) }, routes: [api()] })],
    ])('%s: as many as the burst reach the backend', async (_, configOf) => {
      const rest = await startRest();
      const gateway = await start({ upstreams: { rest: { servers: [rest.url] } }, ...configOf(rest.url) });
      expect(await getMany(gateway, 20)).toEqual({ '200 ok': 5, '429 rate': 15 });
      expect(rest.bodies).toHaveLength(5);
      expect(await gateway.metric('http_requests_total', { route: 'api', method: 'GET', code: '429' })).toBe(15);
    });

    it('that are refused leave the connection to its next request', async () => {
      const rest = await startRest();
      const gateway = await start({
        upstreams: { rest: { servers: [rest.url] } },
        routes: [api({ requests_per_second: slow(1) }), { ...api(), name: 'free', match: { path: '/free' } }].reverse(),
      });
      const connection = await connectRaw(targetOf(gateway, protocol));
      ends.push(() => connection.socket.destroy());
      const ask = (path: string) => connection.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      ask('/x');
      await connection.until('ok');
      ask('/x');
      const refused = (await connection.until((bytes) => bytes.includes('"reason":"rate"'))).toString();
      expect(refused).toMatch(/HTTP\/1\.1 429 Too Many Requests\r\n(?:.+\r\n)*Retry-After: \d+\r\n/);
      expect(refused).not.toContain('Connection: close');
      ask('/free');
      await connection.until((bytes) => (bytes.toString().match(/HTTP\/1\.1 200/g) ?? []).length === 2);
    });

    it('do not count handshakes, nor handshakes them', async () => {
      const rest = await startRest();
      const gateway = await start({
        upstreams: { rest: { servers: [rest.url] } },
        limits: { requests_per_second: slow(1), handshakes_per_second: slow(1) },
        routes: [echo(), api()],
      });
      expect([await get(gateway), await get(gateway)]).toEqual(['200 ok', '429 rate']);
      expect([reasonOf(await open(gateway)), reasonOf(await open(gateway))]).toEqual(['open', '429 rate']);
    });
  });

  describe('limits.max_body', () => {
    it('holds where a route does not say its own', async () => {
      const rest = await startRest();
      const own: Route = { name: 'own', match: { path: '/own' }, http: { upstream: 'rest', max_body: '4KiB' } };
      const gateway = await start({
        upstreams: { rest: { servers: [rest.url] } },
        limits: { max_body: '1KiB' },
        routes: [own, api()],
      });
      const post = async (path: string, size: number) =>
        (await fetchBy(gateway, protocol, path, { method: 'POST', body: 'x'.repeat(size) })).status;
      expect([await post('/', 1024), await post('/', 1025)]).toEqual([200, 413]);
      expect([await post('/own', 4096), await post('/own', 4097)]).toEqual([200, 413]);
      expect(rest.bodies).toEqual([1024, 4096]);
    });
  });

  describe('a server’s own rates', () => {
    it('send what it may not have to the others, and 503 where none is left', async () => {
      const [one, other] = [await startRest(), await startRest()];
      const gateway = await start({
        upstreams: {
          rest: {
            servers: [
              { url: one.url, requests_per_second: slow(3) },
              { url: other.url, requests_per_second: slow(6) },
            ],
          },
        },
        routes: [api()],
      });
      expect(await getMany(gateway, 12)).toEqual({ '200 ok': 9, '503 no_server': 3 });
      expect([one.bodies.length, other.bodies.length]).toEqual([3, 6]);
    });
  });

  describe('a client that is known by its claim', () => {
    const key = 'a secret that is long enough for HS256!';
    const tokenOf = (sub: string | undefined) => {
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, exp: Math.floor(Date.now() / 1000) + 600 })}`;
      return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
    };
    const as = (sub: string | undefined, from: string) => ({
      from,
      fields: { Authorization: `Bearer ${tokenOf(sub)}` },
    });
    const auth = { jwt: { key, algorithms: ['HS256' as const] } };

    it('has so many sessions and handshakes, whatever its address', async () => {
      const limits = { claim: 'sub', connections_per_claim: 2, handshakes_per_second_per_claim: slow(4) };
      const gateway = await start({ routes: [echo(limits, 'ws', { auth })] });
      const first = (await open(gateway, as('ada', '192.0.2.1'))) as Client;
      expect(reasonOf(await open(gateway, as('ada', '192.0.2.2')))).toBe('open');
      expect(reasonOf(await open(gateway, as('ada', '192.0.2.3')))).toBe('429 client_limit');
      expect(reasonOf(await open(gateway, as('bob', '192.0.2.3')))).toBe('open');
      await leave(gateway, first);
      const third = (await open(gateway, as('ada', '192.0.2.4'))) as Client;
      await leave(gateway, third);
      await leave(gateway, (await open(gateway, as('ada', '192.0.2.4'))) as Client);
      expect(reasonOf(await open(gateway, as('ada', '192.0.2.5')))).toBe('429 rate');
      expect(reasonOf(await open(gateway, as('bob', '192.0.2.1')))).toBe('open');
      // Without credentials nothing of it is used.
      expect(reasonOf(await open(gateway))).toBe('401 auth');
    });

    it('has so many requests', async () => {
      const rest = await startRest();
      const gateway = await start({
        upstreams: { rest: { servers: [rest.url] } },
        routes: [api({ claim: 'sub', requests_per_second_per_claim: slow(2) }, { auth })],
      });
      const ask = (sub: string, from: string) => get(gateway, from, as(sub, from).fields);
      const asked = [await ask('ada', '192.0.2.1'), await ask('ada', '192.0.2.2'), await ask('ada', '192.0.2.3')];
      expect(asked).toEqual(['200 ok', '200 ok', '429 rate']);
      expect([await ask('bob', '192.0.2.3'), await get(gateway)]).toEqual(['200 ok', '401 auth']);
    });
  });
});
