// `auth.basic` from the built program, with curl and a browser's WebSocket client: users in the config and in a file as
// htpasswd writes it, hashes of scrypt and bcrypt, and nothing of a password in any output.
import { scryptSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import bcrypt from 'bcrypt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { type Gateway, type GatewayFile, MAIN, startGateway, writeConfig } from '../support/gateway.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-basic-'));
const file = join(dir, 'users');
const plain = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');

function scrypted(password: string): string {
  const salt = Buffer.from('sixteen octets !');
  return `$scrypt$ln=10,r=8,p=1$${plain(salt)}$${plain(scryptSync(password, salt, 32, { N: 1024, r: 8, p: 1 }))}`;
}

const routes: GatewayFile['routes'] = [
  {
    name: 'echo',
    match: { path: '/echo' },
    auth: { basic: { realm: 'the app', users: { ann: scrypted('wonder:land') } } },
    websocket: { mode: 'terminate', handler: 'echo', origins: 'any' },
    respond: { body: 'hello {claim.sub}', headers: { 'X-User': '{claim.sub}' } },
  },
  { name: 'staff', match: { path: '/staff' }, auth: { basic: { users_file: file } }, respond: { body: 'staff' } },
];

let gateway: Gateway;
beforeAll(async () => {
  writeFileSync(file, `# staff\nbob:${bcrypt.hashSync('builder', 4).replace('$2b$', '$2y$')}\n`);
  gateway = await startGateway({ listeners: [{ host: '127.0.0.1', port: 0 }], routes });
});
afterAll(async () => {
  await gateway.stop();
  rmSync(dir, { recursive: true });
});

const curl = async (path: string, ...options: string[]) => {
  const url = `http://127.0.0.1:${gateway.port}${path}`;
  return (await run('curl', ['-si', '--noproxy', '*', ...options, url])).stdout;
};
const basic = (credentials: string) => ({ Authorization: `Basic ${Buffer.from(credentials).toString('base64')}` });

describe('a plain request', () => {
  it('is asked for name and password, and let in with them', async () => {
    const asked = await curl('/echo');
    expect(asked).toMatch(/^HTTP\/1.1 401 /);
    expect(asked).toContain('WWW-Authenticate: Basic realm="the app", charset="UTF-8"');
    expect(asked).toContain('X-Gateway-Reason: auth');
    const entered = await curl('/echo', '-u', 'ann:wonder:land');
    expect(entered).toMatch(/^HTTP\/1.1 200 /);
    expect(entered).toContain('X-User: ann');
  });

  it.each(['ann:wonder', 'ann:', 'nobody:wonder:land', ':'])('is refused with %j', async (user) => {
    expect(await curl('/echo', '-u', user)).toMatch(/^HTTP\/1.1 401 /);
  });

  it('is judged by a file of htpasswd', async () => {
    expect(await curl('/staff', '-u', 'bob:builder')).toMatch(/^HTTP\/1.1 200 /);
    expect(await curl('/staff', '-u', 'ann:wonder:land')).toMatch(/^HTTP\/1.1 401 /);
  });
});

it('a handshake goes the same way, and its session is somebody’s', async () => {
  const url = `ws://127.0.0.1:${gateway.port}/echo`;
  await expect(openClient(url)).rejects.toThrow('401');
  await expect(openClient(url, { headers: basic('ann:wonder') })).rejects.toThrow('401');
  const client = await openClient(url, { headers: basic('ann:wonder:land') });
  client.socket.send('hello');
  expect(await client.next()).toBe('hello');
  await client.close();
  expect(await gateway.log({ event: 'session_closed', route: 'echo' })).toMatchObject({ user: 'ann' });
});

it('nothing of a password is in any output', () => {
  const shown = ['wonder', Buffer.from('ann:wonder:land').toString('base64'), 'builder', '$scrypt$', '$2y$'];
  for (const secret of shown) expect(gateway.output()).not.toContain(secret);
});

it('a reload reads the file anew', async () => {
  writeFileSync(file, `carol:${bcrypt.hashSync('carpenter', 4)}\n`);
  gateway.signal('SIGHUP');
  await gateway.log({ event: 'config_reloaded', result: 'success' });
  expect(await curl('/staff', '-u', 'bob:builder')).toMatch(/^HTTP\/1.1 401 /);
  expect(await curl('/staff', '-u', 'carol:carpenter')).toMatch(/^HTTP\/1.1 200 /);
});

it('check says which lines of a file are none, and which hashes, without repeating them', async () => {
  const broken = join(dir, 'broken');
  writeFileSync(broken, `bob:hunter2\nhunter3\n`);
  const users = { ann: 'hunter4' };
  const config = writeConfig({
    listeners: [{ port: 0 }],
    routes: [
      { name: 'a', match: { path: '/a' }, auth: { basic: { users_file: broken } }, respond: {} },
      { name: 'b', match: { path: '/b' }, auth: { basic: { users } }, respond: {} },
      { name: 'c', match: { path: '/c' }, auth: { basic: {} }, respond: {} },
    ],
  });
  const { code, stderr } = await run(process.execPath, [MAIN, 'check', '-c', config]);
  expect(code).toBe(1);
  expect(stderr).toContain('line 1 of the file: what stands behind bob is no hash');
  expect(stderr).toContain('line 2 of the file: there is no name before the first colon');
  expect(stderr).toContain('what stands behind ann is no hash');
  expect(stderr).toContain('needs "users" or "users_file"');
  expect(stderr).not.toContain('hunter');
});
