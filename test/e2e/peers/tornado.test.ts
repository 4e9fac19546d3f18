// Real servers of python3-tornado through splice routes: an echo that judges the Origin itself, and a chat by room and user.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClient, openRefused } from '../../support/client.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { hasPeers, type PythonServer, pythonClient, startPython } from '../../support/peers.ts';
import { connectRaw, handshake, type RawConnection } from '../../support/raw.ts';

describe.skipIf(!hasPeers('python3-tornado', 'python3-websockets'))('python3-tornado', () => {
  let echo: PythonServer;
  let chat: PythonServer;
  let gateway: Gateway;
  let url: string;

  beforeAll(async () => {
    [echo, chat] = await Promise.all([startPython('tornado_echo.py'), startPython('tornado_chat.py')]);
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      upstreams: {
        echo: { servers: [`http://127.0.0.1:${echo.port}`] },
        chat: { servers: [`ws://127.0.0.1:${chat.port}`] },
      },
      routes: [
        {
          name: 'few',
          match: { host: 'few.example.com', path: '/echo' },
          websocket: { mode: 'splice', upstream: 'echo', origins: 'any', limits: { connections: 60 } },
        },
        { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'splice', upstream: 'echo', origins: 'any' } },
        {
          name: 'chat',
          match: { path: '/websocket/{room}/{user}' },
          websocket: { mode: 'splice', upstream: 'chat', origins: ['https://*.example.com'] },
        },
      ],
    });
    url = `ws://127.0.0.1:${gateway.port}`;
  });

  afterAll(async () => {
    await Promise.all([gateway?.stop('SIGKILL'), echo?.stop(), chat?.stop()]);
  });

  it('echoes with compression to the Origin that tornado lets in', async () => {
    const client = await openClient(`${url}/echo`, { origin: 'https://app.example.com' });
    expect(client.socket.extensions).toBe('permessage-deflate');
    client.socket.send('to and fro '.repeat(1000));
    expect(await client.next()).toBe('to and fro '.repeat(1000));
    expect((await client.close()).code).toBe(1000);
  });

  it("passes tornado's own 403 through as it is, and tells it from a refusal of ours", async () => {
    const refusal = await openRefused(`${url}/echo`, { origin: 'https://evil.example.com' });
    expect(refusal.status).toBe(403);
    expect(refusal.body).toBe('Cross origin websockets not allowed');
    expect(refusal.fields).toMatchObject({
      server: expect.stringMatching(/^TornadoServer/),
      'content-type': 'text/html; charset=UTF-8',
      'content-length': '35',
      connection: 'close',
    });
    expect(refusal.fields['x-gateway-reason']).toBeUndefined();
    const labels = { route: 'echo', mode: 'splice', result: 'passed' };
    expect(await gateway.metric('websocket_handshakes_total', labels)).toBe(1);
  });

  it('a room is one conversation of a ws client and a Python client', async () => {
    const anna = await openClient(`${url}/websocket/garden/anna`, { origin: 'https://chat.example.com' });
    expect(await anna.next()).toBe('* anna joined garden, 1 here');
    const bo = pythonClient({
      url: `${url}/websocket/garden/bo`,
      steps: [{ receive: 1 }, { send: 'hello from Python' }, { receive: 2 }, { close: 1000, reason: 'bye' }],
    });
    expect(await anna.next()).toBe('* bo joined garden, 2 here');
    expect(await anna.next()).toBe('bo: hello from Python');
    anna.socket.send('hello from ws');
    expect(await anna.next()).toBe('anna: hello from ws');
    const report = await bo;
    expect(report.received).toEqual(['* bo joined garden, 2 here', 'bo: hello from Python', 'anna: hello from ws']);
    expect(await anna.next()).toBe('* bo left');
    await anna.close();
  });

  it('rooms hear nothing of each other', async () => {
    const origin = 'https://chat.example.com';
    const one = await openClient(`${url}/websocket/one/u`, { origin });
    const two = await openClient(`${url}/websocket/two/u`, { origin });
    one.socket.send('only here');
    expect([await one.next(), await one.next()]).toEqual(['* u joined one, 1 here', 'u: only here']);
    two.socket.send('only there');
    expect([await two.next(), await two.next()]).toEqual(['* u joined two, 1 here', 'u: only there']);
    await Promise.all([one.close(), two.close()]);
  });

  it('a path with a segment too many or an empty one is no route', async () => {
    for (const path of ['/websocket/garden', '/websocket//anna', '/websocket/a/b/c', '/websocket/a/']) {
      const refusal = await openRefused(`${url}${path}`);
      expect([path, refusal.status, refusal.fields['x-gateway-reason']]).toEqual([path, 404, 'no_route']);
    }
  });

  it('clients that expect 100 Continue leave no place of a limit taken behind them, however many come at once', async () => {
    const text = handshake(
      { Host: 'few.example.com', Origin: 'https://app.example.com', Expect: '100-continue' },
      'GET /echo HTTP/1.1',
    );
    const live = () => gateway.metric('websocket_connections', { route: 'few', mode: 'splice' });
    const come = async (): Promise<RawConnection> => {
      const raw = await connectRaw(gateway.port);
      raw.write(text);
      // Its first answer is the last one: tornado answers an Expect with a 100, and never gets one.
      expect((await raw.until('\r\n\r\n')).toString()).toMatch(/^HTTP\/1\.1 101 /);
      return raw;
    };
    for (const many of [50, 50, 50, 50, 50, 50, 60]) {
      const all = await Promise.all(Array.from({ length: many }, come));
      for (const { socket } of all) socket.destroy();
      await expect.poll(live).toBe(0);
    }
  });
});
