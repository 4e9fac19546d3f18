// Answers without an end while the gateway drains: they are ended in order over `spread`, with the sessions, and do not hold
// it for the whole of `grace`; a download is not one of them.
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type GatewayFile, startGateway } from '../support/gateway.ts';
import { connectRaw } from '../support/raw.ts';

let port: number;
let close: () => void;
/** The answers that the backend has begun, and how many of them it has lost since. */
let begun: ServerResponse[] = [];
let lost = 0;
const TYPES: Readonly<Record<string, string>> = {
  '/events': 'text/event-stream; charset=utf-8',
  '/pictures': 'multipart/x-mixed-replace;boundary=x',
  '/download': 'application/octet-stream',
};

beforeAll(async () => {
  const server = createServer((req, res) => {
    begun.push(res);
    res.once('close', () => lost++);
    res.writeHead(200, { 'Content-Type': TYPES[req.url ?? ''] ?? 'text/plain' }).write('data: 1\n\n');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  port = (server.address() as AddressInfo).port;
  close = () => {
    server.close();
    server.closeAllConnections();
  };
});
beforeEach(() => {
  begun = [];
  lost = 0;
});
afterAll(() => close());

const ENGINES = ['auto', 'http-proxy'] as const;

async function start(engine: (typeof ENGINES)[number], drain: object) {
  const config: GatewayFile = {
    listeners: [{ host: '127.0.0.1', port: 0 }],
    http: { engine },
    upstreams: { app: { servers: [`http://127.0.0.1:${port}`] } },
    routes: [{ name: 'app', http: { upstream: 'app' } }],
    drain,
  };
  const gateway = await startGateway(config);
  const get = async (path: string, version = '1.1') => {
    const connection = await connectRaw(gateway.port);
    connection.write(`GET ${path} HTTP/${version}\r\nHost: a\r\n\r\n`);
    await connection.until('data: 1');
    return connection;
  };
  return { gateway, get };
}

describe.each(ENGINES)('engine %s', (engine) => {
  it('ends them in order, and the drain with them', async () => {
    const { gateway, get } = await start(engine, { grace: '60s', spread: '300ms' });
    const streams = [await get('/events'), await get('/pictures'), await get('/events', '1.0')];
    gateway.signal('SIGTERM');
    const [events, pictures, old] = await Promise.all(streams.map((stream) => stream.closed()));
    for (const chunked of [events, pictures]) expect(String(chunked?.bytes)).toMatch(/\r\n0\r\n\r\n$/);
    expect(String(old?.bytes)).toMatch(/data: 1\n\n$/);
    expect(await gateway.exited).toBe(0);
    const phases = gateway.logs().filter(({ event }) => event === 'drain');
    expect(phases.map(({ phase, requests }) => [phase, requests])).toEqual([
      ['started', 3],
      ['listeners_closed', 3],
      ['done', 0],
    ]);
    const lines = gateway.logs().filter(({ event }) => event === 'request_completed');
    expect(lines.map(({ status, reason }) => [status, reason])).toEqual(streams.map(() => [200, null]));
    await expect.poll(() => lost).toBe(3);
  });

  it('waits for a download, until it is cut', async () => {
    const { gateway, get } = await start(engine, { grace: '500ms', spread: '0s' });
    const download = await get('/download');
    gateway.signal('SIGTERM');
    await gateway.log({ event: 'drain', phase: 'cut', requests: 1 });
    expect(String((await download.closed()).bytes)).not.toMatch(/\r\n0\r\n\r\n$/);
    expect(await gateway.exited).toBe(0);
  });

  it('finishes one that its backend ends meanwhile', async () => {
    const { gateway, get } = await start(engine, { grace: '60s', spread: '50s' });
    const stream = await get('/events');
    gateway.signal('SIGTERM');
    await gateway.log({ event: 'drain', phase: 'listeners_closed' });
    begun[0]?.end('data: 2\n\n');
    await stream.until('data: 2');
    expect(await gateway.exited).toBe(0);
    expect(String((await stream.closed()).bytes)).toMatch(/data: 2\n\n\r\n0\r\n\r\n$/);
  });
});
