// `upgate status`, `upstreams`, `connections` and `top`, as the built program asks a running one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { show, top } from '../../src/app/show.ts';
import { formatTable, plain, shortBytes, shortDuration } from '../../src/app/tables.ts';
import { type Client, openClient } from '../support/client.ts';
import { freePort } from '../support/free-port.ts';
import { type Gateway, MAIN, startGateway, writeConfig } from '../support/gateway.ts';
import { TEST_TIMEOUT_MS } from '../support/test-timeout.ts';

let gateway: Gateway;
let client: Client;

const configWith = (port: number, token = 'a-token-of-some-length') => ({
  listeners: [{ host: '127.0.0.1', port: 0 }],
  admin: { host: '0.0.0.0', port, token },
  upstreams: { app: { servers: ['ws://127.0.0.1:1'] } },
  routes: [
    {
      name: 'echo',
      match: { path: '/echo' },
      websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } as const,
    },
    { name: 'app', match: { path: '/ws' }, websocket: { mode: 'splice', upstream: 'app', origins: 'any' } as const },
  ],
});

async function upgate(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, ...args]);
  let [out, err] = ['', ''];
  child.stdout.on('data', (part) => {
    out += part;
  });
  child.stderr.on('data', (part) => {
    err += part;
  });
  const [code] = await once(child, 'close');
  return { code, out, err };
}

beforeAll(async () => {
  gateway = await startGateway(configWith(await freePort()));
  client = await openClient(`ws://127.0.0.1:${gateway.port}/echo`);
});
afterAll(async () => {
  client.socket.terminate();
  await gateway.stop();
});

describe('the commands that ask a running gateway', () => {
  it('print tables, by the address and the token of the file', async () => {
    const upstreams = await upgate('upstreams', '-c', gateway.file);
    expect(upstreams).toMatchObject({ code: 0, err: '' });
    expect(upstreams.out.split('\n')[0]).toMatch(/^UPSTREAM +SERVER +HEALTHY +ELIGIBLE/);
    expect(upstreams.out.split('\n')[1]).toMatch(/^app +ws:\/\/127\.0\.0\.1:1 +yes +yes +0 +0\.0\/s +0 +-$/);
    const connections = await upgate('connections', '-c', gateway.file, '--sort', 'bytes');
    expect(connections.out.split('\n')[1]).toMatch(/ echo +127\.0\.0\.1 /);
    const status = (await upgate('status', '-c', gateway.file)).out;
    expect(status).toMatch(/^relay\.engine +(native|js)$/m);
    expect(status).toMatch(/^listeners +host 127\.0\.0\.1, port \d+, tls false$/m);
    expect(status).toMatch(/^memory\.rss +\d+M$/m);
  });

  it('status prints what is within an item of a list by name, as of a certificate that could not be ordered', async () => {
    const acme = {
      ...{ domains: ['op.example.com'], email: 'op@example.com', terms_agreed: true },
      ...{ directory: 'https://127.0.0.1:1/directory', storage: mkdtempSync(join(tmpdir(), 'upgate-show-')) },
    };
    const listeners = [
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port: 0, tls: { acme } },
    ];
    const other = await startGateway({ ...configWith(await freePort()), listeners });
    await expect
      .poll(async () => (await upgate('status', '-c', other.file)).out, { timeout: TEST_TIMEOUT_MS })
      .toMatch(
        /^certificate_orders +names op\.example\.com, .*, last_error\.reason connection, last_error\.detail .*ECONNREFUSED/m,
      );
    expect((await upgate('top', '-c', other.file)).out).toMatch(
      /^no certificate for op\.example\.com: .*ECONNREFUSED/m,
    );
    await other.stop();
  });

  it('print JSON with --json, as the API gives it', async () => {
    const { out } = await upgate('connections', '-c', gateway.file, '--json', '--search', 'echo');
    expect(JSON.parse(out)).toMatchObject({ total: 1, connections: [{ route: 'echo' }] });
    expect(JSON.parse((await upgate('status', '-c', gateway.file, '--json')).out)).toMatchObject({ pid: gateway.pid });
  });

  it('top shows all of it, once where the output is no terminal', async () => {
    const { code, out } = await upgate('top', '-c', gateway.file);
    expect(code).toBe(0);
    for (const part of ['upgate ', 'tunnels 1', 'UPSTREAM', 'REASON', 'RATE']) expect(out).toContain(part);
    expect(out).not.toContain('\u001b');
  });

  it('say what is wrong: nobody there, a wrong token, a bad parameter, a bad file', async () => {
    const nobody = await upgate('status', '-c', writeConfig(configWith(1)));
    expect(nobody).toMatchObject({ code: 1, out: '', err: expect.stringContaining('ECONNREFUSED') });
    const stranger = await upgate('status', '-c', writeConfig(configWith(gateway.adminPort, 'some-other-long-token')));
    expect(stranger).toMatchObject({ code: 1, err: expect.stringContaining('401 unauthorized') });
    const sort = await upgate('connections', '-c', gateway.file, '--sort', 'colour');
    expect(sort).toMatchObject({ code: 1, err: expect.stringContaining('sort is one of') });
    expect(await upgate('top', '-c', '/nowhere.yaml')).toMatchObject({
      code: 1,
      err: expect.stringContaining('no such file'),
    });
  });
});

describe('a file that has mistakes by now', () => {
  const text = (port: number, admin: object = {}) =>
    JSON.stringify({
      ...configWith(port),
      admin: { ...configWith(port).admin, ...admin },
      listeners: [{ port: 0, tls: { certificates: [{ cert: '/nowhere.crt', key: '/nowhere.key' }] } }],
      rotes: [],
    });

  it('names the gateway all the same', async () => {
    const file = writeConfig(text(gateway.adminPort));
    expect(await upgate('upstreams', '-c', file)).toMatchObject({ code: 0, err: '' });
    expect(await upgate('healthcheck', '-c', file)).toMatchObject({ code: 0, err: '' });
  });

  it('does not where the mistake is in admin', async () => {
    const file = writeConfig(text(gateway.adminPort, { token: 'short' }));
    for (const command of ['status', 'healthcheck'])
      expect(await upgate(command, '-c', file)).toMatchObject({
        code: 1,
        err: expect.stringMatching(/^[^\n]+: error: admin\.token: [^\n]+\n$/),
      });
  });
});

describe('on a terminal', () => {
  const optionsFor = (config: string, printed: string[], more: object = {}) => ({
    ...{ config, env: {}, json: false, columns: null, ...more },
    print: (line: string) => void printed.push(line),
    printError: (line: string) => void printed.push(`error: ${line}`),
  });

  it('connections has a line of its width for each session, and says so', async () => {
    const printed: string[] = [];
    expect(await show('connections', optionsFor(gateway.file, printed, { columns: 60 }))).toBe(0);
    expect(printed.slice(0, 2).map((line) => line.length)).toEqual([60, 60]);
    expect(printed.slice(2)).toEqual(['cut at 60 columns; --json, a pipe or a wider terminal has all']);
  });

  it('top has its width, goes on while nobody answers, and ends when it is asked to', async () => {
    const other = await startGateway(configWith(await freePort()));
    const quit = new AbortController();
    const screens: string[] = [];
    const ended = top(optionsFor(other.file, screens), { rows: 24, columns: 80, quit: quit.signal });
    await expect.poll(() => screens.length, { timeout: 10_000 }).toBeGreaterThan(0);
    await other.stop();
    await expect.poll(() => screens.at(-1), { timeout: 10_000 }).toMatch(/not reached, trying again: .*refused/);
    quit.abort();
    expect(await ended).toBe(0);
    expect(screens[0]).toMatch(/^RATE +ROUTE +CLIENT/m);
    expect(Math.max(...screens.flatMap((text) => text.split('\n')).map((line) => line.length))).toBeLessThanOrEqual(86);
  });
});

describe('a table', () => {
  it('has columns as wide as they need, numbers to the right, and no control characters', () => {
    const columns = [
      { title: 'NAME', of: (row: Readonly<Record<string, unknown>>) => row['name'] },
      { title: 'N', of: (row: Readonly<Record<string, unknown>>) => row['n'], right: true as const },
    ];
    const lines = formatTable(columns, [
      { name: 'a\u001b[31m', n: 5 },
      { name: null, n: 12345 },
    ]);
    expect(lines).toEqual(['NAME        N', 'a?[31m      5', '-       12345']);
    expect(plain('x\u202ey')).toBe('x?y');
  });

  it('has short sizes and durations', () => {
    expect([0, 1023, 1536, 20_480, 5 * 1024 ** 3].map(shortBytes)).toEqual(['0B', '1023B', '1.5K', '20K', '5.0G']);
    expect([5, 65, 3700, 90_000].map(shortDuration)).toEqual(['5s', '1m5s', '1h1m', '1d1h']);
  });
});
