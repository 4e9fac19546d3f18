// Descriptors that run out, on the built program with a small limit: the last ones are refused as clients connect, and
// neither silent clients nor those with half a head take the admin listener's, or the process.
import { existsSync, readdirSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { ADDON } from '../../src/relay/native/addon.ts';
import { type LineChild, startChild } from '../support/child.ts';
import { startEcho } from '../support/echo.ts';
import { MAIN, writeConfig } from '../support/gateway.ts';
import { connectRaw, handshake, type RawConnection } from '../support/raw.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const LIMIT = 256;
/** An eighth of it is kept from clients. */
const CLIENTS = 224;

interface Small {
  readonly child: LineChild;
  readonly port: number;
  readonly admin: (path: string) => Promise<number>;
}

/** A gateway with few descriptors. */
async function start(engine: 'native' | 'js'): Promise<Small> {
  const echo = await startEcho();
  ends.push(() => echo.close());
  const file = writeConfig({
    listeners: [{ host: '127.0.0.1', port: 0, timeouts: { head: '10m', keep_alive: '10m' } }],
    admin: { port: 0 },
    relay: { engine, threads: 1 },
    upstreams: { echo: { servers: [`ws://127.0.0.1:${echo.port}`] } },
    routes: [
      { name: 'ws', match: { path: '/ws' }, websocket: { mode: 'splice', upstream: 'echo', origins: 'any' } },
      { name: 'hello', match: { path: '/hello' }, respond: { status: 200, body: 'hello' } },
    ],
  });
  const child = await startChild('/bin/sh', [
    '-c',
    `ulimit -n ${LIMIT}; exec "${process.execPath}" "${MAIN}" run -c "${file}"`,
  ]);
  ends.push(() => child.stop('SIGKILL'));
  const logged = (msg: string) =>
    child.line(
      (line) => (line.includes(`"msg":"${msg}"`) ? (JSON.parse(line) as Record<string, unknown>) : undefined),
      msg,
    );
  const port = Number((await logged('listening'))['port']);
  const started = await logged('started');
  expect(started['descriptors']).toBe(LIMIT);
  const admin = async (path: string) => {
    // A connection of its own each time, as a probe makes it.
    const { status } = await fetch(`http://${started['admin']}${path}`, { headers: { Connection: 'close' } });
    return status;
  };
  return { child, port, admin };
}

/** Opens connections one after the other, and says these bytes on each; gives those that are still open then. */
async function crowd(port: number, number: number, bytes: string): Promise<RawConnection[]> {
  const opened: RawConnection[] = [];
  for (let i = 0; i < number; i++) {
    const one = await connectRaw(port).catch(() => null);
    if (one === null) continue;
    ends.push(() => one.socket.destroy());
    if (bytes !== '') one.write(bytes);
    opened.push(one);
  }
  return opened;
}

const isOpen = ({ socket }: RawConnection) => !socket.readableEnded && !socket.destroyed;

describe.each(['native', 'js'] as const)('with the %s relay', (engine) => {
  const test = it.skipIf(engine === 'native' && !existsSync(ADDON));

  test.each([
    ['silent clients', ''],
    ['clients with half a head', 'GET /hello HTTP/1.1\r\nHost: a\r\n'],
  ])('%s do not take all of them', async (_, bytes) => {
    const { child, port, admin } = await start(engine);
    const clients = await crowd(port, 300, bytes);
    await expect.poll(() => clients.filter(isOpen).length).toBeLessThan(CLIENTS);
    expect(clients.filter(isOpen).length).toBeGreaterThan(CLIENTS - 60);
    for (const path of ['/readyz', '/healthz', '/metrics']) expect(await admin(path)).toBe(200);
    const told = child.lines.filter((line) => line.includes('descriptors run out, and clients are refused'));
    expect(told).toHaveLength(1);
    // Those that were admitted are served as ever.
    const [first] = clients;
    first?.write(bytes === '' ? 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n' : '\r\n');
    await first?.until('hello');
    // And so is a newcomer, once there is room.
    for (const { socket } of clients.slice(1)) socket.destroy();
    await expect
      .poll(async () => {
        const [one] = await crowd(port, 1, 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
        return one?.until('hello').then(
          () => true,
          () => false,
        );
      })
      .toBe(true);
    expect(await child.stop()).toBe(0);
  });

  test('idle connections are closed before anybody is refused', async () => {
    const { child, port } = await start(engine);
    const idle = await crowd(port, 150, 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
    for (const one of idle) await one.until('hello');
    // As many again: together they are more than there is room for.
    const clients = await crowd(port, 150, 'GET /hello HTTP/1.1\r\nHost: a\r\n');
    await expect.poll(() => idle.filter(isOpen).length).toBe(0);
    expect(clients.filter(isOpen)).toHaveLength(150);
    expect(child.lines.filter((line) => line.includes('descriptors run out'))).toEqual([]);
  });

  test('handshakes of clients who are in get 101 or 503, and never the process', async () => {
    const { child, port, admin } = await start(engine);
    const used = () => readdirSync(`/proc/${child.pid}/fd`).length;
    const before = used();
    const clients = await crowd(port, 180, '');
    // The system says that a connection stands before the gateway has accepted it.
    await expect.poll(used).toBeGreaterThanOrEqual(before + 180);
    for (const one of clients) one.write(handshake());
    const answers = await Promise.all(
      clients.map((one) =>
        one.until('\r\n\r\n').then(
          (bytes) => bytes.toString('latin1', 9, 12),
          (error: Error) => error.message,
        ),
      ),
    );
    expect(new Set(answers)).toEqual(new Set(['101', '503']));
    expect(answers.filter((one) => one === '101').length).toBeGreaterThan(20);
    expect(await admin('/readyz')).toBe(200);
    for (const { socket } of clients) socket.destroy();
    expect(await child.stop()).toBe(0);
  });
});
