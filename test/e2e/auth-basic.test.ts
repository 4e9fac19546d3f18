// Routes with name and password, through the built gateway: real clients and real hashes, what `check` says of a users file,
// and that a reload reads it anew. How a header is read, and what guessing costs, is test/unit/auth/basic.test.ts.
import { randomBytes, scryptSync } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import bcrypt from 'bcrypt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { run } from '../support/child.ts';
import { openClient, type Refusal } from '../support/client.ts';
import { type Gateway, type GatewayFile, MAIN, startGateway, writeConfig } from '../support/gateway.ts';
import { hasPeers } from '../support/peers.ts';
import { bothListeners, fetchBy, optionsOf, PROTOCOLS, targetOf } from '../support/protocols.ts';

const PASSWORDS = { ada: 'wonder:land', bob: 'grün und blau' };

function scryptOf(password: string): string {
  const salt = randomBytes(16);
  const [saltText, hashText] = [salt, scryptSync(password, salt, 32, { N: 1024 })].map((bytes) =>
    bytes.toString('base64').replace(/=+$/, ''),
  );
  return `$scrypt$ln=10,r=8,p=1$${saltText}$${hashText}`;
}

const LINES = {
  ada: `ada:${bcrypt.hashSync(PASSWORDS.ada, 4).replace(/^\$2b/, '$2y')}`,
  bob: `bob:${scryptOf(PASSWORDS.bob)}`,
};

let backend: { port: number; seen: string[]; close: () => void };
let gateway: Gateway;

async function startBackend(): Promise<typeof backend> {
  const seen: string[] = [];
  const server = createServer((req, res) => {
    seen.push(String(req.headers['x-user']));
    res.end('of the backend');
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    for (const client of sockets.clients) client.terminate();
    server.close();
    server.closeAllConnections();
  };
  return { port: (server.address() as AddressInfo).port, seen, close };
}

function config(usersFile = 'users'): GatewayFile {
  const auth = { basic: { realm: 'staff', users_file: usersFile }, recheck: { every: '200ms', grace: '1s' } };
  return {
    listeners: bothListeners(),
    log: { level: 'trace' },
    upstreams: { backend: { servers: [`http://127.0.0.1:${backend.port}`] } },
    routes: [
      {
        name: 'splice',
        match: { path: '/splice' },
        auth,
        websocket: { mode: 'splice', upstream: 'backend', origins: 'any' },
      },
      {
        name: 'echo',
        match: { path: '/echo' },
        auth,
        websocket: { mode: 'terminate', handler: 'echo', origins: 'any' },
      },
      {
        name: 'api',
        match: { path: '/api' },
        auth,
        http: { upstream: 'backend' },
        headers: { request: { set: { 'X-User': '{claim.sub}' } } },
      },
    ],
  };
}

/** A file of users beside nothing else, by its path. */
function usersFile(...lines: string[]): string {
  const file = join(writeConfig('').replace(/gateway\.yaml$/, ''), 'users');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

const basic = (user: string, password: string) => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});

let users: string;
beforeAll(async () => {
  backend = await startBackend();
  users = usersFile('# staff', '', LINES.ada, LINES.bob);
  gateway = await startGateway(config(users));
});
afterAll(async () => {
  await gateway?.stop();
  backend?.close();
});

describe.each(PROTOCOLS)('by HTTP/%s', (protocol) => {
  const get = (headers: Record<string, string> = {}) => fetchBy(gateway, protocol, '/api', { headers });

  describe('a plain request', () => {
    it.each(Object.entries(PASSWORDS))('of %s with the right password reaches the backend', async (user, password) => {
      expect((await get({ ...basic(user, password), 'X-User': 'root' })).status).toBe(200);
      expect(backend.seen.at(-1)).toBe(user);
    });

    it.each([
      ['nothing', {}],
      ['a wrong password', basic('ada', 'wonder')],
      ['another’s password', basic('bob', PASSWORDS.ada)],
      ['a name nobody has', basic('eve', PASSWORDS.ada)],
    ])('with %s is 401 with what a browser asks for', async (_, headers) => {
      const before = backend.seen.length;
      const answer = await get(headers as Record<string, string>);
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe('Basic realm="staff", charset="UTF-8"');
      expect(backend.seen).toHaveLength(before);
    });

    it.skipIf(!hasPeers('curl'))('of curl -u', async () => {
      const ask = async (credentials: string) =>
        (
          await run('curl', [
            '-sS',
            '-o',
            '/dev/null',
            '-w',
            '%{http_code}',
            '-u',
            credentials,
            ...(protocol === '2' ? ['--http2-prior-knowledge'] : []),
            `http://127.0.0.1:${targetOf(gateway, protocol).port}/api`,
          ])
        ).stdout;
      expect(await ask(`ada:${PASSWORDS.ada}`)).toBe('200');
      expect(await ask('ada:wrong')).toBe('401');
    });
  });

  it.each(['/splice', '/echo'])('a WebSocket: %s', async (path) => {
    const url = `ws://127.0.0.1:${targetOf(gateway, protocol).port}${path}`;
    const client = await openClient(url, { ...optionsOf(protocol), headers: basic('ada', PASSWORDS.ada) });
    client.socket.send('hello');
    expect(String(await client.next())).toBe('hello');
    await client.close();
    expect(await gateway.log({ event: 'session_closed', path, protocol })).toMatchObject({ user: 'ada' });
    const refused = (await openClient(url, { ...optionsOf(protocol), headers: basic('ada', 'no') }).catch(
      (error: unknown) => error,
    )) as Refusal;
    expect([refused.status, refused.fields['www-authenticate']]).toEqual([401, 'Basic realm="staff", charset="UTF-8"']);
  });
});

it('no password and no hash is in any output', () => {
  const output = gateway.output();
  for (const [user, password] of Object.entries(PASSWORDS)) {
    expect(output).not.toContain(password);
    expect(output).not.toContain(basic(user, password).Authorization);
  }
  expect(output).not.toMatch(/\$2[aby]\$|\$scrypt\$/);
});

it('check names the lines of a users file that are wrong, and repeats none of their secrets', async () => {
  const file = usersFile('', '# staff', LINES.ada, 'hunter2', 'eve:letmein', LINES.ada, ':x');
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'check', '-c', writeConfig(config(file))]);
  const said = stdout + stderr;
  expect(code).not.toBe(0);
  for (const line of [4, 5, 6, 7]) expect(said).toContain(`line ${line} of the file`);
  expect(said).not.toContain('line 3 of the file');
  expect(said).not.toMatch(/hunter2|letmein|\$2y/);
});

it.each(['/splice', '/echo'])(
  'a user that a reload takes out is refused, and a live session closed: %s',
  async (path) => {
    const own = usersFile(LINES.ada, LINES.bob);
    const other = await startGateway(config(own));
    const url = `ws://127.0.0.1:${other.port}${path}`;
    const open = (user: keyof typeof PASSWORDS) => openClient(url, { headers: basic(user, PASSWORDS[user]) });
    const [ada, bob] = [await open('ada'), await open('bob')];
    writeFileSync(own, `${LINES.bob}\n`);
    other.signal('SIGHUP');
    expect(await ada.closed).toEqual({ code: 4401, reason: 'credentials are refused' });
    expect(((await open('ada').catch((error: unknown) => error)) as Refusal).status).toBe(401);
    bob.socket.send('still here');
    expect(String(await bob.next())).toBe('still here');
    await bob.close();
    await other.stop();
  },
);
