// What an operator changes while the built gateway runs: servers taken out, sessions closed at a pace, the level of the log,
// reloads that report, and a drain, through the admin API; and every answer of it held to the API's document.
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Changes, changeOperations } from '../../src/admin/change-operations.ts';
import { type Client, openClient } from '../support/client.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { type ApiDocument, type ApiResponse, expectPromised } from '../support/openapi.ts';

const TOKEN = 'a-token-of-some-length';
const ALL = changeOperations({} as Changes).map(({ method, path }) => ({ method, path, name: `${method} ${path}` }));

let gateway: Gateway;
let echoes: EchoServer[];
let clients: Client[];
const urlOf = (at: number) => `ws://127.0.0.1:${echoes[at]!.port}`;
const serverPath = (url: string, upstream = 'echo') => `/upstreams/${upstream}/servers/${encodeURIComponent(url)}`;

const configWith = (change: Partial<GatewayFile> = {}): GatewayFile => ({
  listeners: [{ host: '127.0.0.1', port: 0 }],
  admin: { port: 0, token: TOKEN },
  upstreams: { echo: { servers: [urlOf(0), urlOf(1)], close_rate: 5 } },
  routes: [
    { name: 'splice', match: { path: '/ws' }, websocket: { mode: 'splice', upstream: 'echo', origins: 'any' } },
    { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
  ],
  ...change,
});

beforeEach(async () => {
  echoes = [await startEcho(), await startEcho()];
  clients = [];
  gateway = await startGateway(configWith());
});
afterEach(async () => {
  for (const { socket } of clients) socket.terminate();
  await gateway.stop();
  for (const echo of echoes) echo.close();
});

async function open(path: string): Promise<Client> {
  const client = await openClient(`ws://127.0.0.1:${gateway.port}${path}`);
  clients.push(client);
  return client;
}

const openMany = (path: string, count: number) => Promise.all(Array.from({ length: count }, () => open(path)));

interface Asking {
  readonly token?: string | null;
  readonly body?: unknown;
  readonly type?: string;
}

function api(method: string, path: string, { token = TOKEN, body, type = 'application/json' }: Asking = {}) {
  return new Promise<ApiResponse>((resolve, reject) => {
    const headers = {
      ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'Content-Type': type }),
    };
    const req = request({ port: gateway.adminPort, method, path, headers, agent: false }, async (res) => {
      const chunks: Buffer[] = [];
      for await (const chunk of res) chunks.push(chunk as Buffer);
      resolve({ status: res.statusCode ?? 0, fields: res.headers, body: Buffer.concat(chunks).toString() });
    });
    req.on('error', reject);
    req.end(body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
  });
}

const ask = async (method: string, path: string, body?: unknown) => {
  const answer = await api(method, path, body === undefined ? {} : { body });
  const members = JSON.parse(answer.body) as Readonly<Record<string, unknown>>;
  const whole: Readonly<Record<string, unknown>> = { ...members, status: answer.status };
  return whole;
};

const rewrite = (config: GatewayFile) => writeFileSync(gateway.file, JSON.stringify({ admin: { port: 0 }, ...config }));
const liveOn = (at: number) => gateway.metric('upstream_connections', { upstream: 'echo', server: urlOf(at) });

describe('PUT /upstreams/{upstream}/servers/{server}', () => {
  it('drain: nothing new, live ones closed with 1012 at close_rate, kept over a reload, undone by up', async () => {
    const live = await openMany('/ws', 8);
    expect([await liveOn(0), await liveOn(1)]).toEqual([4, 4]);
    const startedAt = performance.now();
    expect(await ask('PUT', serverPath(urlOf(0)), { state: 'drain' })).toEqual({
      ...{ status: 200, upstream: 'echo', server: urlOf(0), state: 'drain', closing: 4, until: 'restart' },
    });
    await gateway.log({ msg: 'a server was set by hand, until the next restart', state: 'drain' });
    const closed: { code: number; reason: string }[] = [];
    for (const client of live) void client.closed.then((end) => closed.push(end));
    await expect.poll(() => closed.length, { timeout: 20_000 }).toBe(4);
    // Four at five a second, the first two at once.
    expect(performance.now() - startedAt).toBeGreaterThan(300);
    expect(closed).toEqual(Array(4).fill({ code: 1012, reason: 'server_drain' }));
    // Also where the config is read anew, and the pool is another one.
    rewrite(configWith({ upstreams: { echo: { servers: [urlOf(0), urlOf(1)], close_rate: 6 } } }));
    expect((await ask('POST', '/reload'))['status']).toBe(200);
    await openMany('/ws', 4);
    expect([await liveOn(0), await liveOn(1)]).toEqual([0, 8]);
    expect(await ask('PUT', serverPath(urlOf(0)), { state: 'up' })).toMatchObject({ status: 200, closing: 0 });
    await openMany('/ws', 4);
    expect(await liveOn(0)).toBeGreaterThan(0);
  });

  it('down: live ones are closed at once', async () => {
    const live = await openMany('/ws', 40);
    expect(await ask('PUT', serverPath(urlOf(1)), { state: 'down' })).toMatchObject({ status: 200, closing: 20 });
    // At close_rate it would take four seconds.
    const codes: number[] = [];
    for (const { closed } of live) void closed.then(({ code }) => codes.push(code));
    await expect.poll(() => codes.length, { timeout: 2000 }).toBe(20);
    expect(new Set(codes)).toEqual(new Set([1012]));
    expect(await liveOn(0)).toBe(20);
  });

  it('names what there is where there is no such upstream or server', async () => {
    expect(await ask('PUT', serverPath('ws://nobody:1'), { state: 'up' })).toMatchObject({
      ...{ status: 404, reason: 'no_server', detail: expect.stringContaining(urlOf(0)) },
    });
    expect(await ask('PUT', serverPath(urlOf(0), 'chat'), { state: 'up' })).toMatchObject({
      ...{ status: 404, reason: 'no_upstream', detail: expect.stringContaining('echo') },
    });
  });

  it.each([{ state: 'maint' }, {}, { state: 'up', weight: 1 }, [], 'no JSON'])('refuses %j', async (body) => {
    expect(await ask('PUT', serverPath(urlOf(0)), body)).toMatchObject({ status: 400, reason: 'malformed' });
  });
});

describe('POST /connections/close', () => {
  it('closes those that fit, at the pace, and no others', async () => {
    const spliced = await openMany('/ws', 3);
    const terminated = await openMany('/echo', 3);
    const order = { route: 'echo', address: '127.0.0.0/8', code: 4000, reason: 'bye', rate: 4 };
    const startedAt = performance.now();
    expect(await ask('POST', '/connections/close', order)).toEqual({ status: 202, closing: 3, rate: 4, code: 4000 });
    const ends = await Promise.all(terminated.map(({ closed }) => closed));
    expect(ends).toEqual(Array(3).fill({ code: 4000, reason: 'bye' }));
    // The second a quarter of a second behind the first, and the third behind it.
    expect(performance.now() - startedAt).toBeGreaterThan(400);
    await gateway.log({
      event: 'session_closed',
      route: 'echo',
      close_code: 4000,
      closed_by: 'gateway',
      reason: 'bye',
    });
    expect(await gateway.metric('websocket_connections', { route: 'splice', mode: 'splice' })).toBe(spliced.length);
  });

  it('closes those of a server, or all', async () => {
    const live = await openMany('/ws', 4);
    const last = await open('/echo');
    expect(await ask('POST', '/connections/close', { server: urlOf(0) })).toMatchObject({ closing: 2, code: 1012 });
    await expect.poll(() => liveOn(0)).toBe(0);
    expect(await liveOn(1)).toBe(2);
    expect(await ask('POST', '/connections/close', { all: true })).toMatchObject({ closing: 3 });
    expect(await last.closed).toEqual({ code: 1012, reason: 'closed by an operator' });
    await Promise.all(live.map(({ closed }) => closed));
    expect(await ask('POST', '/connections/close', { user: 'nobody' })).toMatchObject({ status: 202, closing: 0 });
  });

  it.each([
    [{}, /needed/],
    [{ all: false }, /all is true/],
    [{ all: true, route: 'x' }, /needed/],
    [{ rote: 'x' }, /"rote" is none of/],
    [{ route: 5 }, /route is a text/],
    [{ address: 'host.example' }, /CIDR/],
    [{ all: true, code: 1005 }, /code is one of/],
    [{ all: true, code: 3000.5 }, /code is one of/],
    [{ all: true, rate: 0 }, /rate is a number/],
    [{ all: true, reason: 'x'.repeat(124) }, /reason is a text/],
    [{ constructor: 'x' }, /is none of/],
  ])('refuses %j', async (body, detail) => {
    const answer = await ask('POST', '/connections/close', body);
    expect(answer).toMatchObject({ status: 400, reason: 'malformed', detail: expect.stringMatching(detail) });
  });
});

it('PUT /log sets the level over reloads, says so at either level, and null gives it back to the config', async () => {
  const opened = () => gateway.logs().filter(({ event }) => event === 'session_opened').length;
  const notes = () => gateway.logs().filter(({ msg }) => String(msg).startsWith('the level of the log was set')).length;
  const answer = { level: 'error', configured: 'info', until: 'restart' };
  expect(await ask('PUT', '/log', { level: 'error' })).toEqual({ status: 200, ...answer });
  expect((await ask('POST', '/reload'))['status']).toBe(200);
  await open('/echo');
  expect(await ask('PUT', '/log', { level: null })).toEqual({ status: 200, ...answer, level: 'info' });
  await expect.poll(notes).toBe(2);
  expect(opened()).toBe(0);
  await open('/echo');
  await expect.poll(opened).toBe(1);
  expect(await ask('PUT', '/log', { level: 'loud' })).toMatchObject({ status: 400, reason: 'malformed' });
});

describe('a reload', () => {
  it('touches no session whose route and server are the same in effect, and says what becomes of the others', async () => {
    // One after the other, so that each is known to be on the server that is its turn.
    const kept = await open('/ws');
    expect(await liveOn(0)).toBe(1);
    const moved = await open('/ws');
    const echoed = await open('/echo');
    // Written otherwise, one server fewer, one route gone.
    rewrite(
      configWith({
        upstreams: { other: { servers: [{ url: urlOf(0), weight: 7 }] } },
        routes: [
          {
            name: 'splice',
            match: { path: ['/ws'] },
            websocket: { upstream: 'other', origins: 'any', mode: 'splice', timeouts: { idle: '60m' } },
          },
        ],
      }),
    );
    expect(await ask('POST', '/reload')).toEqual({
      status: 200,
      at: expect.stringMatching(/Z$/),
      kept: 1,
      draining: [
        { why: `server ${urlOf(1)} removed`, sessions: 1 },
        { why: 'route echo removed', sessions: 1 },
      ],
      restart_needed: [],
    });
    const line = await gateway.log({ event: 'config_reloaded', trigger: 'api' });
    expect(line).toMatchObject({
      ...{ result: 'success', kept: 1, draining: 2 },
      msg: `kept 1, draining 1 (server ${urlOf(1)} removed), draining 1 (route echo removed)`,
    });
    const ends = await Promise.all([moved.closed, echoed.closed]);
    expect(ends).toEqual([
      { code: 1012, reason: 'reload' },
      { code: 1012, reason: 'reload' },
    ]);
    kept.socket.send('still here');
    expect(await kept.next()).toBe('still here');
  });

  it('of a changed route keeps its sessions, unless it says otherwise; by a signal too', async () => {
    const [echoed] = await openMany('/echo', 1);
    const text = readFileSync(gateway.file, 'utf8');
    writeFileSync(gateway.file, text.replace('"/echo"', '"/elsewhere"'));
    expect(await ask('POST', '/reload')).toMatchObject({ kept: 1, draining: [] });
    const config = JSON.parse(text) as { routes: { name: string; on_change?: string }[] };
    for (const route of config.routes) route.on_change = 'close';
    writeFileSync(gateway.file, JSON.stringify(config).replace('"/echo"', '"/elsewhere"'));
    gateway.signal('SIGHUP');
    expect(await echoed!.closed).toEqual({ code: 1012, reason: 'reload' });
    await gateway.log({ event: 'config_reloaded', msg: 'kept 0, draining 1 (route echo changed)' });
  });

  it('names what needs a restart', async () => {
    rewrite(configWith({ relay: { threads: 3 }, admin: { port: 1, token: TOKEN }, log: { level: 'debug' } }));
    const needed = ['admin.port', 'relay.threads'];
    expect(await ask('POST', '/reload')).toMatchObject({ status: 200, restart_needed: needed });
    const line = await gateway.log({ event: 'config_reloaded', trigger: 'api' });
    expect(line).toMatchObject({ restart_needed: needed, msg: `kept 0, needs a restart: ${needed.join(', ')}` });
  });

  it('that fails says every problem, and changes nothing', async () => {
    const client = await open('/ws');
    writeFileSync(gateway.file, '{ "listeners": [{ "port": "x" }], "rotes": [] }');
    const answer = await ask('POST', '/reload');
    expect(answer).toMatchObject({ status: 422, reason: 'not_reloaded' });
    expect(answer['problems']).toEqual(
      expect.arrayContaining([expect.stringContaining('rotes'), expect.stringMatching(/gateway\.yaml:1:\d+.*port/)]),
    );
    client.socket.send('x');
    expect(await client.next()).toBe('x');
  });
});

describe('POST /drain', () => {
  it('drains as a signal does, twice is once, a signal then is none too many, and the process ends with 0', async () => {
    const client = await open('/echo');
    rewrite(configWith({ drain: { grace: '20s', spread: '500ms' } }));
    await ask('POST', '/reload');
    expect(await ask('POST', '/drain')).toEqual({
      ...{ status: 202, draining: true, sessions: 1, requests: 0, within_ms: 20_000 },
    });
    expect((await ask('POST', '/drain'))['status']).toBe(202);
    gateway.signal('SIGTERM');
    expect(await client.closed).toEqual({ code: 1001, reason: 'drain' });
    expect(await gateway.exited).toBe(0);
  });

  it('a second signal ends it at once', async () => {
    const client = await open('/echo');
    client.socket.pause();
    rewrite(configWith({ drain: { delay: '60s', grace: '60s' } }));
    await ask('POST', '/reload');
    await ask('POST', '/drain');
    gateway.signal('SIGTERM');
    await ask('POST', '/drain');
    gateway.signal('SIGTERM');
    expect(await gateway.exited).toBe(1);
  });
});

it('answers what the document promises, and nothing else', async () => {
  const document = JSON.parse((await gateway.admin('/openapi.json')).text) as ApiDocument;
  const off = await startGateway(configWith({ admin: { port: 0 } }));
  const answers = new Map<string, ApiResponse>();
  const keep = (operation: string, answer: ApiResponse) => answers.set(`${operation} ${answer.status}`, answer);
  const fill = (path: string) => path.replace('{upstream}', 'echo').replace('{server}', encodeURIComponent(urlOf(0)));
  const valid: Readonly<Record<string, unknown>> = {
    'PUT /upstreams/{upstream}/servers/{server}': { state: 'drain' },
    'POST /connections/close': { all: true },
    'PUT /log': { level: 'info' },
  };
  // One session that takes its time keeps an order under way; sixteen of them are all there may be.
  await openMany('/echo', 40);
  for (let i = 0; i < 16; i++) await api('POST', '/connections/close', { body: { route: 'echo', rate: 0.1 } });
  keep('POST /connections/close', await api('POST', '/connections/close', { body: { route: 'echo' } }));
  for (const { method, path, name } of ALL.filter(({ path }) => path !== '/drain')) {
    const body = valid[name];
    keep(name, await api(method, fill(path), { token: null }));
    keep(name, await api('PATCH', fill(path)));
    const answer = await fetchOff(off, method, fill(path));
    keep(name, answer);
    if (body !== undefined) {
      keep(name, await api(method, fill(path), { body: '{' }));
      keep(name, await api(method, fill(path), { body, type: 'text/plain' }));
      keep(name, await api(method, fill(path), { body: Buffer.alloc(1024 * 1024 + 1) }));
    }
    if (path.includes('{')) keep(name, await api(method, fill(path).replace('echo', 'nobody'), { body }));
    if (name !== 'POST /connections/close')
      keep(name, await api(method, fill(path), body === undefined ? {} : { body }));
  }
  const good = readFileSync(gateway.file, 'utf8');
  writeFileSync(gateway.file, '{');
  keep('POST /reload', await api('POST', '/reload'));
  writeFileSync(gateway.file, good);
  await api('POST', '/reload');
  await gateway.log({ event: 'config_reloaded', result: 'failure' });
  for (const answer of [await api('POST', '/drain', { token: null }), await api('GET', '/drain')])
    keep('POST /drain', answer);
  keep('POST /drain', await fetchOff(off, 'POST', '/drain'));
  const other = await startGateway(configWith());
  const before = gateway;
  gateway = other;
  keep('POST /connections/close', await api('POST', '/connections/close', { body: { all: true } }));
  gateway = before;
  await other.stop();
  keep('POST /drain', await api('POST', '/drain'));
  await off.stop();
  expectPromised(
    document,
    ALL.map(({ path }) => path),
    answers,
  );
});

async function fetchOff(off: Gateway, method: string, path: string): Promise<ApiResponse> {
  const answer = await fetch(`http://127.0.0.1:${off.adminPort}${path}`, {
    method,
    headers: { Authorization: `Bearer ${TOKEN}` },
  });
  return { status: answer.status, fields: Object.fromEntries(answer.headers), body: await answer.text() };
}
