// `upgate status`, `upstreams`, `connections` and `top`, as the built program asks a running one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatTable, plain, shortBytes, shortDuration } from '../../src/app/tables.ts';
import { type Client, openClient } from '../support/client.ts';
import { type Gateway, MAIN, startGateway, writeConfig } from '../support/gateway.ts';

let gateway: Gateway;
let client: Client;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

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
    expect(upstreams.out.split('\n')[1]).toMatch(/^app +ws:\/\/127\.0\.0\.1:1 +yes +yes +up/);
    const connections = await upgate('connections', '-c', gateway.file, '--sort', 'bytes');
    expect(connections.out.split('\n')[1]).toMatch(/ echo +127\.0\.0\.1 /);
    expect((await upgate('status', '-c', gateway.file)).out).toMatch(/^relay\.engine +(native|js)$/m);
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
