// Client certificates on a TLS listener of the built gateway: required, optional, revoked, resumed; and what routes make of
// them. Certificates are openssl's, clients are node's TLS and ws.
import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Authority, type Issued, makeAuthority } from '../support/authority.ts';
import { run } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { type Gateway, type GatewayFile, MAIN, startGateway, writeConfig } from '../support/gateway.ts';

let authority: Authority;
let others: Authority;
let [alice, bob, mallory, server]: Issued[] = [];
let gateway: Gateway;

const REQUIRED = 0;
const OPTIONAL = 1;

const routes: GatewayFile['routes'] = [
  {
    name: 'staff',
    match: { path: '/staff' },
    auth: { certificate: { subjects: ['CN=alice'] } },
    websocket: { mode: 'terminate', handler: 'echo', origins: 'any' },
    respond: { body: 'staff' },
  },
  {
    name: 'anyone',
    match: { path: '/*' },
    websocket: { mode: 'terminate', handler: 'echo', origins: 'any' },
    respond: {
      body: 'anyone',
      headers: { 'X-Subject': '{client_cert_subject}', 'X-Fingerprint': '{client_cert_fingerprint}' },
    },
  },
];

beforeAll(async () => {
  authority = makeAuthority();
  others = makeAuthority();
  [alice, bob, server] = ['alice', 'bob', 'localhost'].map((name) => authority.issue(name, name)) as [
    Issued,
    Issued,
    Issued,
  ];
  mallory = others.issue('alice', 'alice');
  const crl = authority.revoke(bob);
  const tls = (mode: 'required' | 'optional') => ({
    certificates: [server!.files],
    client_auth: { ca: authority.file, crl, mode },
  });
  gateway = await startGateway({
    listeners: [
      { host: '127.0.0.1', port: 0, tls: tls('required') },
      { host: '127.0.0.1', port: 0, tls: tls('optional') },
    ],
    routes,
  });
});
afterAll(async () => {
  await gateway.stop();
  authority.remove();
  others.remove();
});

const showing = ({ cert, key }: Issued): ConnectionOptions => ({ cert, key });

/** What comes back for a GET; null where TLS does not let it through. */
async function get(listener: number, path: string, options: ConnectionOptions = {}): Promise<string | null> {
  const socket = connect({ host: '127.0.0.1', port: gateway.ports[listener]!, rejectUnauthorized: false, ...options });
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk) => (text += chunk));
    socket.on('error', () => resolve(null));
    socket.on('close', () => resolve(text === '' ? null : text));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  });
}

describe('a listener that requires a certificate', () => {
  it('lets in who has one of its authority', async () => {
    expect(await get(REQUIRED, '/', showing(alice!))).toContain('anyone');
  });

  it.each([
    ['none', () => ({})],
    ['one of another authority', () => showing(mallory!)],
    ['one that was revoked', () => showing(bob!)],
  ])('ends TLS with who has %s', async (_, options) => {
    expect(await get(REQUIRED, '/', options())).toBeNull();
  });

  it('carries a WebSocket', async () => {
    const client = await openClient(`wss://127.0.0.1:${gateway.ports[REQUIRED]}/staff`, {
      rejectUnauthorized: false,
      cert: alice!.cert,
      key: alice!.key,
    });
    client.socket.send('hello');
    expect(await client.next()).toBe('hello');
    await client.close();
    expect(await gateway.log({ event: 'session_closed', route: 'staff' })).toMatchObject({ user: 'CN=alice' });
  });
});

describe('a listener where it is optional', () => {
  it('leaves it to the routes', async () => {
    expect(await get(OPTIONAL, '/')).toContain('anyone');
    expect(await get(OPTIONAL, '/staff')).toContain('403 Forbidden');
    expect(await get(OPTIONAL, '/staff', showing(alice!))).toContain('staff');
  });

  it.each([
    ['of another authority', () => mallory!],
    ['that was revoked', () => bob!],
  ])('takes one %s for none', async (_, whose) => {
    expect(await get(OPTIONAL, '/', showing(whose()))).toContain('anyone');
    const refused = await get(OPTIONAL, '/staff', showing(whose()));
    expect(refused).toContain('X-Gateway-Reason: certificate');
  });

  it('tells who it is in fields, and nothing where there is none', async () => {
    const known = await get(OPTIONAL, '/', showing(alice!));
    expect(known).toContain('X-Subject: CN=alice');
    expect(known).toMatch(/X-Fingerprint: [0-9a-f]{64}\r\n/);
    expect(await get(OPTIONAL, '/', showing(mallory!))).not.toContain('X-Subject');
  });

  it('knows the client again in a session that is resumed, as who it was', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const options = { ...showing(alice!), maxVersion };
      const session = await sessionOf(options);
      const resumed = await get(OPTIONAL, '/staff', { maxVersion, session });
      expect([maxVersion, resumed]).toEqual([maxVersion, expect.stringContaining('staff')]);
    }
  });
});

/** A session that can be resumed. */
async function sessionOf(options: ConnectionOptions): Promise<Buffer> {
  const socket: TLSSocket = connect({
    host: '127.0.0.1',
    port: gateway.ports[OPTIONAL]!,
    rejectUnauthorized: false,
    ...options,
  });
  socket.write('GET /staff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const [session] = (await once(socket, 'session')) as [Buffer];
  socket.destroy();
  return session;
}

it('says what is wrong with its files, and where', async () => {
  const check = async (client_auth: object) => {
    const tls = { certificates: [server!.files], client_auth };
    const file = writeConfig({ listeners: [{ port: 0, tls } as never], routes });
    return (await run(process.execPath, [MAIN, 'check', '-c', file])).stderr;
  };
  expect(await check({ ca: '/nowhere.pem' })).toContain('there is no such file');
  expect(await check({ ca: server!.files.key })).toContain('holds no PEM certificate');
  expect(await check({ ca: authority.file, crl: authority.file })).toContain('holds no PEM list');
  expect(await check({ ca: authority.file, mode: 'sometimes' })).toMatch(/mode/);
});
