// A server written by hand on a bare socket, whose 101 is odd and yet valid, through a splice route.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClient } from '../../support/client.ts';
import { buildClose, buildFrame, MASK, parseFrames, readClose } from '../../support/frames.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { hasPeers, type PythonServer, pythonClient, startPython } from '../../support/peers.ts';
import { ACCEPT, connectRaw, handshake } from '../../support/raw.ts';

describe.skipIf(!hasPeers('python3-websockets'))('a hand-written server', () => {
  let server: PythonServer;
  let gateway: Gateway;
  let url: string;

  beforeAll(async () => {
    server = await startPython('broadcast.py');
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      upstreams: { all: { servers: [`ws://127.0.0.1:${server.port}`] } },
      routes: [{ name: 'all', match: { path: '/*' }, websocket: { mode: 'splice', upstream: 'all', origins: 'any' } }],
    });
    url = `ws://127.0.0.1:${gateway.port}/`;
  });

  afterAll(async () => {
    await Promise.all([gateway?.stop('SIGKILL'), server?.stop('SIGKILL')]);
  });

  it('its 101 reaches the client, with the frame glued to it, and frames glued to the handshake reach the server', async () => {
    const connection = await connectRaw(gateway.port);
    const hello = buildFrame({ payload: 'early', mask: MASK });
    connection.write(Buffer.concat([Buffer.from(handshake({}, 'GET / HTTP/1.1')), hello, buildClose(1000, 'x', MASK)]));
    const { how, bytes } = await connection.closed();
    const end = bytes.indexOf('\r\n\r\n');
    const head = bytes.subarray(0, end).toString('latin1').split('\r\n');
    expect(head[0]).toMatch(/^HTTP\/1\.1 101 /);
    const fields = new Map(head.slice(1).map((line) => [line.split(': ')[0]!.toLowerCase(), line.split(': ')[1]]));
    expect(fields.get('upgrade')?.toLowerCase()).toBe('websocket');
    expect(fields.get('connection')?.toLowerCase()).toBe('upgrade');
    expect(fields.get('sec-websocket-accept')).toBe(ACCEPT);
    const { frames, rest } = parseFrames(bytes.subarray(end + 4));
    expect(frames.map(({ opcode }) => opcode)).toEqual([1, 1, 8]);
    expect(frames.slice(0, 2).map(({ payload }) => payload.toString())).toEqual(['welcome', 'early']);
    expect(readClose(frames[2]!)).toEqual({ code: 1000, reason: 'x' });
    expect(rest.length).toBe(0);
    expect(how).toBe('fin');
    connection.end();
  });

  it('broadcasts between ws and Python clients', async () => {
    const ws = await openClient(url);
    expect(await ws.next()).toBe('welcome');
    const python = pythonClient({
      url,
      steps: [{ receive: 1 }, { send: 'from Python' }, { receive: 2 }, { close: 1000, reason: 'bye' }],
    });
    expect(await ws.next()).toBe('from Python');
    ws.socket.send('from ws');
    expect(await ws.next()).toBe('from ws');
    expect(await python).toMatchObject({ received: ['welcome', 'from Python', 'from ws'], code: 1000 });
    expect((await ws.close(1000)).code).toBe(1000);
  });
});
