// The admin API through the built program, held to its own document: every operation and every answer that the document
// names is asked for here, and every answer that comes is one that the document names, with a body of its schema.
import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAdmin } from '../../src/admin/admin.ts';
import { createApi } from '../../src/admin/api.ts';
import { backendOperations } from '../../src/admin/backend-operations.ts';
import { type Changes, changeOperations } from '../../src/admin/change-operations.ts';
import { READ_PATHS } from '../../src/admin/openapi-read.ts';
import { type Broker, BrokerError, type BrokerFault } from '../../src/websocket/broker/broker.ts';
import { type Client, openClient } from '../support/client.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { type ApiDocument, expectPromised, operationsOf, type ApiResponse as Response } from '../support/openapi.ts';

const TOKEN = 'a-token-of-some-length';

interface Asking {
  readonly body?: string | Buffer;
  readonly type?: string;
  /** Unset: the right one; null: none. */
  readonly token?: string | null;
  readonly host?: string;
}

let gateway: Gateway;
let closed: Gateway;
let echo: EchoServer;

beforeAll(async () => {
  echo = await startEcho();
  const local = { mode: 'terminate', origins: 'any' } as const;
  const config: GatewayFile = {
    listeners: [{ host: '127.0.0.1', port: 0 }],
    upstreams: { echo: { servers: [`ws://127.0.0.1:${echo.port}`] } },
    routes: [
      { name: 'echo', match: { path: '/echo' }, websocket: { ...local, handler: 'echo' } },
      { name: 'rooms', match: { path: '/rooms/{room}/{user}' }, websocket: { ...local, handler: 'rooms' } },
      { name: 'splice', match: { path: '/splice' }, websocket: { mode: 'splice', upstream: 'echo', origins: 'any' } },
    ],
  };
  const admin = { port: 0, token: '${API_TOKEN}', hosts: ['Gate.example'] };
  gateway = await startGateway({ ...config, admin }, { API_TOKEN: TOKEN });
  closed = await startGateway(config);
});
afterAll(async () => {
  for (const one of clients) one.socket.terminate();
  await gateway.stop();
  await closed.stop();
  echo.close();
});

const clients: Client[] = [];

/** A client, and its id as the API knows it. */
async function connect(path: string): Promise<Client & { id: string }> {
  const seen = new Set(gateway.logs().map((line) => line['id']));
  const client = await openClient(`ws://127.0.0.1:${gateway.port}${path}`);
  clients.push(client);
  for (;;) {
    const line = gateway
      .logs()
      .find(({ event, id, path: of }) => event === 'session_opened' && of === path && !seen.has(id));
    if (line) return { ...client, id: String(line['id']) };
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function ask(port: number, method: string, path: string, asking: Asking = {}): Promise<Response> {
  const { body, type, token = TOKEN, host } = asking;
  const headers = {
    ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
    ...(type === undefined ? {} : { 'Content-Type': type }),
    ...(host === undefined ? {} : { Host: host }),
  };
  return new Promise((resolve, reject) => {
    const req = request({ port, method, path, headers, agent: false }, async (res) => {
      const chunks: Buffer[] = [];
      for await (const chunk of res) chunks.push(chunk as Buffer);
      resolve({ status: res.statusCode ?? 0, fields: res.headers, body: Buffer.concat(chunks).toString() });
    });
    req.on('error', reject);
    req.end(body);
  });
}

const api = (method: string, path: string, asking?: Asking) => ask(gateway.adminPort, method, path, asking);
const post = (path: string, body: string | Buffer, type = 'text/plain') => api('POST', path, { body, type });
const reasonOf = ({ body }: Response) => (JSON.parse(body) as { reason: string }).reason;

describe('a connection', () => {
  it('is described', async () => {
    const client = await connect('/rooms/red/ann');
    const { status, fields, body } = await api('GET', `/connections/${client.id}`);
    expect([status, fields['content-type'], fields['cache-control']]).toEqual([200, 'application/json', 'no-store']);
    expect(JSON.parse(body)).toEqual({
      id: client.id,
      route: 'rooms',
      mode: 'terminate',
      client: '127.0.0.1',
      user: 'ann',
      room: 'red',
      subprotocol: null,
      opened_at: expect.stringMatching(/^\d{4}-.*Z$/),
      active_at: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    await client.close();
  });

  it.each([
    ['text/plain; charset=utf-8', 'grüß dich', 'grüß dich'],
    ['application/json', '{"a": 1}', '{"a": 1}'],
    ['application/octet-stream', Buffer.from([0, 255]), Buffer.from([0, 255])],
    ['text/plain', '', ''],
  ])('is sent %s', async (type, body, message) => {
    const client = await connect('/echo');
    expect((await post(`/connections/${client.id}`, body, type)).status).toBe(204);
    expect(await client.next()).toEqual(message);
    await client.close();
  });

  it('is sent as much as 1 MiB', async () => {
    const client = await connect('/echo');
    const text = 'x'.repeat(1024 * 1024);
    expect((await post(`/connections/${client.id}`, text)).status).toBe(204);
    expect(await client.next()).toBe(text);
    expect((await post(`/connections/${client.id}`, `${text}y`)).status).toBe(413);
    await client.close();
  });

  it('gets messages in the order in which they were posted', async () => {
    const client = await connect('/echo');
    for (let i = 0; i < 50; i++) expect((await post(`/connections/${client.id}`, `${i}`)).status).toBe(204);
    for (let i = 0; i < 50; i++) expect(await client.next()).toBe(`${i}`);
    await client.close();
  });

  it('is closed, by 1000 or by what is asked for', async () => {
    const first = await connect('/echo');
    expect((await api('DELETE', `/connections/${first.id}`)).status).toBe(204);
    expect(await first.closed).toEqual({ code: 1000, reason: '' });
    const second = await connect('/echo');
    expect((await api('DELETE', `/connections/${second.id}?code=4403&reason=no%20longer`)).status).toBe(204);
    expect(await second.closed).toEqual({ code: 4403, reason: 'no longer' });
    await gateway.log({ event: 'session_closed', id: second.id, close_code: 4403, closed_by: 'gateway' });
  });

  it('that is spliced is described and closed, and sent nothing', async () => {
    const client = await connect('/splice');
    expect(JSON.parse((await api('GET', `/connections/${client.id}`)).body)).toMatchObject({
      route: 'splice',
      mode: 'splice',
      user: null,
      active_at: null,
    });
    const refused = await post(`/connections/${client.id}`, 'x');
    expect([refused.status, reasonOf(refused)]).toEqual([409, 'spliced']);
    expect((await api('DELETE', `/connections/${client.id}?code=1001`)).status).toBe(204);
    expect((await client.closed).code).toBe(1001);
    await gateway.log({ event: 'session_closed', id: client.id });
    expect((await api('GET', `/connections/${client.id}`)).status).toBe(410);
  });

  it('is 410 once it has gone', async () => {
    const client = await connect('/echo');
    await client.close();
    await gateway.log({ event: 'session_closed', id: client.id });
    const path = `/connections/${client.id}`;
    for (const answer of [await api('GET', path), await post(path, 'x'), await api('DELETE', path)])
      expect([answer.status, reasonOf(answer)]).toEqual([410, 'gone']);
  });
});

describe('a room', () => {
  it('hears what is published, as a member would', async () => {
    const [ann, bob] = [await connect('/rooms/blue/ann'), await connect('/rooms/blue/bob')];
    const { status, body } = await post('/rooms/blue/messages', 'from outside');
    expect([status, JSON.parse(body)]).toEqual([
      200,
      { id: expect.stringMatching(/^\d+-\d+$/), at: expect.stringMatching(/Z$/) },
    ]);
    for (const client of [ann, bob]) expect(await client.next()).toContain('from outside');
    await ann.close();
    await bob.close();
  });

  it('is listed with its members', async () => {
    const ann = await connect('/rooms/green/ann');
    const { rooms } = JSON.parse((await api('GET', '/rooms')).body) as { rooms: { room: string; members: number }[] };
    expect(rooms).toContainEqual({ room: 'green', members: 1 });
    expect(JSON.parse((await api('GET', '/rooms/green/members')).body)).toEqual({
      room: 'green',
      members: [{ user: 'ann', connection: ann.id, since: expect.stringMatching(/Z$/) }],
    });
    await ann.close();
  });

  it('without anyone has no members, and is not listed', async () => {
    expect(JSON.parse((await api('GET', '/rooms/nobody/members')).body)).toEqual({ room: 'nobody', members: [] });
    expect((await api('GET', '/rooms')).body).not.toContain('nobody');
  });
});

describe('access that is taken back', () => {
  const take = (revocation: object) =>
    api('POST', '/revocations', { body: JSON.stringify(revocation), type: JSON_TYPE });

  it('closes what it is about with 4403, and nothing else', async () => {
    const [ann, bob] = [await connect('/rooms/revoked/ann'), await connect('/rooms/revoked/bob')];
    expect(JSON.parse((await take({ id: ann.id })).body)).toEqual({ closed: 1 });
    expect(await ann.closed).toMatchObject({ code: 4403, reason: 'revoked' });
    expect((await api('GET', `/connections/${bob.id}`)).status).toBe(200);
    await bob.close();
  });

  it('is by address and route at once, also of a spliced session', async () => {
    const spliced = await connect('/splice');
    expect(JSON.parse((await take({ address: '127.0.0.0/8', route: 'nowhere' })).body)).toEqual({ closed: 0 });
    const route = (JSON.parse((await api('GET', `/connections/${spliced.id}`)).body) as { route: string }).route;
    const { body } = await take({ address: '127.0.0.1', route, for: '1ms' });
    expect((JSON.parse(body) as { closed: number }).closed).toBeGreaterThan(0);
    expect(await spliced.closed).toMatchObject({ code: 4403, reason: 'revoked' });
  });

  it.each([
    ['nothing', '{}', 'one of subject, address, route, id is needed'],
    ['only a time', '{"for":"1m"}', 'one of subject, address, route, id is needed'],
    ['no JSON', 'x', 'the body is no JSON object'],
    ['a list', '[]', 'the body is no JSON object'],
    ['an odd key', '{"user":"x"}', '"user" is none of subject, address, route, id, for'],
    ['a number', '{"subject":1}', 'subject is a text of 1 to 1024 characters'],
    ['no address', '{"address":"here"}', 'address is an IP address or a CIDR range'],
    ['no duration', '{"subject":"x","for":"soon"}', 'for is a duration, such as 10m'],
    ['a list for one', '{"subject":"x","for":["1m"]}', 'for is a duration, such as 10m'],
    ['what has no text', '{"subject":"x","for":{"toString":1,"valueOf":1}}', 'for is a duration, such as 10m'],
  ])('is refused where it names %s', async (_, body, detail) => {
    const answer = await api('POST', '/revocations', { body, type: JSON_TYPE });
    expect([answer.status, JSON.parse(answer.body)]).toEqual([400, expect.objectContaining({ detail })]);
  });
});

describe('who may ask', () => {
  it.each([
    ['none', null],
    ['another', 'a-token-of-some-other-length'],
    ['a part of it', TOKEN.slice(0, -1)],
    ['more than it', `${TOKEN}x`],
    ['an empty one', ''],
  ])('with %s is 401', async (_, token) => {
    for (const [method, path] of [
      ['GET', '/rooms'],
      ['DELETE', '/connections/x'],
      ['POST', '/rooms/x/messages'],
      ['PATCH', '/rooms'],
    ] as const) {
      const answer = await api(method, path, { token });
      expect([answer.status, reasonOf(answer)]).toEqual([401, 'unauthorized']);
      expect(answer.fields['www-authenticate']).toMatch(/^Bearer/);
    }
  });

  it('nobody where the config has no token, and it says so', async () => {
    const answer = await ask(closed.adminPort, 'GET', '/rooms');
    expect([answer.status, reasonOf(answer)]).toEqual([403, 'api_off']);
    expect(answer.body).toContain('admin.token');
  });

  it.each(['127.0.0.1', '[::1]:9901', 'localhost:1', 'gate.example:80', 'GATE.EXAMPLE'])('as %s', async (host) => {
    expect((await api('GET', '/rooms', { host })).status).toBe(200);
  });

  it.each([
    'evil.example',
    'evil.example:9901',
    'localhost.evil.example',
    'x.localhost',
    '1.2.3.4.evil.example',
    'a b',
  ])('not as %s, for a page of the web could be behind it', async (host) => {
    for (const path of ['/rooms', '/', '/explain', '/openapi.json', '/nothing']) {
      const answer = await api('GET', path, { host });
      expect([answer.status, reasonOf(answer)]).toEqual([403, 'host']);
    }
    for (const path of ['/metrics', '/healthz', '/readyz']) expect((await api('GET', path, { host })).status).toBe(200);
  });

  it('no page of another origin: there is no CORS', async () => {
    const preflight = await api('OPTIONS', '/rooms', { token: null });
    expect(preflight.status).not.toBe(200);
    const { fields } = await api('GET', '/rooms');
    expect(Object.keys(fields).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

describe('what is asked wrongly', () => {
  it.each([
    ['code=999', 'code is one of'],
    ['code=1005', 'code is one of'],
    ['code=1006', 'code is one of'],
    ['code=5000', 'code is one of'],
    ['code=1e3', 'code is one of'],
    ['code=', 'code is one of'],
    [`reason=${'%C3%A4'.repeat(62)}`, 'more than 123 bytes'],
  ])('DELETE with %s is 400', async (query, detail) => {
    const answer = await api('DELETE', `/connections/x?${query}`);
    expect([answer.status, reasonOf(answer)]).toEqual([400, 'malformed']);
    expect(answer.body).toContain(detail);
  });

  it.each([
    ['/connections/%zz', 'GET'],
    ['/connections/%ff', 'DELETE'],
    [`/rooms/${'x'.repeat(257)}/members`, 'GET'],
    ['/rooms/a%00b/members', 'GET'],
  ])('%s is 400', async (path, method) => {
    expect((await api(method, path)).status).toBe(400);
  });

  it.each(['/connections/', '/connections/a/b', '/rooms/', '/rooms//members', '/Rooms'])('%s is 404', async (path) => {
    expect((await api('GET', path)).status).toBe(404);
  });

  it('a body that breaks off takes nothing down', async () => {
    const req = request({
      port: gateway.adminPort,
      method: 'POST',
      path: '/rooms/x/messages',
      headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'text/plain', 'Content-Length': 100 },
    });
    req.on('error', () => {});
    req.write('half');
    await once(req, 'socket');
    req.destroy();
    expect((await api('GET', '/rooms')).status).toBe(200);
  });
});

it('counts and logs what it was asked', async () => {
  const client = await connect('/echo');
  await post(`/connections/${client.id}`, 'x');
  await gateway.log({ event: 'api_called', operation: 'POST /connections/{id}', target: client.id, status: 204 });
  const labels = { operation: 'POST /connections/{id}', code: '204' };
  expect(await gateway.metric('api_requests_total', labels)).toBeGreaterThan(0);
  await client.close();
});

const JSON_TYPE = 'application/json';
const OPERATIONS = backendOperations(() => {
  throw new Error('only their names are asked for');
});

describe('the document', () => {
  const document = async () => JSON.parse((await api('GET', '/openapi.json', { token: null })).body) as ApiDocument;

  /** An API whose broker has gone. */
  async function withoutBroker(fault: BrokerFault) {
    const fails = async () => {
      throw new BrokerError(fault, 'the broker is away');
    };
    const broker = {
      describe: fails,
      sendTo: fails,
      disconnect: fails,
      rooms: fails,
      members: fails,
      publish: fails,
      revoke: fails,
    };
    const admin = createAdmin({
      render: async () => ({ contentType: '', body: '' }),
      ready: () => true,
      degraded: () => null,
      api: createApi({
        token: () => TOKEN,
        operations: backendOperations(() => broker as unknown as Broker),
        emit: () => {},
      }),
      pages: new Map(),
      token: () => undefined,
      hosts: () => [],
    });
    const { port } = await admin.listen('127.0.0.1', 0);
    return { port, close: () => admin.close() };
  }

  /** Asks for every answer there is, by its key. */
  async function askForAll(): Promise<Map<string, Response>> {
    const [away, unsure] = [await withoutBroker('unavailable'), await withoutBroker('unconfirmed')];
    const live = await connect('/rooms/document/ann');
    const spliced = await connect('/splice');
    const answers = new Map<string, Response>();
    const keep = (operation: string, answer: Response) => answers.set(`${operation} ${answer.status}`, answer);
    const filled = (path: string, id = live.id) => path.replace('{id}', id).replace('{room}', 'document');
    for (const { method, path } of OPERATIONS) {
      const name = `${method} ${path}`;
      const posted =
        path === '/revocations' ? { body: '{"subject":"x"}', type: JSON_TYPE } : { body: 'x', type: 'text/plain' };
      const valid: Asking = method === 'POST' ? posted : {};
      keep(name, await api(method, filled(path), { ...valid, token: null }));
      keep(name, await ask(closed.adminPort, method, filled(path), valid));
      keep(name, await api('PUT', filled(path), valid));
      keep(name, await ask(away.port, method, filled(path), valid));
      keep(name, await ask(unsure.port, method, filled(path), valid));
      if (path.includes('{')) keep(name, await api(method, path.replace(/\{\w+\}/, '%ff'), valid));
      if (path.includes('{id}')) keep(name, await api(method, filled(path, 'nobody'), valid));
      if (path === '/connections/{id}' && method === 'POST')
        keep(name, await api(method, filled(path, spliced.id), valid));
      if (method === 'POST') {
        keep(name, await api(method, filled(path), { ...posted, body: Buffer.alloc(1024 * 1024 + 1) }));
        keep(name, await api(method, filled(path), { body: 'x', type: 'text/html' }));
      }
      if (path === '/revocations') keep(name, await api(method, path, { ...posted, body: '{}' }));
      if (method !== 'DELETE') keep(name, await api(method, filled(path), valid));
    }
    keep('DELETE /connections/{id}', await api('DELETE', filled('/connections/{id}')));
    for (const path of ['/explain', '/routes']) {
      keep(`GET ${path}`, await api('GET', `${path}?url=ws://x/echo`, { token: null }));
      keep(`GET ${path}`, await api('GET', path, { token: null, host: 'evil.example' }));
    }
    keep('GET /explain', await api('GET', '/explain', { token: null }));
    await away.close();
    await unsure.close();
    return answers;
  }

  it('is OpenAPI 3.1', async () => {
    expect(await document()).toMatchObject({ openapi: '3.1.0', info: { title: 'Upgate admin API' } });
  });

  it('names the operations that there are', async () => {
    const { paths } = await document();
    const all = [...OPERATIONS, ...changeOperations({} as Changes)].map(({ method, path }) => `${method} ${path}`);
    expect(operationsOf(paths).sort()).toEqual(
      [...all, 'GET /explain', 'GET /routes', ...Object.keys(READ_PATHS).map((path) => `GET ${path}`)].sort(),
    );
  });

  it('promises what is answered, and nothing else, in bodies of the schemas it gives', async () => {
    const described = await document();
    const paths = [...OPERATIONS.map(({ path }) => path), '/explain', '/routes'];
    expectPromised(described, paths, await askForAll());
  });
});
