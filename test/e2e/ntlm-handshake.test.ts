// Handshakes to a backend that authenticates connections, as NTLM does (RFC 4559 §6): the login takes several of them on one
// connection of the client's and one of the server's, and ends with a 101.
import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ADDON } from '../../src/relay/native/addon.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { AUTHENTICATE, NEGOTIATE, startNtlm } from '../support/ntlm.ts';
import { connectRaw, handshake, type RawConnection, type RawTarget } from '../support/raw.ts';

const native = existsSync(process.env['UPGATE_NATIVE'] ?? ADDON);
const WHO = '\r\n\r\nwho is it';

let backends: Awaited<ReturnType<typeof startNtlm>>[];
let gateway: Gateway;
const open: RawConnection[] = [];

/** Two servers: without a binding every other step of a login would go to the one that knows nothing of it. */
async function start(change: {
  relay?: 'native' | 'js';
  engine?: 'auto' | 'http-proxy';
  host?: string;
}): Promise<void> {
  backends = [await startNtlm(), await startNtlm()];
  const { relay = 'js', engine = 'auto', host = '127.0.0.1' } = change;
  const servers = backends.map(({ port }) => `http://${host}:${port}`);
  gateway = await startGateway({
    listeners: [
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] } },
    ],
    relay: { engine: relay },
    http: { engine },
    upstreams: { iis: { servers, balance: 'round_robin' } },
    routes: [
      { name: 'iis', http: { upstream: 'iis' }, websocket: { mode: 'splice', upstream: 'iis', origins: 'any' } },
    ],
  });
}

async function stop(): Promise<void> {
  expect(await gateway?.stop()).toBe(0);
  expect(gateway?.stderr()).toBe('');
  for (const backend of backends ?? []) backend.close();
}

afterEach(async () => {
  for (const { socket } of open.splice(0)) socket.destroy();
  for (const backend of backends) await expect.poll(() => backend.sockets.size).toBe(0);
});

async function connect(target: RawTarget = gateway.port): Promise<RawConnection> {
  const client = await connectRaw(target);
  open.push(client);
  return client;
}

/** Sends a request, and waits for an answer that ends so; what came is given. */
async function ask(client: RawConnection, request: string, end: string): Promise<string> {
  const before = client.received().length;
  client.write(request);
  const bytes = await client.until((all) => all.subarray(before).includes(end));
  return bytes.toString('latin1', before);
}

const authorization = (token: string | null) => (token === null ? {} : { Authorization: `NTLM ${token}` });
const shake = (token: string | null = null, fields = {}) => handshake({ ...authorization(token), ...fields });
const get = (token: string | null = null) =>
  ['GET / HTTP/1.1', 'Host: a', ...(token === null ? [] : [`Authorization: NTLM ${token}`]), '', ''].join('\r\n');

const connections = () => backends.reduce((sum, backend) => sum + backend.accepted(), 0);

describe.each([
  ...(native ? [['native', '127.0.0.1'] as const, ['native', 'localhost'] as const] : []),
  ['js', '127.0.0.1'] as const,
])('by the relay %s, to servers at %s', (relay, host) => {
  beforeAll(() => start({ relay, host }));
  afterAll(stop);

  it.each([
    ['TCP', (): RawTarget => gateway.port],
    ['TLS', (): RawTarget => ({ tls: true, port: gateway.ports[1] ?? 0, rejectUnauthorized: false })],
  ])('a login of three handshakes over %s reaches its 101, and nobody else is taken for it', async (_, target) => {
    const before = connections();
    const client = await connect(target());
    const first = await ask(client, shake(), WHO);
    expect(first).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/);
    expect(first).not.toMatch(/^connection:/im);
    expect(await ask(client, shake(NEGOTIATE), '\r\n\r\ngo on')).toContain('WWW-Authenticate: NTLM TlRMTVNTUAAC');
    const other = await connect(target());
    await ask(other, shake(), WHO);
    expect(await ask(client, shake(AUTHENTICATE), 'hello alice')).toMatch(/^HTTP\/1\.1 101 /);
    expect(connections() - before).toBe(2);
    await ask(other, shake(), WHO);
    await ask(other, get(), WHO);
    expect(connections() - before).toBe(2);
  });

  it('plain requests and handshakes of one client share its connection to the server', async () => {
    const before = connections();
    const client = await connect();
    await ask(client, shake(NEGOTIATE), '\r\n\r\ngo on');
    expect(await ask(client, get(AUTHENTICATE), 'hello alice')).toMatch(/^HTTP\/1\.1 200 /);
    expect(await ask(client, get(), 'hello alice')).toMatch(/^HTTP\/1\.1 200 /);
    expect(await ask(client, shake(), 'hello alice')).toMatch(/^HTTP\/1\.1 101 /);
    expect(connections() - before).toBe(1);
  });

  it('both connections serve many steps, and end together when the client leaves', async () => {
    const before = connections();
    const client = await connect();
    for (let i = 0; i < 30; i++) await ask(client, shake(), WHO);
    expect(connections() - before).toBe(1);
    client.reset();
    for (const { sockets } of backends) await expect.poll(() => sockets.size).toBe(0);
  });

  it('a server that ends its connection costs the client nothing but its login', async () => {
    const before = connections();
    const client = await connect();
    await ask(client, shake(NEGOTIATE), '\r\n\r\ngo on');
    for (const { sockets } of backends) for (const socket of sockets) socket.end();
    await ask(client, shake(AUTHENTICATE), WHO);
    await ask(client, shake(NEGOTIATE), '\r\n\r\ngo on');
    expect(await ask(client, shake(AUTHENTICATE), 'hello alice')).toMatch(/^HTTP\/1\.1 101 /);
    expect(connections() - before).toBe(2);
  });

  it.each([
    ['said so', shake(null, { Connection: 'Upgrade, close' })],
    ['has sent on behind its handshake', `${shake()}GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n`],
  ])('the connection of a client that %s ends with the answer', async (_, request) => {
    const client = await connect();
    client.write(request);
    const { how, bytes } = await client.closed();
    const text = bytes.toString('latin1');
    expect([how, text.match(/HTTP\/1\.1 /g)?.length]).toEqual(['fin', 1]);
    expect(text).toContain('\r\nConnection: close\r\n');
  });
});

describe('by the HTTP engine http-proxy', () => {
  beforeAll(() => start({ engine: 'http-proxy' }));
  afterAll(stop);

  it('the connection ends with the 401, as any other answer to a handshake', async () => {
    const client = await connect();
    client.write(shake());
    const { how, bytes } = await client.closed();
    expect([how, bytes.toString('latin1')]).toEqual(['fin', expect.stringContaining('\r\nConnection: close\r\n')]);
  });
});
