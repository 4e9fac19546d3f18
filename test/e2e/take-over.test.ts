// `run --take-over PATH`: one process after the other gets the listening sockets, with the built program, under a steady rate of
// clients, and what becomes of it when the new one does not come to serve.
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { startChild } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { type Gateway, type GatewayFile, gatewayOf, MAIN, startGateway, writeConfig } from '../support/gateway.ts';
import { startSteady } from '../support/steady.ts';

const directory = mkdtempSync(join(tmpdir(), 'upgate-take-over-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function writeGateway(config: Partial<GatewayFile>): string {
  const base: GatewayFile = {
    listeners: [{ host: '127.0.0.1', port: 0 }],
    admin: { port: 0 },
    drain: { delay: '20s', grace: '10s', spread: '500ms' },
    routes: [
      { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
      { name: 'text', respond: { status: 200, body: 'text' } },
    ],
  };
  return writeConfig({ ...base, ...config });
}

const atOnce = { drain: { delay: '0s', grace: '1s', spread: '0s' } };

const child = (file: string, path: string, ...flags: readonly string[]) =>
  startChild(process.execPath, [...flags, MAIN, 'run', '-c', file, '--take-over', path]);
const start = async (file: string, path: string): Promise<Gateway> => gatewayOf(await child(file, path), file);
const meetingPlace = (): string => join(mkdtempSync(join(directory, 'at-')), 'take-over.sock');

const get = (options: http.RequestOptions): Promise<string> =>
  new Promise((resolve, reject) => {
    http
      .get({ path: '/text', agent: false, ...options }, (response) => {
        response.setEncoding('utf8').once('data', resolve).resume();
      })
      .once('error', reject);
  });

describe('processes, one after the other', () => {
  it.each([
    ['native', 3],
    ['js', 1],
  ] as const)('refuse nobody, tear nothing and close each session in order (%s, %i times)', async (engine, rounds) => {
    const backend = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      routes: [
        { name: 'echo', match: { path: '/*' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
      ],
    });
    const file = writeGateway({
      relay: { engine },
      upstreams: { echo: { servers: [`ws://127.0.0.1:${backend.port}`] } },
      routes: [
        { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'splice', upstream: 'echo', origins: 'any' } },
        { name: 'text', respond: { status: 200, body: 'text' } },
      ],
    });
    const path = meetingPlace();
    let running = await start(file, path);
    const { port, adminPort } = running;
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const steady = startSteady(port, 40);
    for (let round = 0; round < rounds; round++) {
      await steady.pass(20);
      const url = `ws://127.0.0.1:${port}/echo`;
      const live = await Promise.all(Array.from({ length: 20 }, () => openClient(url)));
      const next = await start(file, path);
      await running.log({ msg: 'another process serves; this one drains' });
      // Without the 20 s of drain.delay: the next one serves already.
      for (const { closed } of live) expect(await closed).toMatchObject({ code: 1001 });
      expect(await running.exited).toBe(0);
      expect((await next.admin('/readyz')).status).toBe(200);
      running = next;
    }
    expect([running.port, running.adminPort]).toEqual([port, adminPort]);
    await steady.pass(20);
    const report = await steady.stop();
    expect(report.failures).toEqual([]);
    running.signal('SIGKILL');
    await running.exited;
    await backend.stop();
  });
});

describe('what was handed on', () => {
  it('is a unix socket, too, and what the new config has no use for is closed', async () => {
    const path = meetingPlace();
    const unix = join(path, '..', 'listener.sock');
    const first = await start(writeGateway({ listeners: [{ host: '127.0.0.1', port: 0 }, { unix }] }), path);
    const second = await start(
      writeGateway({ ...atOnce, listeners: [{ unix }], admin: { host: '127.0.0.2', port: 0 } }),
      path,
    );
    expect(await first.exited).toBe(0);
    expect(await get({ socketPath: unix })).toBe('text');
    const refused = await get({ port: first.port }).catch((error: NodeJS.ErrnoException) => error.code);
    expect(refused).toBe('ECONNREFUSED');
    expect(await second.stop()).toBe(0);
    expect(existsSync(path)).toBe(false);
  });
});

describe('the one before goes on as it was', () => {
  const goesOn = async (gateway: Gateway): Promise<void> => {
    await gateway.log({ msg: 'the process that asked for the sockets does not serve; this one goes on' });
    expect(await get({ port: gateway.port })).toBe('text');
    expect((await gateway.admin('/readyz')).status).toBe(200);
  };

  it('where the new one fails, dies, or says nothing, and others are refused meanwhile', async () => {
    const path = meetingPlace();
    const first = await start(writeGateway(atOnce), path);
    const taken = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as net.AddressInfo;

    const failing = await child(writeGateway({ listeners: [{ host: '127.0.0.1', port }] }), path);
    expect(await failing.exited).toBe(1);
    expect(failing.stderr()).toContain('the port is taken (EADDRINUSE)');
    await goesOn(first);

    const asked = net.connect({ path });
    asked.write('sockets\n');
    await new Promise((resolve) => asked.once('data', resolve));
    const late = await child(writeGateway({}), path);
    expect(await late.exited).toBe(1);
    expect(late.stderr()).toContain('another process is taking its sockets');
    asked.destroy();
    await goesOn(first);

    for (const nonsense of ['serving\n', 'x'.repeat(1000), '\n\n\n']) {
      const stranger = net.connect({ path });
      stranger.end(nonsense);
      await new Promise((resolve) =>
        stranger
          .resume()
          .on('error', () => {})
          .once('close', resolve),
      );
    }
    await goesOn(first);
    taken.close();
    // What failed has left nothing beside the one that waits.
    expect(readdirSync(join(path, '..'))).toEqual(['take-over.sock']);
    expect(await first.stop()).toBe(0);
  });

  it('a stranger at the path, a path that cannot be, and no addon are errors that say so', async () => {
    const path = meetingPlace();
    const stranger = net.createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n')).listen(path);
    await new Promise((resolve) => stranger.once('listening', resolve));
    const said = async (at: string, ...flags: readonly string[]) => {
      const failing = await child(writeGateway({}), at, ...flags);
      expect(await failing.exited).toBe(1);
      return failing.stderr();
    };
    expect(await said(path)).toContain('the process there is none of this program');
    expect(await said(join(directory, 'nowhere/take-over.sock'))).toContain('its directory does not exist');
    expect(await said(path, '--no-addons')).toContain('--take-over needs the native addon: ');
    stranger.close();
  });
});
