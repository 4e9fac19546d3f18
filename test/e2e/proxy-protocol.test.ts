// PROXY preambles at the built gateway's two sides: read before TLS, on plain listeners and on unix sockets, from listed
// peers only, at every split; and sent to servers before everything else, by every way there is of reaching them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatPreamble, type Proxied } from '../../src/http/proxy-protocol.ts';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { openClient } from '../support/client.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { type PreambleServer, startPreambleServer } from '../support/preambles.ts';
import { connectRaw, handshake, type RawTarget, readAnswer } from '../support/raw.ts';
import { type RestServer, type Seen, startRest } from '../support/rest.ts';
import { closedPort } from '../support/scripted.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-'));
const CLIENT = '192.0.2.7';
const SIX = '2001:db8::7';
const from = (address: string): Proxied => ({
  source: { address, port: 51_234 },
  destination: { address: address.includes(':') ? '2001:db8::1' : '198.51.100.1', port: 443 },
});
const V1 = formatPreamble('v1', from(CLIENT));
const V2 = formatPreamble('v2', from(SIX));
const REQUEST = Buffer.from('GET /seen HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n');

/** All of what comes back until the end. */
async function all(to: RawTarget, ...parts: readonly (Buffer | string)[]): Promise<Buffer> {
  const connection = await connectRaw(to);
  connection.socket.setNoDelay(true);
  for (const part of parts) {
    connection.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { bytes } = await connection.closed();
  connection.socket.destroy();
  return bytes;
}

/** X-Forwarded-For as the backend saw it. */
function forwardedFor(answer: Buffer): string | undefined {
  const { status, body } = readAnswer(answer);
  expect(status).toBe(200);
  const { rawHeaders } = JSON.parse(body) as Seen;
  return rawHeaders[rawHeaders.indexOf('X-Forwarded-For') + 1];
}

describe('in', () => {
  const SOCKET = join(dir, 'in.sock');
  let rest: RestServer;
  let gateway: Gateway;
  let config: GatewayFile;
  beforeAll(async () => {
    rest = await startRest();
    const proxy_protocol = { from: ['127.0.0.1', '::1'], timeout: '2s' };
    config = {
      listeners: [
        { host: '127.0.0.1', port: 0, proxy_protocol },
        { host: '127.0.0.1', port: 0, proxy_protocol, tls: { self_signed: ['localhost'] } },
        { host: '127.0.0.1', port: 0, proxy_protocol: { from: ['192.0.2.0/24'] } },
        { unix: SOCKET, proxy_protocol: { from: ['unix'] } },
      ],
      upstreams: { rest: { servers: [`http://127.0.0.1:${rest.port}`] } },
      routes: [
        {
          name: 'ws',
          match: { path: '/ws' },
          websocket: { mode: 'terminate', handler: 'echo', origins: 'any', limits: { connections_per_ip: 1 } },
        },
        { name: 'some', match: { path: '/some' }, allow: [CLIENT], respond: { body: 'in' } },
        { name: 'rest', http: { upstream: 'rest' } },
      ],
    };
    gateway = await startGateway(config);
  });
  afterAll(async () => {
    await gateway?.stop('SIGKILL');
    rest?.close();
  });

  it.each([
    ['1', V1, CLIENT],
    ['2', V2, SIX],
  ])('version %s, with the request glued behind it', async (_, preamble, client) => {
    expect(forwardedFor(await all(gateway.port, Buffer.concat([preamble, REQUEST])))).toBe(client);
    await gateway.log({ event: 'request_completed', client });
  });

  it('at every split, in the preamble and behind it', async () => {
    for (const [preamble, client] of [[V1, CLIENT] as const, [V2, SIX] as const]) {
      const bytes = Buffer.concat([preamble, REQUEST]);
      const splits = Array.from({ length: preamble.length + 8 }, (_, i) => i + 1);
      const answers = await Promise.all(splits.map((i) => all(gateway.port, bytes.subarray(0, i), bytes.subarray(i))));
      expect(answers.map(forwardedFor)).toEqual(splits.map(() => client));
    }
  });

  it('byte by byte', async () => {
    const parts = [...Buffer.concat([V2, REQUEST])].map((byte) => Buffer.from([byte]));
    expect(forwardedFor(await all(gateway.port, ...parts))).toBe(SIX);
  });

  it('before TLS, at every split', async () => {
    const ask = async (split: number): Promise<string | undefined> => {
      const below = (await connectRaw(gateway.ports[1]!)).socket;
      below.removeAllListeners('data');
      below.setNoDelay(true).write(V2.subarray(0, split));
      await new Promise((resolve) => setImmediate(resolve));
      below.write(V2.subarray(split));
      const socket = connectTls({ socket: below, rejectUnauthorized: false });
      socket.write(REQUEST);
      const chunks: Buffer[] = [];
      for await (const chunk of socket) chunks.push(chunk as Buffer);
      return forwardedFor(Buffer.concat(chunks));
    };
    const splits = Array.from({ length: V2.length }, (_, i) => i + 1);
    expect(await Promise.all(splits.map(ask))).toEqual(splits.map(() => SIX));
  });

  it('glued to the ClientHello', async () => {
    const near = await connectRaw(gateway.ports[1]!);
    near.socket.removeAllListeners('data');
    near.socket.cork();
    near.socket.write(V1);
    const socket = connectTls({ socket: near.socket, rejectUnauthorized: false });
    process.nextTick(() => near.socket.uncork());
    socket.write(REQUEST);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(forwardedFor(Buffer.concat(chunks))).toBe(CLIENT);
  });

  it('on a unix socket', async () =>
    expect(forwardedFor(await all({ path: SOCKET }, Buffer.concat([V1, REQUEST])))).toBe(CLIENT));

  it('LOCAL and UNKNOWN keep the peer', async () => {
    for (const version of ['v1', 'v2'] as const) {
      const bytes = Buffer.concat([formatPreamble(version, null), REQUEST]);
      expect(forwardedFor(await all(gateway.port, bytes))).toBe('127.0.0.1');
    }
  });

  it('decides who may connect, and counts per client', async () => {
    const some = 'GET /some HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n';
    expect(readAnswer(await all(gateway.port, V1, some)).status).toBe(200);
    expect(readAnswer(await all(gateway.port, V2, some)).status).toBe(403);
    const open = async (preamble: Buffer) => {
      const connection = await connectRaw(gateway.port);
      connection.write(Buffer.concat([preamble, Buffer.from(handshake())]));
      return { connection, status: readAnswer(await connection.until('\r\n\r\n')).status };
    };
    const first = await open(V1);
    const again = await open(V1);
    const other = await open(V2);
    expect([first.status, again.status, other.status]).toEqual([101, 429, 101]);
    for (const { connection } of [first, again, other]) connection.reset();
  });

  it('holds for every request of the connection, and for one that was put back', async () => {
    const h2c = 'GET /seen HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n';
    const connection = await connectRaw(gateway.port);
    connection.write(Buffer.concat([V1, Buffer.from(h2c)]));
    await connection.until('}');
    connection.write(REQUEST);
    const { bytes } = await connection.closed();
    expect(bytes.toString().match(/"X-Forwarded-For","[^"]*"/g)).toEqual(
      Array<string>(2).fill(`"X-Forwarded-For","${CLIENT}"`),
    );
  });

  const refusals = (reason: string) => ({ listener: '127.0.0.1:0', reason });
  it.each<[string, Buffer]>([
    ['none', REQUEST],
    ['a line that is none', Buffer.from('PROXY TCP4 here there 1 2\r\n')],
    ['a block of another version', Buffer.concat([V2.subarray(0, 12), Buffer.from([0x31, 0x11, 0, 0])])],
    ['a line without an end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`)],
    ['TLS', Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])],
  ])('closes without a byte: %s', async (_, bytes) => {
    const before = (await gateway.metric('proxy_protocol_refusals_total', refusals('malformed'))) ?? 0;
    expect(await all(gateway.port, bytes)).toHaveLength(0);
    expect(await gateway.metric('proxy_protocol_refusals_total', refusals('malformed'))).toBe(before + 1);
    await gateway.log({ event: 'preamble_refused', reason: 'malformed', client: '127.0.0.1' });
  });

  it('closes one that breaks off, with a line, and one that says nothing, without', async () => {
    const count = async () => (await gateway.metric('proxy_protocol_refusals_total', refusals('malformed'))) ?? 0;
    const before = await count();
    const silent = await connectRaw(gateway.port);
    silent.end();
    expect(await silent.closed()).toMatchObject({ bytes: Buffer.alloc(0) });
    expect(await count()).toBe(before);
    const half = await connectRaw(gateway.port);
    half.write(V2.subarray(0, 20));
    half.end();
    expect(await half.closed()).toMatchObject({ bytes: Buffer.alloc(0) });
    await gateway.log({
      event: 'preamble_refused',
      detail: 'the connection ended within the preamble, after 20 bytes',
    });
    expect(await count()).toBe(before + 1);
  });

  it('closes a late one, that drips too', async () => {
    const connection = await connectRaw(gateway.port);
    connection.write(V2.subarray(0, 5));
    const drip = setInterval(() => connection.write(V2.subarray(5, 6)), 10_000);
    expect(await connection.closed()).toMatchObject({ bytes: Buffer.alloc(0) });
    clearInterval(drip);
    await gateway.log({ event: 'preamble_refused', reason: 'late', client: '127.0.0.1' });
    expect(await gateway.metric('proxy_protocol_refusals_total', refusals('late'))).toBeGreaterThan(0);
  });

  it('of a peer that is not listed, none is read', async () => {
    expect(forwardedFor(await all(gateway.ports[2]!, REQUEST))).toBe('127.0.0.1');
    expect(readAnswer(await all(gateway.ports[2]!, V1, REQUEST)).status).toBe(400);
  });

  it('a reload holds for the connections to come', async () => {
    const open = await connectRaw(gateway.ports[2]!);
    open.write(REQUEST.toString().replace('Connection: close', 'Connection: keep-alive'));
    await open.until('}');
    const [one, two, , four] = config.listeners;
    const third = { host: '127.0.0.1', port: 0, proxy_protocol: { from: ['127.0.0.0/8'] } };
    writeFileSync(gateway.file, JSON.stringify({ admin: { port: 0 }, ...config, listeners: [one, two, third, four] }));
    gateway.signal('SIGHUP');
    await gateway.log({ event: 'config_reloaded', result: 'success' });
    open.write(REQUEST);
    expect((await open.closed()).bytes.toString().match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(await all(gateway.ports[2]!, REQUEST)).toHaveLength(0);
    expect(forwardedFor(await all(gateway.ports[2]!, V1, REQUEST))).toBe(CLIENT);
  });
});

describe('out', () => {
  const pair = makeSelfSigned(['localhost'], new Date());
  const SERVERS = ['v1', 'v2', 'tls'] as const;
  let servers: Record<(typeof SERVERS)[number], PreambleServer>;
  const started: { close(): void }[] = [];
  beforeAll(async () => {
    servers = {
      v1: await startPreambleServer(),
      v2: await startPreambleServer(),
      tls: await startPreambleServer({ cert: pair.cert, key: pair.key }),
    };
    started.push(...Object.values(servers));
  });
  afterAll(() => {
    for (const server of started) server.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const configOf = (more: Partial<GatewayFile>): GatewayFile => ({
    listeners: [
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port: 0, proxy_protocol: { from: ['127.0.0.1'] } },
    ],
    trusted_proxies: ['127.0.0.9'],
    upstreams: {
      v1: { servers: [`ws://127.0.0.1:${servers.v1.port}`], proxy_protocol: 'v1' },
      v2: { servers: [`ws://127.0.0.1:${servers.v2.port}`], proxy_protocol: 'v2' },
      tls: { servers: [`wss://localhost:${servers.tls.port}`], proxy_protocol: 'v2', tls: { verify: false } },
    },
    routes: SERVERS.map((upstream) => ({
      name: upstream,
      match: { path: `/${upstream}/*` },
      websocket: { mode: 'splice' as const, upstream, origins: 'any' as const },
      http: { upstream },
    })),
    ...more,
  });

  describe.each([
    ['auto', 'native'],
    ['http-proxy', 'js'],
  ] as const)('by %s and the %s relay', (engine, relay) => {
    let gateway: Gateway;
    beforeAll(async () => {
      gateway = await startGateway(configOf({ http: { engine }, relay: { engine: relay } }));
    });
    afterAll(() => gateway?.stop('SIGKILL'));

    it.each(SERVERS)('plain requests to %s: a connection and a preamble each', async (name) => {
      const { preambles } = servers[name];
      const before = preambles.length;
      const client = await connectRaw(gateway.port);
      const request = `POST /${name}/a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n\r\nhello`;
      for (let i = 1; i <= 3; i++) {
        client.write(request);
        await client.until(
          (bytes) => (bytes.toString().match(/HTTP\/1\.1 200/g) ?? []).length === i && bytes.includes('}'),
        );
      }
      const { localPort } = client.socket;
      const ends = `127.0.0.1 127.0.0.1 ${localPort} ${gateway.port}`;
      expect(preambles.slice(before)).toEqual(
        Array<string>(3).fill(name === 'v1' ? `PROXY TCP4 ${ends}` : `v2 ${ends}`),
      );
      client.reset();
    });

    it.each(SERVERS)('a spliced session to %s', async (name) => {
      const client = await openClient(`ws://127.0.0.1:${gateway.port}/${name}/ws`);
      client.socket.send('through');
      expect(await client.next()).toBe('through');
      const { localPort } = (client.socket as unknown as { _socket: { localPort: number } })._socket;
      const ends = `127.0.0.1 127.0.0.1 ${localPort} ${gateway.port}`;
      expect(servers[name].preambles.at(-1)).toBe(name === 'v1' ? `PROXY TCP4 ${ends}` : `v2 ${ends}`);
      await client.close();
    });

    it('hands on what a preamble says, its destination too, in both kinds', async () => {
      const createConnection = () => {
        const socket = connect(gateway.ports[1]!, '127.0.0.1');
        socket.write(V1);
        return socket;
      };
      const client = await openClient('ws://gateway.test/v2/ws', { createConnection });
      expect(servers.v2.preambles.at(-1)).toBe(`v2 ${CLIENT} 198.51.100.1 51234 443`);
      const large = 'x'.repeat(300_000);
      client.socket.send(large);
      expect(await client.next()).toBe(large);
      await client.close();
      await gateway.log({ event: 'session_closed', client: CLIENT, route: 'v2' });
      const plain = Buffer.from('GET /v1/a HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n');
      expect(readAnswer(await all(gateway.ports[1]!, V2, plain)).status).toBe(200);
      expect(servers.v1.preambles.at(-1)).toBe(`PROXY TCP6 ${SIX} 2001:db8::1 51234 443`);
    });

    it('names the client of a trusted proxy, without its port', async () => {
      const proxy = { host: '127.0.0.1', port: gateway.port, localAddress: '127.0.0.9' };
      const ask = (name: string) =>
        all(proxy, `GET /${name}/a HTTP/1.1\r\nHost: g\r\nX-Forwarded-For: ${SIX}\r\nConnection: close\r\n\r\n`);
      expect(readAnswer(await ask('v1')).status).toBe(200);
      expect(servers.v1.preambles.at(-1)).toBe(`PROXY TCP6 ${SIX} ::ffff:127.0.0.1 0 ${gateway.port}`);
      expect(readAnswer(await ask('v2')).status).toBe(200);
      const mapped = `00000000000000000000ffff${Buffer.from([127, 0, 0, 1]).toString('hex')}`;
      expect(servers.v2.preambles.at(-1)).toBe(`v2 20010db8000000000000000000000007 ${mapped} 0 ${gateway.port}`);
    });
  });

  it.each(['tcp', 'http', 'websocket'] as const)('checks of type %s are of the gateway itself', async (type) => {
    const [one, two] = [await startPreambleServer(), await startPreambleServer()];
    started.push(one, two);
    const health = { active: { type, every: '100ms', timeout: '100ms' } } as const;
    const gateway = await startGateway(
      configOf({
        upstreams: {
          v1: { servers: [`ws://127.0.0.1:${one.port}`], proxy_protocol: 'v1', health },
          v2: { servers: [`ws://127.0.0.1:${two.port}`], proxy_protocol: 'v2', health },
          tls: { servers: ['ws://127.0.0.1:1'] },
        },
      }),
    );
    const enough = async (server: PreambleServer) => {
      while (server.preambles.length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await Promise.all([enough(one), enough(two)]);
    await gateway.stop('SIGKILL');
    expect(new Set(one.preambles)).toEqual(new Set(['PROXY UNKNOWN']));
    expect(new Set(two.preambles)).toEqual(new Set(['LOCAL']));
  });

  it('events of the webhook handler are of the gateway itself', async () => {
    const gateway = await startGateway(
      configOf({
        routes: [
          {
            name: 'hook',
            match: { path: '/hook' },
            websocket: {
              mode: 'terminate',
              handler: 'webhook',
              origins: 'any',
              webhook: { upstream: 'v2', path: '/events' },
            },
          },
          { name: 'one', match: { path: '/one' }, http: { upstream: 'v1' } },
          { name: 'tls', http: { upstream: 'tls' } },
        ],
      }),
    );
    const client = await openClient(`ws://127.0.0.1:${gateway.port}/hook`);
    expect(servers.v2.preambles.at(-1)).toBe('LOCAL');
    client.socket.terminate();
    await gateway.stop('SIGKILL');
  });

  it('a server that does not answer by TLS, or is not there, is 502 or 504', async () => {
    const closed = await closedPort();
    for (const engine of ['auto', 'http-proxy'] as const) {
      const tls = {
        servers: [`wss://localhost:${servers.v1.port}`],
        proxy_protocol: 'v1' as const,
        tls: { verify: false },
      };
      const gateway = await startGateway({
        listeners: [{ host: '127.0.0.1', port: 0 }],
        http: { engine },
        upstreams: { gone: { servers: [`http://127.0.0.1:${closed}`], proxy_protocol: 'v1' }, tls },
        routes: [
          { name: 'gone', match: { path: '/gone' }, http: { upstream: 'gone' } },
          { name: 'tls', http: { upstream: 'tls', timeouts: { connect: '300ms' } } },
        ],
      });
      const ask = async (path: string) =>
        readAnswer(await all(gateway.port, `GET ${path} HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n`)).status;
      expect(await ask('/gone')).toBe(502);
      expect([502, 504]).toContain(await ask('/tls'));
      await gateway.stop('SIGKILL');
    }
  });
});
