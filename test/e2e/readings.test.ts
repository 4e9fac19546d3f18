// What an operator reads of the built gateway through the admin API: status, servers, sessions, config, refusals, and the stream
// that the status page shows; every answer of it held to the API's document.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { READ_PATHS } from '../../src/admin/openapi-read.ts';
import { type Client, openClient } from '../support/client.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { type ApiDocument, type ApiResponse, expectPromised } from '../support/openapi.ts';

const TOKEN = 'a-token-of-some-length';

function get(port: number, path: string, headers: Record<string, string> = {}, host = '127.0.0.1') {
  return new Promise<ApiResponse>((resolve, reject) => {
    const req = request({ host, port, path, headers, agent: false }, async (res) => {
      const chunks: Buffer[] = [];
      for await (const chunk of res) chunks.push(chunk as Buffer);
      resolve({ status: res.statusCode ?? 0, fields: res.headers, body: Buffer.concat(chunks).toString() });
    });
    req.on('error', reject).end();
  });
}

describe.each(['native', 'js'] as const)('with the %s relay', (engine) => {
  let gateway: Gateway;
  let echo: EchoServer;
  let clients: Client[];
  const read = async (path: string) => JSON.parse((await get(gateway.adminPort, path)).body);

  beforeAll(async () => {
    echo = await startEcho();
    gateway = await startGateway({
      listeners: [
        { host: '127.0.0.1', port: 0 },
        { host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] } },
      ],
      admin: { port: 0, token: TOKEN },
      relay: { engine },
      upstreams: { echo: { servers: [`ws://127.0.0.1:${echo.port}`] }, gone: { servers: ['ws://127.0.0.1:1'] } },
      routes: [
        { name: 'splice', match: { path: '/ws' }, websocket: { mode: 'splice', upstream: 'echo', origins: 'any' } },
        { name: 'gone', match: { path: '/gone' }, websocket: { mode: 'splice', upstream: 'gone', origins: 'any' } },
        { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
        {
          name: 'few',
          match: { path: '/few' },
          websocket: { mode: 'terminate', handler: 'echo', origins: 'any', limits: { connections_per_ip: 1 } },
        },
        {
          name: 'seldom',
          match: { path: '/seldom' },
          http: { upstream: 'gone', limits: { requests_per_second: 0.001 } },
        },
        {
          name: 'strict',
          match: { path: '/strict' },
          websocket: { mode: 'terminate', handler: 'echo', origins: ['https://a.com'] },
        },
      ],
    });
    clients = [];
    for (const path of ['/ws', '/echo']) clients.push(await openClient(`ws://127.0.0.1:${gateway.port}${path}`));
    for (const client of clients) {
      client.socket.send('x'.repeat(100));
      await client.next();
      client.socket.send('y');
      await client.next();
    }
  });
  afterAll(async () => {
    for (const { socket } of clients) socket.terminate();
    await gateway.stop();
    echo.close();
  });

  it('lists live sessions with bytes, messages and server, spliced ones as well as terminated ones', async () => {
    const { total, connections } = await read('/connections?sort=opened&order=asc');
    expect(total).toBe(2);
    const [spliced, terminated] = connections;
    // A frame of 100 bytes has a head of 2, and a mask of 4 from the client.
    const carried = { bytes_in: 106 + 7, bytes_out: 102 + 3, messages_in: 2, messages_out: 2 };
    expect(spliced).toMatchObject({ ...carried, route: 'splice', mode: 'splice', upstream: 'echo', path: '/ws' });
    expect(spliced.server).toBe(`ws://127.0.0.1:${echo.port}`);
    expect(terminated).toMatchObject({ ...carried, route: 'echo', mode: 'terminate', server: null });
    expect(spliced.idle_seconds).toBeLessThanOrEqual(spliced.age_seconds);
  });

  it('gives the last activity of a tunnel: it is idle from its last byte on', async () => {
    const before = (await read('/connections?route=splice')).connections[0];
    clients[0]!.socket.send('z');
    await clients[0]!.next();
    const { messages_in, idle_seconds } = (await read('/connections?route=splice')).connections[0];
    expect(messages_in).toBe(before.messages_in + 1);
    expect(idle_seconds).toBeLessThan(30);
  });

  it('names the rule that refused a handshake, and the server that failed one', async () => {
    const open = (path: string) => openClient(`ws://127.0.0.1:${gateway.port}${path}`, { origin: 'https://evil.com' });
    await expect(open('/strict')).rejects.toThrow();
    await expect(open('/gone')).rejects.toThrow();
    const { refusals, newest } = await read('/refusals');
    expect(refusals[1]).toMatchObject({
      ...{ kind: 'handshake', route: 'strict', path: '/strict', status: 403, reason: 'origin' },
      ...{ origin: 'https://evil.com', rule: 'routes.strict.websocket.origins' },
    });
    expect(refusals[0]).toMatchObject({ route: 'gone', reason: 'backend_refused', rule: 'upstreams.gone.servers' });
    expect(refusals[0].server).toBe('ws://127.0.0.1:1');
    expect((await read(`/refusals?after=${newest - 1}`)).refusals).toHaveLength(1);
    expect((await read('/refusals?path=/strict&limit=1')).refusals[0].reason).toBe('origin');
  });

  it('names the very limit that was reached', async () => {
    const url = `ws://127.0.0.1:${gateway.port}/few`;
    const first = await openClient(url);
    await expect(openClient(url)).rejects.toThrow();
    first.socket.terminate();
    for (let i = 0; i < 2; i++) await get(gateway.port, '/seldom');
    const ruleOf = async (route: string, reason: string) =>
      (await read(`/refusals?route=${route}&reason=${reason}`)).refusals[0]?.rule;
    expect(await ruleOf('few', 'client_limit')).toBe('routes.few.websocket.limits.connections_per_ip');
    expect(await ruleOf('seldom', 'rate')).toBe('routes.seldom.http.limits.requests_per_second');
  });

  it('says of each server what went on with it', async () => {
    const { servers } = await read('/upstreams');
    expect(servers[0]).toMatchObject({
      upstream: 'echo',
      healthy: true,
      eligible: true,
      why: null,
      live: 1,
      tunnels: 1,
    });
    expect(servers[1]).toMatchObject({ upstream: 'gone', last_error: { reason: 'backend_refused' } });
    expect(servers[1].errors).toBeGreaterThan(0);
    expect(servers[0].handshakes).toBe(1);
  });

  it('says what an operator has set, there and in the status', async () => {
    const path = `/upstreams/gone/servers/${encodeURIComponent('ws://127.0.0.1:1')}`;
    const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
    const url = `http://127.0.0.1:${gateway.adminPort}${path}`;
    await fetch(url, { method: 'PUT', headers, body: '{"state":"drain"}' });
    const { servers } = await read('/upstreams?upstream=gone');
    expect(servers).toMatchObject([{ state: 'drain', eligible: false, why: expect.stringContaining('set to drain') }]);
    const { since } = servers[0];
    expect((await read('/status')).changes.servers).toMatchObject([{ upstream: 'gone', state: 'drain', since }]);
  });

  it('shows the gateway at one look, with the hash of its file', async () => {
    const status = await read('/status');
    const hash = createHash('sha256').update(readFileSync(gateway.file)).digest('hex');
    expect(status).toMatchObject({
      ...{ pid: gateway.pid, node: process.version, ready: true, draining: false, sessions: 2, relay: { engine } },
      config: { file: gateway.file, hash },
    });
    expect(status.totals.bytes_in).toBeGreaterThan(200);
    expect(status.descriptors.used).toBeGreaterThan(3);
  });

  it('shows the config with its secrets replaced, and where each value came from', async () => {
    const { values } = await read('/config?under=admin');
    const token = values.find(({ path }: { path: string }) => path === 'admin.token');
    expect(token).toMatchObject({ value: '(secret)', from: 'file' });
    expect((await get(gateway.adminPort, '/config?limit=1000')).body).not.toContain(TOKEN);
    const first = await read('/config?limit=2');
    expect((await read(`/config?limit=2&cursor=${first.next}`)).values[0].path).not.toBe(first.values[1].path);
  });

  it('streams all of it as events, the first at once', async () => {
    const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/live`);
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    const reader = answer.body!.getReader();
    let text = '';
    while (text.split('\n\ndata: ').length < 3) text += new TextDecoder().decode((await reader.read()).value);
    await reader.cancel();
    const [, event = ''] = text.split('\n\ndata: ');
    const { status, servers } = JSON.parse(event);
    expect(status.sessions).toBe(2);
    expect(servers).toHaveLength(2);
  });

  it('passes traceparent on, and has its trace in the log', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const headers = { traceparent: `00-${trace}-00f067aa0ba902b7-01`, tracestate: 'a=1' };
    const client = await openClient(`ws://127.0.0.1:${gateway.port}/ws`, { headers });
    expect(echo.lastFields()).toMatchObject(headers);
    await client.close(1000);
    const opened = await gateway.log({ event: 'session_opened', trace_id: trace });
    await gateway.log({ event: 'session_closed', trace_id: trace, connection: opened['connection'] as string });
  });

  it('answers what the document promises, and nothing else', async () => {
    const document = JSON.parse((await get(gateway.adminPort, '/openapi.json')).body) as ApiDocument;
    const answers = new Map<string, ApiResponse>();
    // Sessions that take their time to close, a server set by hand, a reload that failed: no list of the status is empty.
    const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
    const change = (method: string, path: string, body?: string) =>
      fetch(`http://127.0.0.1:${gateway.adminPort}${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body }),
      });
    for (let i = 0; i < 3; i++) clients.push(await openClient(`ws://127.0.0.1:${gateway.port}/echo`));
    await change('POST', '/connections/close', '{"route":"echo","rate":0.1}');
    await change('PUT', '/log', '{"level":"warn"}');
    await change('PUT', `/upstreams/gone/servers/${encodeURIComponent('ws://127.0.0.1:1')}`, '{"state":"down"}');
    writeFileSync(gateway.file, '{');
    expect((await change('POST', '/reload')).status).toBe(422);
    const { certificates, changes, last_reload } = await read('/status');
    for (const list of [certificates, changes.closing, changes.servers, last_reload.problems])
      expect(list.length).toBeGreaterThan(0);
    for (const [path, { get: described }] of Object.entries(
      READ_PATHS as Record<string, { get: { responses: object } }>,
    )) {
      answers.set(`GET ${path} 200`, await get(gateway.adminPort, path));
      answers.set(`GET ${path} 403`, await get(gateway.adminPort, path, { Host: 'evil.example' }));
      if ('400' in described.responses)
        answers.set(`GET ${path} 400`, await get(gateway.adminPort, `${path}?limit=no`));
    }
    expectPromised(document, Object.keys(READ_PATHS), answers);
  });
});

it('needs the token where others than this machine reach the admin listener', async () => {
  const gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    admin: { host: '0.0.0.0', port: 0, token: TOKEN },
    routes: [{ name: 'a', match: { path: '/' }, respond: { status: 204 } }],
  });
  try {
    for (const path of [...Object.keys(READ_PATHS), '/live']) {
      expect([path, (await get(gateway.adminPort, path)).status]).toEqual([path, 401]);
    }
    const headers = { Authorization: `Bearer ${TOKEN}` };
    expect((await get(gateway.adminPort, '/status', headers)).status).toBe(200);
  } finally {
    await gateway.stop();
  }
});
