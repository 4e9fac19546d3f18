// Sockets that a supervisor has opened (sd_listen_fds(3)) and what it is told (sd_notify(3)), with the built program. The
// supervisor is this file; systemd's own launcher starts one of them.
import { mkdtempSync, openSync, renameSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { descriptorOf } from '../../src/net/node-internals.ts';
import { type ChildOptions, startChild } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { type Gateway, type GatewayFile, gatewayOf, MAIN, writeConfig } from '../support/gateway.ts';
import { hasPeers, startPython } from '../support/peers.ts';
import { closedPort } from '../support/scripted.ts';
import { startSteady } from '../support/steady.ts';

const directory = mkdtempSync(join(tmpdir(), 'upgate-activation-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Opened {
  readonly fd: number;
  readonly port: number;
  /** Whoever has been started meanwhile has it still. */
  close(): void;
}

/** A listening socket; it is closed here before there are clients, for this process would accept them. */
async function openSocket(options: net.ListenOptions): Promise<Opened> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen({ ...options, backlog: 511 }, resolve));
  const { port } = server.address() as net.AddressInfo;
  return { fd: descriptorOf(server), port, close: () => server.close() };
}

const routes: GatewayFile['routes'] = [
  { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
  { name: 'text', respond: { status: 200, body: 'text' } },
];

/** Starts the program as a supervisor does. */
function startPassed(file: string, fds: readonly number[], env: NodeJS.ProcessEnv = {}, options: ChildOptions = {}) {
  const command = ['LISTEN_PID=$$ exec "$@"', 'sh', process.execPath, MAIN, 'run', '-c', file];
  return startChild('/bin/sh', ['-c', ...command], {
    ...options,
    fds,
    env: { LISTEN_FDS: String(fds.length), ...env },
  });
}

const get = (options: http.RequestOptions): Promise<string> =>
  new Promise((resolve, reject) => {
    http
      .get({ path: '/text', agent: false, ...options }, (response) => {
        response.setEncoding('utf8').once('data', resolve).resume();
      })
      .once('error', reject);
  });

describe('sockets that were passed', () => {
  it('are listened on, found by address or by name, the admin listener and a unix socket among them', async () => {
    const unix = join(directory, 'listener.sock');
    const sockets = [
      await openSocket({ host: '::', port: 0 }),
      await openSocket({ host: '127.0.0.1', port: 0 }),
      await openSocket({ path: `${unix}.new` }),
      await openSocket({ host: '127.0.0.1', port: 0 }),
    ];
    // Its name would go with the server here.
    renameSync(`${unix}.new`, unix);
    const [all, loopback, , named] = sockets as [Opened, Opened, Opened, Opened];
    const file = writeConfig({
      listeners: [{ port: all.port }, { unix, fd_name: 'local' }, { port: 1, fd_name: 'second' }],
      admin: { host: 'localhost', port: loopback.port },
      routes,
    });
    const child = await startPassed(
      file,
      sockets.map(({ fd }) => fd),
      { LISTEN_FDNAMES: 'upgate.socket:upgate.socket:local:second' },
    );
    for (const socket of sockets) socket.close();
    const gateway = await gatewayOf(child, file);
    expect(gateway.ports).toEqual([all.port, 0, named.port]);
    expect(gateway.adminPort).toBe(loopback.port);
    expect(gateway.logs().find(({ msg, address }) => msg === 'listening' && address === unix)).toBeDefined();
    expect((await gateway.admin('/readyz')).text).toBe('ok\n');
    for (const from of [{ port: all.port }, { socketPath: unix }, { port: named.port }])
      expect(await get(from)).toBe('text');
    const client = await openClient(`ws://127.0.0.1:${all.port}/echo`);
    client.socket.send('hello');
    expect(await client.next()).toBe('hello');
    await client.close();
    expect(await gateway.stop()).toBe(0);
  });

  it.each(['native', 'js'] as const)('are left to the next process, and no client is refused (%s)', async (engine) => {
    const [socket, admin] = [await openSocket({ port: 0 }), await openSocket({ host: '127.0.0.1', port: 0 })];
    const fds = [socket.fd, admin.fd];
    const file = writeConfig({
      listeners: [{ port: socket.port }],
      admin: { port: admin.port },
      drain: { grace: '5s', spread: '200ms' },
      relay: { engine },
      routes,
    });
    const first = await gatewayOf(await startPassed(file, fds), file);
    const second = await gatewayOf(await startPassed(file, fds), file);
    socket.close();
    admin.close();
    const steady = startSteady(socket.port, 40);
    await steady.pass(20);
    const live = await Promise.all(Array.from({ length: 20 }, () => openClient(`ws://127.0.0.1:${socket.port}/echo`)));
    expect(await first.stop()).toBe(0);
    await steady.pass(40);
    const report = await steady.stop();
    expect(report.failures).toEqual([]);
    expect((await second.admin('/readyz')).text).toBe('ok\n');
    expect(await second.stop()).toBe(0);
    // Half of them were the first one's.
    for (const { closed } of live) expect((await closed).code).toBe(1001);
  });

  const refused = async (config: Partial<GatewayFile>, fds: readonly number[], env: NodeJS.ProcessEnv = {}) => {
    const file = writeConfig({ listeners: [{ port: 0 }], admin: { port: 0 }, routes, ...config });
    const child = await startPassed(file, fds, env);
    expect(await child.exited).toBe(1);
    return child.stderr();
  };

  it('are named where no listener has their address or name', async () => {
    const socket = await openSocket({ host: '127.0.0.1', port: 0 });
    const said = await refused({}, [socket.fd], { LISTEN_FDNAMES: 'web' });
    expect(said).toContain(`descriptor 3 "web": 127.0.0.1:${socket.port}`);
    expect(
      await refused({ listeners: [{ port: 1, fd_name: 'other' }] }, [socket.fd], { LISTEN_FDNAMES: 'web' }),
    ).toContain('[::]:1: no descriptor that was passed is named "other"; those left: web');
    socket.close();
  });

  it('have to be listening sockets', async () => {
    const file = openSync('/dev/null', 'r');
    expect(await refused({}, [file])).toContain('descriptor 3 is no listening stream socket (getsockname: ENOTSOCK)');
    expect(await refused({}, [file], { LISTEN_FDS: 'many' })).toContain(
      'LISTEN_FDS="many" is no number of descriptors',
    );
  });

  it('are none of ours where they were passed to another process', async () => {
    const file = writeConfig({ listeners: [{ port: 0 }], admin: { port: 0 }, routes });
    const child = await startChild(process.execPath, [MAIN, 'run', '-c', file], {
      env: { LISTEN_FDS: '1', LISTEN_PID: '1' },
    });
    const gateway: Gateway = await gatewayOf(child, file);
    expect(await get({ port: gateway.port })).toBe('text');
    expect(await gateway.stop()).toBe(0);
  });

  it.skipIf(!hasPeers('systemd'))('come from systemd', async () => {
    const [port, adminPort] = [await closedPort(), await closedPort()];
    const file = writeConfig({ listeners: [{ host: '127.0.0.1', port }], admin: { port: adminPort }, routes });
    const command = [
      '-l',
      `127.0.0.1:${port}`,
      '-l',
      `127.0.0.1:${adminPort}`,
      process.execPath,
      MAIN,
      'run',
      '-c',
      file,
    ];
    const child = await startChild('systemd-socket-activate', command);
    await new Promise<void>((resolve) => {
      const poll = (): void => void (child.stderr().includes('as 4.') ? resolve() : setImmediate(poll));
      poll();
    });
    // The first client starts it.
    expect(await get({ port })).toBe('text');
    const gateway = await gatewayOf(child, file);
    expect([gateway.port, gateway.adminPort]).toEqual([port, adminPort]);
    expect(await gateway.stop()).toBe(0);
  });
});

describe('a supervisor', () => {
  it.skipIf(!hasPeers('python3'))('is told that it is ready, reloads, stops, and that its loop turns', async () => {
    const path = join(directory, 'notify.sock');
    const supervisor = await startPython('notifications.py', path);
    const file = writeConfig({ listeners: [{ port: 0 }], admin: { port: 0 }, routes });
    const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: '100000' };
    const gateway = await gatewayOf(await startChild(process.execPath, [MAIN, 'run', '-c', file], { env }), file);
    expect(await supervisor.event({ READY: '1' })).toMatchObject({ STATUS: 'serving' });
    await supervisor.event({ WATCHDOG: '1' });
    gateway.signal('SIGHUP');
    const { MONOTONIC_USEC } = await supervisor.event({ RELOADING: '1' });
    // CLOCK_MONOTONIC is one clock for all processes of a machine.
    const age = process.hrtime.bigint() / 1000n - BigInt(String(MONOTONIC_USEC));
    expect(age).toBeGreaterThan(0n);
    expect(age).toBeLessThan(60_000_000n);
    await gateway.log({ event: 'config_reloaded' });
    expect(await gateway.stop()).toBe(0);
    await supervisor.event({ STOPPING: '1' });
    const said = supervisor.child.lines.filter((line) => /READY|RELOADING|STOPPING/.test(line));
    expect(said.map((line) => Object.keys(JSON.parse(line) as object)[0])).toEqual([
      'READY',
      'RELOADING',
      'READY',
      'STOPPING',
    ]);
    await supervisor.stop();
  });

  it('that is gone costs nothing but a warning', async () => {
    const file = writeConfig({ listeners: [{ port: 0 }], admin: { port: 0 }, routes });
    const env = { NOTIFY_SOCKET: join(directory, 'nobody.sock') };
    const gateway = await gatewayOf(await startChild(process.execPath, [MAIN, 'run', '-c', file], { env }), file);
    await gateway.log({ level: 'warn', msg: 'the supervisor (NOTIFY_SOCKET) is not told', why: 'sendto: ENOENT' });
    expect(await get({ port: gateway.port })).toBe('text');
    expect(await gateway.stop()).toBe(0);
  });
});
