// The handler `webhook` through the built program: a backend that speaks only HTTP serves WebSockets.
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openClient, openRefused } from '../support/client.ts';
import { buildFrame, MASK, OPCODE } from '../support/frames.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { connectRaw, handshake } from '../support/raw.ts';
import { closedPort } from '../support/scripted.ts';
import { type Answering, startWebhook, type WebhookServer } from '../support/webhook.ts';

const KEY = 'the first key';
const NEXT_KEY = 'the next key';

let backend: WebhookServer;
let gateway: Gateway;

type Options = NonNullable<
  Extract<NonNullable<GatewayFile['routes'][number]['websocket']>, { mode: 'terminate' }>['webhook']
>;

const route = (name: string, options: Partial<Options> = {}) =>
  ({
    name,
    match: { path: `/${name}/*` },
    websocket: {
      mode: 'terminate',
      handler: 'webhook',
      origins: 'any',
      webhook: { upstream: 'rest', path: '/events?from=gateway', ...options },
    },
  }) as const;

beforeAll(async () => {
  backend = await startWebhook();
  const keyFile = join(tmpdir(), `upgate-webhook-key-${process.pid}`);
  writeFileSync(keyFile, `${KEY},${NEXT_KEY}\n`);
  gateway = await startGateway(
    {
      listeners: [{ host: '127.0.0.1', port: 0 }],
      upstreams: {
        rest: { servers: [`http://127.0.0.1:${backend.port}`] },
        half: { servers: [`http://127.0.0.1:${await closedPort()}`, `http://127.0.0.1:${backend.port}`] },
        dead: { servers: [`http://127.0.0.1:${await closedPort()}`] },
      },
      routes: [
        {
          ...route('hook'),
          match: { path: '/hook/{room}' },
          websocket: {
            ...route('hook', { key: '${WEBHOOK_KEY}', hub: 'chat' }).websocket,
            subprotocols: ['v2', 'v1'],
            subprotocol_required: false,
          },
        },
        route('filed', { key_file: keyFile }),
        route('half', { upstream: 'half' }),
        route('dead', { upstream: 'dead', retries: 1 }),
        route('slow', { timeout: '200ms', retries: 0 }),
        route('narrow', { concurrency: 1, queue: 2 }),
        route('quiet', { events: ['message'] }),
      ],
    },
    { WEBHOOK_KEY: KEY },
  );
});
afterAll(async () => {
  await gateway.stop();
  backend.close();
});

let url: (path: string) => string;
beforeEach(() => {
  url = (path) => `ws://127.0.0.1:${gateway.port}${path}`;
});
afterEach(() => backend.answer(() => undefined));

/** Events of the connections that come from now on. */
function since() {
  const before = new Set(backend.events.map(({ fields }) => fields['ce-connectionid']));
  const events = () => backend.events.filter(({ fields }) => !before.has(fields['ce-connectionid']));
  return {
    events,
    names: () => events().map(({ name }) => name),
    event: (name: string, index = 0) =>
      backend.event(name, (event) => !before.has(event.fields['ce-connectionid']), index),
  };
}

const echoing: Answering = ({ name, fields, body }) =>
  name === 'message' ? { body, fields: { 'Content-Type': fields['content-type'] ?? '' } } : undefined;

describe('a connection is told to the backend', () => {
  it('as connect, connected, message and disconnected, in order, with the attributes of CloudEvents', async () => {
    const sent = since();
    backend.answer(echoing);
    const client = await openClient(url('/hook/red?a=1&a=2&b=%C3%A4'), {
      protocols: ['v1', 'v2'],
      headers: { Cookie: 'sid=1', 'X-Real-IP': '203.0.113.1' },
      origin: 'https://app.example.com',
    });
    client.socket.send('grüß dich');
    expect(await client.next()).toBe('grüß dich');
    client.socket.send(Buffer.from([0, 255, 1]));
    expect(await client.next()).toEqual(Buffer.from([0, 255, 1]));
    await client.close(1000, 'bye');
    const last = await sent.event('disconnected');
    expect(sent.names()).toEqual(['connect', 'connected', 'message', 'message', 'disconnected']);

    const [connect, connected, text, binary] = sent.events();
    const id = String(connect!.fields['ce-connectionid']);
    for (const event of sent.events()) {
      expect(event).toMatchObject({ method: 'POST', target: '/events?from=gateway' });
      expect(event.fields).toMatchObject({
        host: `127.0.0.1:${backend.port}`,
        'ce-specversion': '1.0',
        'ce-source': `/hubs/chat/client/${id}`,
        'ce-connectionid': id,
        'ce-hub': 'chat',
        'ce-eventname': event.name,
        'ce-signature': `sha256=${createHmac('sha256', KEY).update(id).digest('hex')}`,
        'webhook-request-origin': `127.0.0.1:${gateway.port}`,
        'idempotency-key': event.fields['ce-id'],
        'x-request-id': id,
      });
      expect(new Date(String(event.fields['ce-time'])).getTime()).toBeCloseTo(Date.now(), -5);
      expect(event.fields['ce-userid']).toBeUndefined();
    }
    expect(new Set(sent.events().map(({ fields }) => fields['ce-id'])).size).toBe(5);
    expect(sent.events().map(({ fields }) => fields['ce-type'])).toEqual([
      'azure.webpubsub.sys.connect',
      'azure.webpubsub.sys.connected',
      'azure.webpubsub.user.message',
      'azure.webpubsub.user.message',
      'azure.webpubsub.sys.disconnected',
    ]);
    expect(JSON.parse(String(connect!.body))).toMatchObject({
      claims: {},
      query: { a: ['1', '2'], b: ['ä'] },
      headers: {
        cookie: ['sid=1'],
        origin: ['https://app.example.com'],
        'x-forwarded-for': ['127.0.0.1'],
        'x-request-id': [id],
      },
      subprotocols: ['v1', 'v2'],
      path: '/hook/red',
      params: { room: 'red' },
    });
    const told = JSON.parse(String(connect!.body)).headers;
    expect(Object.keys(told)).not.toEqual(expect.arrayContaining(['x-real-ip']));
    expect(Object.keys(told).filter((name) => name.startsWith('sec-websocket'))).toEqual([]);
    expect(connected!.fields['ce-subprotocol']).toBe('v2');
    expect(String(connected!.body)).toBe('{}');
    expect([text!.fields['content-type'], String(text!.body)]).toEqual(['text/plain; charset=utf-8', 'grüß dich']);
    expect([binary!.fields['content-type'], binary!.body]).toEqual([
      'application/octet-stream',
      Buffer.from([0, 255, 1]),
    ]);
    expect(JSON.parse(String(last.body))).toEqual({ reason: 'closed', code: 1000, initiator: 'client' });
    expect(client.response.headers['sec-websocket-protocol']).toBe('v2');
  });

  it('signs with every key of a file, for their rotation', async () => {
    const sent = since();
    const client = await openClient(url('/filed/x'));
    await client.close();
    const { fields } = await sent.event('connect');
    const signed = (key: string) =>
      `sha256=${createHmac('sha256', key).update(String(fields['ce-connectionid'])).digest('hex')}`;
    expect(fields['ce-signature']).toBe(`${signed(KEY)},${signed(NEXT_KEY)}`);
  });

  it('only of what the route wants it to be told', async () => {
    const sent = since();
    backend.answer(echoing);
    const client = await openClient(url('/quiet/x'));
    client.socket.send('x');
    expect(await client.next()).toBe('x');
    await client.close();
    await gateway.log({ event: 'session_closed', route: 'quiet' });
    expect(sent.names()).toEqual(['message']);
    expect(sent.events()[0]!.fields['ce-signature']).toBeUndefined();
  });
});

describe('connect', () => {
  it.each([401, 403, 404, 429])('%i reaches the client before the 101, whole', async (status) => {
    const sent = since();
    backend.answer(() => ({
      status,
      body: 'not you',
      fields: { 'Content-Type': 'text/plain', 'WWW-Authenticate': 'Bearer', 'ce-connectionState': 'secret' },
    }));
    const refusal = await openRefused(url('/hook/red'));
    expect([refusal.status, refusal.body]).toEqual([status, 'not you']);
    expect(refusal.fields).toMatchObject({ 'www-authenticate': 'Bearer', 'content-type': 'text/plain' });
    expect(refusal.fields['ce-connectionstate']).toBeUndefined();
    expect(refusal.fields['x-gateway-reason']).toBeUndefined();
    await gateway.log({ event: 'handshake_passed', route: 'hook', status, mode: 'terminate' });
    expect(sent.names()).toEqual(['connect']);
  });

  it('chooses subprotocol, user and state, which later events carry', async () => {
    const sent = since();
    backend.answer(({ name }) =>
      name === 'connect'
        ? {
            body: JSON.stringify({ userId: 'Zoë "100%"', subprotocol: 'v1', groups: [], roles: [] }),
            fields: { 'Content-Type': 'application/json', 'ce-connectionState': 'eyJrIjoxfQ==' },
          }
        : name === 'message'
          ? { status: 204, fields: { 'ce-connectionState': 'eyJrIjoyfQ==' } }
          : undefined,
    );
    const client = await openClient(url('/hook/red'), { protocols: ['v1', 'v2'] });
    expect(client.response.headers['sec-websocket-protocol']).toBe('v1');
    client.socket.send('one');
    client.socket.send('two');
    await sent.event('message', 1);
    await client.close();
    await sent.event('disconnected');
    const [connect, ...later] = sent.events();
    expect(connect!.fields['ce-userid']).toBeUndefined();
    for (const { fields } of later) {
      expect(fields).toMatchObject({ 'ce-userid': 'Zo%C3%AB%20%22100%25%22', 'ce-subprotocol': 'v1' });
    }
    expect(later.map(({ fields }) => fields['ce-connectionstate'])).toEqual([
      'eyJrIjoxfQ==',
      'eyJrIjoxfQ==',
      'eyJrIjoyfQ==',
      'eyJrIjoyfQ==',
    ]);
  });

  it('may choose no subprotocol', async () => {
    backend.answer(({ name }) => (name === 'connect' ? { body: '{"subprotocol":""}' } : undefined));
    const raw = await connectRaw(gateway.port);
    raw.write(handshake({ 'Sec-WebSocket-Protocol': 'v1' }, 'GET /hook/red HTTP/1.1'));
    expect(String(await raw.until('\r\n\r\n'))).not.toMatch(/sec-websocket-protocol/i);
    raw.socket.destroy();
  });

  it.each([
    ['a subprotocol that was not offered', { body: '{"subprotocol":"v9"}' }],
    ['no JSON', { body: 'welcome' }],
    ['JSON that is no object', { body: '[]' }],
    ['a user that is no text', { body: '{"userId":7}' }],
    ['two states', { status: 204, fields: { 'ce-connectionState': ['a', 'b'] } }],
    ['a redirection', { status: 302, fields: { Location: '/elsewhere' } }],
    ['a defect', { status: 500 }],
  ])('%s is 502', async (_, answer) => {
    backend.answer(({ name }) => (name === 'connect' ? answer : undefined));
    const refusal = await openRefused(url('/hook/red'), { protocols: ['v1'] });
    expect([refusal.status, refusal.fields['x-gateway-reason']]).toEqual([502, 'bad_accept']);
  });

  it('is tried again with the same id where the backend says "not now"', async () => {
    const sent = since();
    let asked = 0;
    backend.answer(({ name }) => (name === 'connect' && ++asked < 3 ? { status: 503 } : undefined));
    const client = await openClient(url('/hook/red'));
    await client.close();
    const connects = sent.events().filter(({ name }) => name === 'connect');
    expect(connects).toHaveLength(3);
    expect(new Set(connects.map(({ fields }) => fields['ce-id'])).size).toBe(1);
  });

  it('asks the next server where one is down', async () => {
    for (let i = 0; i < 2; i++) await (await openClient(url('/half/x'))).close();
  });

  it('is 502 where none can be reached, and 504 where none answers in time', async () => {
    const dead = await openRefused(url('/dead/x'));
    expect([dead.status, dead.fields['x-gateway-reason']]).toEqual([502, 'backend_refused']);
    backend.answer(() => null);
    const slow = await openRefused(url('/slow/x'));
    expect([slow.status, slow.fields['x-gateway-reason']]).toEqual([504, 'backend_timeout']);
  });

  it('that is said yes to after the client has left is followed by disconnected', async () => {
    const sent = since();
    let say = () => {};
    backend.answer(({ name }) =>
      name === 'connect'
        ? new Promise((resolve) => {
            say = () => resolve({ status: 204 });
          })
        : undefined,
    );
    const another = await connectRaw(gateway.port);
    const answers = async (count: number) => {
      another.write('GET /nowhere HTTP/1.1\r\nHost: gateway.test\r\n\r\n');
      await another.until((received) => received.toString('latin1').split('HTTP/1.1 404').length > count);
    };
    await answers(1);
    const raw = await connectRaw(gateway.port);
    raw.write(handshake({}, 'GET /hook/red HTTP/1.1'));
    const { fields } = await sent.event('connect');
    raw.reset();
    await raw.closed();
    // Node tells the gateway of the reset before or with a request on a connection that node reads already. On a new one
    // it may come later: the relay's threads accept that one.
    await answers(2);
    say();
    await gateway.log({ event: 'handshake_failed', id: fields['x-request-id'], reason: 'client_gone' });
    const { body } = await sent.event('disconnected');
    expect(JSON.parse(String(body))).toEqual({ reason: 'client_gone', code: null, initiator: 'client' });
    expect(sent.names()).toEqual(['connect', 'disconnected']);
    another.end();
  });

  it('is not tried again for a client that has left', async () => {
    const sent = since();
    let say = () => {};
    backend.answer(
      () =>
        new Promise((resolve) => {
          say = () => resolve({ status: 503, fields: { 'Retry-After': '5' } });
        }),
    );
    const raw = await connectRaw(gateway.port);
    raw.write(handshake({}, 'GET /hook/red HTTP/1.1'));
    const { fields } = await sent.event('connect');
    say();
    await gateway.log({ event: 'upstream_failed', id: fields['x-request-id'] });
    raw.reset();
    await gateway.log({ event: 'handshake_failed', id: fields['x-request-id'], reason: 'client_gone' });
    expect(sent.names()).toEqual(['connect']);
  });
});

describe('a message', () => {
  it.each([
    ['text/plain', 'grüß dich', 'grüß dich'],
    ['Text/Plain; charset=utf-8', 'hi', 'hi'],
    ['application/json', '{"a":1}', '{"a":1}'],
    ['application/octet-stream', Buffer.from([1, 2]), Buffer.from([1, 2])],
  ])('is answered by %s', async (type, body, message) => {
    backend.answer(({ name }) => (name === 'message' ? { body, fields: { 'Content-Type': type } } : undefined));
    const client = await openClient(url('/hook/red'));
    client.socket.send('x');
    expect(await client.next()).toEqual(message);
    await client.close();
  });

  it('is answered by nothing where the backend says nothing', async () => {
    let count = 0;
    backend.answer(({ name }) => {
      if (name !== 'message') return undefined;
      count++;
      if (count === 1) return { status: 204 };
      if (count === 2) return { status: 200, fields: { 'Content-Type': 'text/plain' } };
      return { body: 'third', fields: { 'Content-Type': 'text/plain' } };
    });
    const client = await openClient(url('/hook/red'));
    for (const text of ['1', '2', '3']) client.socket.send(text);
    expect(await client.next()).toBe('third');
    expect(client.messages).toHaveLength(1);
    await client.close();
  });

  it.each([
    [401, 4401],
    [403, 4403],
    [400, 1008],
    [500, 1011],
  ])('that is answered with %i closes with %i, and is the last one', async (status, code) => {
    const sent = since();
    backend.answer(({ name }) => (name === 'message' ? { status } : undefined));
    const client = await openClient(url('/hook/red'));
    client.socket.send('one');
    client.socket.send('two');
    expect(await client.closed).toEqual({ code, reason: `the backend answered ${status}` });
    await sent.event('disconnected');
    expect(sent.names()).toEqual(['connect', 'connected', 'message', 'disconnected']);
  });

  it.each([
    ['of a type that makes no message', { body: '<p>', fields: { 'Content-Type': 'text/html' } }],
    ['of no type', { body: 'x' }],
    ['of text that is no UTF-8', { body: Buffer.from([0xff]), fields: { 'Content-Type': 'text/plain' } }],
    ['larger than a message may be', { body: 'x'.repeat(1024 * 1024 + 1), fields: { 'Content-Type': 'text/plain' } }],
  ])('with an answer %s closes with 1011', async (_, answer) => {
    backend.answer(({ name }) => (name === 'message' ? answer : undefined));
    const client = await openClient(url('/hook/red'));
    client.socket.send('x');
    expect((await client.closed).code).toBe(1011);
  });

  it('is sent again with the same id where the connection breaks, and then those behind it', async () => {
    const sent = since();
    let broken = 0;
    backend.answer(({ name, body }, res) => {
      if (name !== 'message') return undefined;
      if (String(body) === 'one' && ++broken < 3) {
        res.destroy();
        return null;
      }
      return { body, fields: { 'Content-Type': 'text/plain' } };
    });
    const client = await openClient(url('/hook/red'));
    client.socket.send('one');
    client.socket.send('two');
    expect([await client.next(), await client.next()]).toEqual(['one', 'two']);
    await client.close();
    const messages = sent.events().filter(({ name }) => name === 'message');
    expect(messages.map(({ body }) => String(body))).toEqual(['one', 'one', 'one', 'two']);
    expect(new Set(messages.slice(0, 3).map(({ fields }) => fields['ce-id'])).size).toBe(1);
  });

  it('of 300 keeps its place among them', async () => {
    backend.answer(async (event, res) => {
      if (event.name === 'message' && event.body.length % 3 === 0) await new Promise((next) => setImmediate(next));
      return echoing(event, res);
    });
    const client = await openClient(url('/hook/red'));
    const texts = Array.from({ length: 300 }, (_, i) => `${i}${'x'.repeat(i % 7)}`);
    for (const text of texts) client.socket.send(text);
    for (const text of texts) expect(await client.next()).toBe(text);
    await client.close();
  });
});

describe('a slow backend', () => {
  it('is asked one thing at a time where the route says so, and clients are not read from meanwhile', async () => {
    const sent = since();
    const held: (() => void)[] = [];
    let live = 0;
    let most = 0;
    backend.answer(async (event, res) => {
      most = Math.max(most, ++live);
      if (event.name === 'message') await new Promise<void>((resolve) => held.push(resolve));
      live--;
      return echoing(event, res);
    });
    const raw = await connectRaw(gateway.port);
    raw.write(handshake({}, 'GET /narrow/a HTTP/1.1'));
    await raw.until('\r\n\r\n');
    const frame = buildFrame({ opcode: OPCODE.text, payload: 'x'.repeat(60_000), mask: MASK });
    // Far more than sockets and gateway hold, so that a client that is not read from notices.
    let written = 0;
    let stalled = false;
    while (written < 64 * 1024 * 1024 && !stalled) {
      written += frame.length;
      if (raw.socket.write(frame)) continue;
      stalled = !(await Promise.race([
        new Promise<boolean>((resolve) => raw.socket.once('drain', () => resolve(true))),
        new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 1000)),
      ]));
    }
    expect(stalled).toBe(true);
    expect(await gateway.metric('webhook_events_pending', { route: 'narrow' })).toBe(1);
    expect(sent.names().filter((name) => name === 'message')).toHaveLength(1);
    // The others do not wait for it with their other routes.
    const other = await openClient(url('/quiet/b'));
    await other.close();
    for (let i = 0; i < 20; i++) {
      await sent.event('message', i);
      held.shift()!();
    }
    expect(most).toBe(1);
    raw.socket.destroy();
    backend.answer(() => undefined);
    for (const resolve of held) resolve();
  });
});

describe('the end of the gateway', () => {
  it('waits until backends know of the connections that it ended', async () => {
    const own = await startWebhook();
    const one = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      upstreams: { rest: { servers: [`http://127.0.0.1:${own.port}`] } },
      routes: [route('hook')],
      drain: { grace: '5s', spread: '0s' },
    });
    const client = await openClient(`ws://127.0.0.1:${one.port}/hook/x`);
    expect(await one.stop()).toBe(0);
    expect((await client.closed).code).toBe(1001);
    expect(own.names()).toEqual(['connect', 'connected', 'disconnected']);
    expect(JSON.parse(String(own.events.at(-1)!.body))).toMatchObject({ code: 1001, initiator: 'gateway' });
    own.close();
  });
});

it('counts events by outcome', async () => {
  const before = (await gateway.metric('webhook_events_total', { route: 'hook', event: 'message', result: 'ok' })) ?? 0;
  backend.answer(echoing);
  const client = await openClient(url('/hook/red'));
  client.socket.send('x');
  await client.next();
  await client.close();
  expect(await gateway.metric('webhook_events_total', { route: 'hook', event: 'message', result: 'ok' })).toBe(
    before + 1,
  );
});
