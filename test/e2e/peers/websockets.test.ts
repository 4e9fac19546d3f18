// Real servers and clients of python3-websockets, with `ws` beside them, through splice routes of the built gateway.
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClient, openRefused } from '../../support/client.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { hasPeers, type PythonServer, pythonClient, startPython } from '../../support/peers.ts';
import { startTap, type Tap } from '../../support/tap.ts';

const ORIGIN = 'https://app.example.com';
const hash = (data: string | Buffer) => ({
  sha256: createHash('sha256').update(data).digest('hex'),
  length: Buffer.byteLength(data),
});

describe.skipIf(!hasPeers('python3-websockets'))('python3-websockets', () => {
  let push: PythonServer;
  let echo: PythonServer;
  let behind: Tap;
  let before: Tap;
  let gateway: Gateway;
  let url: string;

  beforeAll(async () => {
    [push, echo] = await Promise.all([startPython('push.py'), startPython('echo.py')]);
    behind = await startTap(echo.port);
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      upstreams: {
        push: { servers: [`ws://127.0.0.1:${push.port}`] },
        echo: { servers: [`ws://127.0.0.1:${behind.port}`] },
      },
      routes: [
        { name: 'push', match: { path: '/push' }, websocket: { mode: 'splice', upstream: 'push', origins: [ORIGIN] } },
        {
          name: 'echo',
          match: { path: '/echo/*' },
          websocket: { mode: 'splice', upstream: 'echo', origins: [ORIGIN] },
        },
      ],
    });
    before = await startTap(gateway.port);
    url = `ws://127.0.0.1:${before.port}`;
  });

  afterAll(async () => {
    before?.close();
    behind?.close();
    await Promise.all([gateway?.stop('SIGKILL'), push?.stop(), echo?.stop()]);
  });

  /** The bytes of the newest connection on both sides of the gateway, without the heads. */
  const streams = () => {
    const [near, far] = [before.connections.at(-1)!, behind.connections.at(-1)!];
    const body = (bytes: Buffer) => bytes.subarray(bytes.indexOf('\r\n\r\n') + 4);
    return {
      near: { up: body(near.up()), down: body(near.down()) },
      far: { up: body(far.up()), down: body(far.down()) },
    };
  };

  it('pushes hello world to ws and to Python, again and again', async () => {
    const client = await openClient(`${url}/push`, { origin: ORIGIN });
    expect(await client.next()).toBe('hello world');
    expect(await client.next()).toBe('hello world');
    expect(await client.close(1000, 'enough')).toEqual({ code: 1000, reason: 'enough' });
    const report = await pythonClient({ url: `${url}/push`, origin: ORIGIN, steps: [{ receive: 3 }] });
    expect(report.received).toEqual(['hello world', 'hello world', 'hello world']);
  });

  it('carries messages whole: short, empty, text beyond ASCII, 4 MiB of random bytes', async () => {
    const client = await openClient(`${url}/echo/ws`, { maxPayload: 16 << 20 });
    const messages = ['', 'a', 'Grüße, 世界 🌍', randomBytes(4 << 20), 'x'.repeat(70_000)];
    for (const message of messages) client.socket.send(message);
    for (const message of messages) expect(hash(await client.next())).toEqual(hash(message));
    expect(await client.close(4321, 'done')).toEqual({ code: 4321, reason: 'done' });
    expect(await echo.event({ event: 'closed', path: '/echo/ws' })).toMatchObject({ code: 4321, reason: 'done' });
  });

  it('carries what a Python client sends, compressed, and gives it the same back', async () => {
    const bytes = randomBytes(100_000);
    const report = await pythonClient({
      url: `${url}/echo/python`,
      steps: [{ send: 'hi' }, { repeat: 'abc', times: 500_000 }, { bytes: bytes.toString('base64') }, { receive: 3 }],
    });
    expect(report.extensions).toEqual(['permessage-deflate']);
    expect(report.received).toEqual(['hi', hash('abc'.repeat(500_000)), hash(bytes)]);
    expect(report.code).toBe(1000);
  });

  it('lets compression be negotiated end to end and leaves every byte of the stream as it is', async () => {
    const client = await openClient(`${url}/echo/deflate`, { perMessageDeflate: { threshold: 0 } });
    expect(client.socket.extensions).toBe('permessage-deflate');
    const seen = await echo.event({ event: 'open', path: '/echo/deflate' });
    expect(client.response.headers['sec-websocket-extensions']).toBe(seen['extensions']);
    expect(seen['extensions']).toContain('server_max_window_bits=11; client_max_window_bits=10');
    client.socket.send('squeeze '.repeat(10_000));
    expect(await client.next()).toBe('squeeze '.repeat(10_000));
    await client.close(1000, 'bye');
    await echo.event({ event: 'closed', path: '/echo/deflate' });
    const { near, far } = streams();
    expect(near.up.length).toBeGreaterThan(100);
    expect(near.up.length).toBeLessThan(10_000);
    expect(far.up.equals(near.up)).toBe(true);
    expect(near.down.equals(far.down)).toBe(true);
  });

  it('lets the backend choose the subprotocol, for either client', async () => {
    const client = await openClient(`${url}/echo/sub`, { protocols: ['chat.v1', 'other'] });
    expect(client.socket.protocol).toBe('chat.v1');
    await client.close();
    const report = await pythonClient({ url: `${url}/echo/sub`, subprotocols: ['chat.v2', 'other'], steps: [] });
    expect(report.subprotocol).toBe('chat.v2');
  });

  it.each([
    [1000, 'normal'],
    [1001, 'away'],
    [1008, 'policy'],
    [4001, 'own'],
  ])("carries the backend's Close %i", async (code, reason) => {
    const client = await openClient(`${url}/echo/close`);
    client.socket.send(`close ${code} ${reason}`);
    expect(await client.closed).toEqual({ code, reason });
    const report = await pythonClient({
      url: `${url}/echo/close`,
      steps: [{ send: `close ${code} ${reason}` }, { receive: 1 }],
    });
    expect([report.code, report.reason]).toEqual([code, reason]);
  });

  it('tells the backend who asks, and sends the target and the Host as they came', async () => {
    const client = await openClient(`${url}/echo/a%2Fb;c=d//e?token=1&x=%20`, {
      headers: { Host: 'App.Example.com', 'X-Forwarded-For': '6.6.6.6', X_Forwarded_For: '6.6.6.6', 'X-Own': 'kept' },
    });
    await client.close();
    const seen = await echo.event({ event: 'open', path: '/echo/a%2Fb;c=d//e?token=1&x=%20' });
    const fields = (seen['fields'] as [string, string][]).map(([name, value]) => [name.toLowerCase(), value] as const);
    const values = (name: string) => fields.filter(([one]) => one === name).map(([, value]) => value);
    expect(values('host')).toEqual(['App.Example.com']);
    expect(values('upgrade')).toEqual(['websocket']);
    expect(values('x-forwarded-for')).toEqual(['127.0.0.1']);
    expect(values('x_forwarded_for')).toEqual([]);
    expect(values('x-forwarded-proto')).toEqual(['http']);
    expect(values('x-forwarded-host')).toEqual(['App.Example.com']);
    expect(values('x-own')).toEqual(['kept']);
    expect(values('x-request-id')).toEqual([expect.stringMatching(/^[A-Za-z0-9._-]{8,128}$/)]);
  });

  it('refuses a foreign Origin itself, for either client; the backend never hears of it', async () => {
    const heard = behind.connections.length;
    const refusal = await openRefused(`${url}/echo/evil`, { origin: 'https://evil.example.com' });
    expect(refusal.status).toBe(403);
    expect(refusal.fields['x-gateway-reason']).toBe('origin');
    expect(JSON.parse(refusal.body)).toMatchObject({ status: 403, reason: 'origin' });
    const report = await pythonClient({
      url: `${url}/echo/evil`,
      origin: 'https://app.example.com.evil.test',
      steps: [],
    });
    expect(report.refused).toMatchObject({ status: 403, fields: { 'x-gateway-reason': 'origin' } });
    expect(behind.connections.length).toBe(heard);
  });

  it('survives a backend that is killed mid-session, and serves on', async () => {
    const doomed = await startPython('echo.py');
    const other = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      upstreams: { pool: { servers: [`ws://127.0.0.1:${doomed.port}`, `ws://127.0.0.1:${echo.port}`] } },
      routes: [
        { name: 'pool', match: { path: '/*' }, websocket: { mode: 'splice', upstream: 'pool', origins: 'any' } },
      ],
    });
    try {
      const target = `ws://127.0.0.1:${other.port}/kill`;
      const clients = [await openClient(target), await openClient(target)];
      // Round robin: one session each. A message through each shows both alive.
      for (const client of clients) {
        client.socket.send('alive');
        expect(await client.next()).toBe('alive');
      }
      expect(await other.metric('websocket_connections', { route: 'pool', mode: 'splice' })).toBe(2);
      await doomed.stop('SIGKILL');
      const lost = await Promise.race(clients.map(async (client) => ({ client, ...(await client.closed) })));
      expect(lost.code).toBe(1011);
      const left = clients.find((client) => client !== lost.client)!;
      left.socket.send('still here');
      expect(await left.next()).toBe('still here');
      // The pool's other server takes what is new.
      for (let i = 0; i < 2; i++) {
        const fresh = await openClient(target);
        fresh.socket.send('new');
        expect(await fresh.next()).toBe('new');
        await fresh.close();
      }
      await expect.poll(() => other.metric('websocket_connections', { route: 'pool', mode: 'splice' })).toBe(1);
      const ended = await other.log({ event: 'session_closed', closed_by: 'backend' });
      expect(ended).toMatchObject({ route: 'pool', close_code: 1011 });
      await left.close();
    } finally {
      await Promise.all([other.stop('SIGKILL'), doomed.stop('SIGKILL')]);
    }
  });

  it('counts what it carried', async () => {
    const labels = { route: 'echo', mode: 'splice' };
    expect(await gateway.metric('websocket_handshakes_total', { ...labels, result: 'accepted' })).toBeGreaterThan(8);
    expect(await gateway.metric('websocket_handshakes_total', { ...labels, result: 'rejected' })).toBe(2);
    expect(await gateway.metric('websocket_rejections_total', { route: 'echo', reason: 'origin' })).toBe(2);
    await expect.poll(() => gateway.metric('websocket_connections', labels)).toBe(0);
  });
});
