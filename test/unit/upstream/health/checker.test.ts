// Active checks against real servers on loopback: what passes, what fails and why, and that nothing goes on after the end.
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import type { GatewayEvent } from '../../../../src/events.ts';
import type { Endpoint } from '../../../../src/net/endpoint.ts';
import { probe } from '../../../../src/upstream/health/probe.ts';
import { makePool, upstreamConfig } from '../../../support/pools.ts';
import { closedPort } from '../../../support/scripted.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const closable of open.splice(0)) closable.close();
});

async function serve(listener: RequestListener, path?: string): Promise<number> {
  const server = createServer(listener);
  await once(path === undefined ? server.listen(0, '127.0.0.1') : server.listen(path), 'listening');
  open.push({
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  });
  return path === undefined ? (server.address() as AddressInfo).port : 0;
}

const at = (port: number): Endpoint => ({ url: `ws://127.0.0.1:${port}`, secure: false, host: '127.0.0.1', port });
const check = (server: Endpoint, active: object, stopped = new AbortController().signal) => {
  const config = upstreamConfig({ servers: ['ws://a:1'], health: { active: { timeout: '5s', ...active } } });
  return probe(server, config.health.active!, stopped);
};
const silent = async () => {
  const server = createNetServer(() => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
  open.push(server);
  return (server.address() as AddressInfo).port;
};

describe('a check', () => {
  it('of type tcp passes where the server accepts', async () => {
    expect(await check(at(await silent()), { type: 'tcp' })).toBeNull();
    expect(await check(at(await closedPort()), { type: 'tcp' })).toContain('ECONNREFUSED');
  });

  it('of type http judges status and body', async () => {
    const heads: string[] = [];
    const port = await serve((req, res) => {
      heads.push(`${req.method} ${req.url} ${req.headers.host}`);
      res.writeHead(req.url === '/bad' ? 503 : 200).end('all is well\n');
    });
    expect(await check(at(port), { type: 'http', path: '/healthz?full=1', host: 'app.example' })).toBeNull();
    expect(await check(at(port), { type: 'http', path: '/bad' })).toBe('it answered 503');
    expect(await check(at(port), { type: 'http', path: '/bad', status: [503] })).toBeNull();
    expect(await check(at(port), { type: 'http', body: 'is well' })).toBeNull();
    expect(await check(at(port), { type: 'http', body: 'is bad' })).toBe('its answer lacks the text it should have');
    expect(heads.slice(0, 2)).toEqual(['GET /healthz?full=1 app.example', `GET /bad 127.0.0.1:${port}`]);
  });

  it('of type websocket opens a real one, and closes it in order', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/ws' });
    await once(server, 'listening');
    open.push(server);
    const closed = new Promise((resolve) => server.once('connection', (ws) => ws.once('close', resolve)));
    const { port } = server.address() as AddressInfo;
    expect(await check(at(port), { type: 'websocket', path: '/ws' })).toBeNull();
    expect(await closed).toBe(1000);
    expect(await check(at(port), { type: 'websocket', path: '/other' })).toBe('it answered the handshake with 400');
  });

  it('of type websocket fails at a server that only seems to agree', async () => {
    const server = createServer().on('upgrade', (_, socket) => {
      socket.write(
        'HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n',
      );
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    open.push(server);
    const { port } = server.address() as AddressInfo;
    expect(await check(at(port), { type: 'websocket' })).toBe('Sec-WebSocket-Accept does not fit the key');
  });

  it.each(['http', 'websocket'])('of type %s gives a silent server its time and no more', async (type) => {
    expect(await check(at(await silent()), { type, timeout: '300ms' })).toBe('no answer within 300 ms');
  });

  it('ends when it is stopped', async () => {
    const stopped = new AbortController();
    const checked = check(at(await silent()), { type: 'http', timeout: '5s' }, stopped.signal);
    stopped.abort();
    expect(await checked).not.toBeNull();
  });

  it('reaches a unix socket', async () => {
    const path = join(tmpdir(), `upgate-check-${process.pid}.sock`);
    await serve((_, res) => void res.end('ok'), path);
    const server = { url: `unix:${path}`, secure: false, host: 'localhost', port: 80, unix: path };
    expect(await check(server, { type: 'http' })).toBeNull();
  });
});

describe('a checked upstream', () => {
  const ACTIVE = { type: 'http', every: '300ms', timeout: '300ms', fall: 2, rise: 2 };

  it('takes a server out and back in, one event each, and stops with its pool', async () => {
    let [status, asked] = [503, 0];
    const port = await serve((_, res) => {
      asked++;
      res.writeHead(status).end();
    });
    const other = await serve((_, res) => void res.end());
    const { pool, events } = makePool({
      servers: [`ws://127.0.0.1:${port}`, `ws://127.0.0.1:${other}`],
      health: { active: ACTIVE },
    });
    const told = (count: number) => expect.poll(() => events.length, { interval: 5 }).toBe(count);
    pool.start();
    await told(1);
    // Nothing good is assumed of a server that was never seen up.
    expect(asked).toBe(1);
    expect(events[0]).toMatchObject({ type: 'server_changed', up: false, reason: 'check', detail: 'it answered 503' });
    expect(pool.servers.map((server) => server.state.checked)).toEqual([false, expect.anything()]);
    status = 200;
    await told(2);
    expect(events[1]).toMatchObject({ up: true, detail: '2 checks in a row passed' } satisfies Partial<GatewayEvent>);
    const before = asked;
    status = 500;
    await told(3);
    expect(asked - before).toBeGreaterThanOrEqual(2);
    pool.stop('for good');
    const last = asked;
    await once(await serve1(), 'done');
    expect(asked).toBeLessThanOrEqual(last + 1);
  });
});

/** Something that takes longer than a round of checks: five exchanges one after the other. */
async function serve1() {
  const port = await serve((_, res) => void setTimeout(() => res.end(), 80));
  const done = new EventTarget();
  void (async () => {
    for (let i = 0; i < 5; i++) await fetch(`http://127.0.0.1:${port}`).then((answer) => answer.text());
    done.dispatchEvent(new Event('done'));
  })();
  return done;
}
