// Who may connect: allow and deny of the built gateway, for handshakes and plain requests, by TCP, by unix socket and
// through a trusted proxy.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../support/child.ts';
import { type Gateway, type GatewayFile, MAIN, startGateway, writeConfig } from '../support/gateway.ts';
import { connectRaw, exchange, handshake, type RawTarget, readAnswer } from '../support/raw.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-'));
const SOCKET = join(dir, 'gateway.sock');

const route = (name: string, lists: { allow?: string[]; deny?: string[] }) => ({
  name,
  match: { path: `/${name}` },
  ...lists,
  websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } as const,
  respond: { body: 'in' },
});
const CONFIG: GatewayFile = {
  listeners: [{ host: '::', port: 0 }, { unix: SOCKET }],
  trusted_proxies: ['127.0.0.9', 'unix'],
  routes: [
    route('open', {}),
    route('loopback', { allow: ['127.0.0.0/8', '::1'] }),
    route('mapped', { allow: ['::ffff:127.0.0.1'] }),
    route('not-me', { deny: ['127.0.0.1'] }),
    route('less', { allow: ['127.0.0.0/8'], deny: ['127.0.0.1'] }),
    route('elsewhere', { allow: ['192.0.2.0/24'] }),
    route('unix', { allow: ['unix'] }),
    route('no-unix', { deny: ['unix'] }),
    route('six', { allow: ['::/0'] }),
    { ...route('ws-only', { deny: ['127.0.0.1'] }), respond: undefined },
  ],
};

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway(CONFIG);
});
afterAll(async () => {
  await gateway?.stop('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

const plain = (path: string, field = '') =>
  `GET ${path} HTTP/1.1\r\nHost: gateway.test\r\n${field}Connection: close\r\n\r\n`;

/** The statuses of a plain request and of a handshake for the path. */
async function ask(to: RawTarget, path: string, forwardedFor?: string): Promise<[number, number]> {
  const one = await exchange(to, plain(path, forwardedFor === undefined ? '' : `X-Forwarded-For: ${forwardedFor}\r\n`));
  const fields = forwardedFor === undefined ? {} : { 'X-Forwarded-For': forwardedFor };
  const connection = await connectRaw(to);
  connection.write(handshake(fields, `GET ${path} HTTP/1.1`));
  const two = await connection.until('\r\n\r\n');
  connection.socket.destroy();
  return [readAnswer(one).status, readAnswer(two).status];
}
const IN: [number, number] = [200, 101];
const OUT: [number, number] = [403, 403];

describe('by TCP', () => {
  it.each<[string, [number, number]]>([
    ['/open', IN],
    ['/loopback', IN],
    ['/mapped', IN],
    ['/not-me', OUT],
    ['/less', OUT],
    ['/elsewhere', OUT],
    ['/unix', OUT],
    ['/no-unix', IN],
    ['/six', OUT],
  ])('127.0.0.1, which the socket calls ::ffff:127.0.0.1, at %s', async (path, expected) =>
    expect(await ask(gateway.port, path)).toEqual(expected),
  );
  it.each<[string, [number, number]]>([
    ['/loopback', IN],
    ['/mapped', OUT],
    ['/not-me', IN],
    ['/less', OUT],
    ['/six', IN],
  ])('::1 at %s', async (path, expected) =>
    expect(await ask({ host: '::1', port: gateway.port }, path)).toEqual(expected),
  );
  it('another address of loopback', async () => {
    const from = { host: '127.0.0.1', port: gateway.port, localAddress: '127.0.0.2' };
    expect(await ask(from, '/less')).toEqual(IN);
    expect(await ask(from, '/mapped')).toEqual(OUT);
  });
  it('does not believe X-Forwarded-For of anyone', async () => {
    expect(await ask(gateway.port, '/elsewhere', '192.0.2.7')).toEqual(OUT);
    expect(await ask(gateway.port, '/not-me', '192.0.2.7')).toEqual(OUT);
  });
});

it('goes by what a trusted proxy says, from the right', async () => {
  const proxy = { host: '127.0.0.1', port: gateway.port, localAddress: '127.0.0.9' };
  expect(await ask(proxy, '/elsewhere', '192.0.2.7')).toEqual(IN);
  expect(await ask(proxy, '/elsewhere', '192.0.2.7, 198.51.100.1')).toEqual(OUT);
  expect(await ask(proxy, '/not-me', '::ffff:127.0.0.1')).toEqual(OUT);
  expect(await ask(proxy, '/loopback')).toEqual(IN);
});

it('knows a unix socket, and what a proxy says there', async () => {
  const to = { path: SOCKET };
  expect(await ask(to, '/unix')).toEqual(IN);
  expect(await ask(to, '/no-unix')).toEqual(OUT);
  expect(await ask(to, '/loopback')).toEqual(OUT);
  expect(await ask(to, '/not-me')).toEqual(IN);
  expect(await ask(to, '/elsewhere', '192.0.2.7')).toEqual(IN);
  expect(await ask(to, '/unix', '192.0.2.7')).toEqual(OUT);
});

it('answers 403 address in one whole response, counts and logs it', async () => {
  const answer = readAnswer(await exchange(gateway.port, handshake({}, 'GET /elsewhere HTTP/1.1')));
  expect(answer.fields).toContainEqual(['X-Gateway-Reason', 'address']);
  expect(JSON.parse(answer.body)).toMatchObject({ reason: 'address', detail: 'this address may not connect here' });
  await gateway.log({ event: 'handshake_rejected', route: 'elsewhere', reason: 'address', client: '127.0.0.1' });
  const labels = { route: 'elsewhere', reason: 'address' };
  expect(await gateway.metric('websocket_rejections_total', labels)).toBeGreaterThan(0);
});

it('tells whom a WebSocket route does not take nothing of it', async () => {
  expect(readAnswer(await exchange(gateway.port, plain('/ws-only'))).status).toBe(403);
  const other = { host: '::1', port: gateway.port };
  expect(readAnswer(await exchange(other, plain('/ws-only'))).status).toBe(426);
});

it('refuses by address before it looks at the handshake', async () => {
  const broken = handshake({ 'Sec-WebSocket-Key': 'none' }, 'GET /not-me HTTP/1.1');
  expect(readAnswer(await exchange(gateway.port, broken)).status).toBe(403);
});

it('goes on with the next request of a connection that was refused one', async () => {
  const two = plain('/not-me').replace('Connection: close\r\n', '') + plain('/open');
  const text = (await exchange(gateway.port, two)).toString('latin1');
  expect(text.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 403', 'HTTP/1.1 200']);
});

it('is explained', async () => {
  const file = writeConfig(CONFIG);
  const explain = (...args: string[]) => run(process.execPath, [MAIN, 'explain', '-c', file, ...args]);
  const refused = await explain('ws://gateway.test/less', '--from', '127.0.0.1');
  expect(refused.code).toBe(1);
  expect(refused.stdout).toContain('no   address: 127.0.0.1 (deny: 127.0.0.1)');
  expect(refused.stdout).toContain('-> 403 address');
  const other = await explain('http://gateway.test/less', '--from', '10.0.0.1');
  expect(other.stdout).toContain('no   address: 10.0.0.1 (allow: 127.0.0.0/8)');
  expect((await explain('ws://gateway.test/unix', '--from', 'unix')).stdout).toContain(
    'yes  address: a unix socket (allow: unix)',
  );
  expect((await explain('ws://gateway.test/unix', '--from', 'me')).stderr).toContain('--from "me" is no IP address');
  rmSync(join(file, '..'), { recursive: true });
});
