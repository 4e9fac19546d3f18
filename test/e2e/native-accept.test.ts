// The native accept: which connections never become sockets of node's, and that all others reach node's server as if it had
// accepted them. That a gateway accepting so serves as one that does not is held by the tests of both relay engines.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ListenerRules } from '../../src/actions/listener-rules.ts';
import { peerOf } from '../../src/actions/peer.ts';
import { type Defect, onDefect } from '../../src/base/guard.ts';
import type { MessageLike } from '../../src/http/head.ts';
import { NativeAcceptor } from '../../src/listen/native-acceptor.ts';
import { hasReceived } from '../../src/listen/node-acceptor.ts';
import type { AcceptHandle } from '../../src/net/acceptor.ts';
import type { FdConnection } from '../../src/net/fd-connection.ts';
import { ADDON } from '../../src/relay/native/addon.ts';
import { NativeRelay } from '../../src/relay/native/native.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { keepaliveMs } from '../support/keepalive.ts';
import { connectRaw, exchange, handshake, type RawConnection } from '../support/raw.ts';
import { type Scripted, startScripted } from '../support/scripted.ts';
import { TEST_TIMEOUT_MS } from '../support/test-timeout.ts';
import { spending } from '../support/threads.ts';

const RULES = {} as ListenerRules;

const { UPGATE_NATIVE: addon = ADDON } = process.env;
const PLAIN = 'GET /plain HTTP/1.1\r\nHost: a\r\n\r\n';

interface First {
  readonly message: MessageLike;
  readonly connection: FdConnection;
  readonly rest: string;
}

describe.skipIf(!existsSync(addon))('the native accept', () => {
  const cleanup: (() => unknown)[] = [];
  let server: http.Server;
  let handle: AcceptHandle;
  let port: number;
  let maxHead: number | null;
  let takes: boolean;
  /** After so long a client that says nothing is the server's: far longer than this process is ever kept from writing. */
  let silentMs: number;
  let firsts: First[];
  /** Called as soon as one has come. */
  let onOffer: () => void;
  let failures: Error[];
  /** What node's server has seen, in order. */
  let seen: string[];
  let connections: Socket[];

  beforeEach(async () => {
    [maxHead, takes, firsts, failures, seen, connections] = [16_384, true, [], [], [], []];
    silentMs = 60_000;
    onOffer = () => undefined;
    await open('127.0.0.1');
  });
  afterEach(async () => {
    for (const undo of cleanup.splice(0).reverse()) await undo();
  });

  async function open(host: string): Promise<void> {
    const relay = new NativeRelay(2, addon);
    server = http.createServer((req, res) => {
      seen.push(`${req.method} ${req.url}`);
      res.end('plain');
    });
    server.on('connection', (socket: Socket) => connections.push(socket));
    server.on('upgrade', (req: IncomingMessage, socket: Socket, rest: Buffer) => {
      seen.push(`upgrade ${req.url} ${rest}`);
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    });
    await once(server.listen({ port: 0, host, backlog: 2048 }), 'listening');
    ({ port } = server.address() as AddressInfo);
    handle = new NativeAcceptor(server, {
      acceptor: { open: (fd, handler) => relay.acceptor.open(fd, handler, null, silentMs) },
      http1: () => null,
      maxHead: () => maxHead,
      rules: RULES,
      onAccepted: () => {},
      onFailed: (error) => failures.push(error),
      onTls: () => {},
      offer(message, connection, bytes) {
        if (takes) firsts.push({ message, connection, rest: bytes.toString() });
        onOffer();
        return takes ? 'taken' : 'declined';
      },
    }).open(null)!;
    cleanup.push(() => {
      for (const { connection } of firsts) connection.destroy();
      for (const socket of connections) socket.destroy();
      handle.close();
      server.close();
      relay.stop();
    });
  }

  async function client(host = '127.0.0.1'): Promise<RawConnection> {
    const connection = await connectRaw({ port, host });
    cleanup.push(() => connection.socket.destroy());
    return connection;
  }

  async function inTwo(raw: RawConnection, text: string): Promise<void> {
    raw.write(text.slice(0, 30));
    // The server has the first piece.
    await expect.poll(() => connections.length, { interval: 2 }).toBe(1);
    raw.write(text.slice(30));
  }

  const first = async (): Promise<First> => {
    await expect.poll(() => firsts.length, { interval: 2 }).toBe(1);
    return firsts[0]!;
  };

  it('gives a handshake that has come whole to who takes it, and node hears nothing of it', async () => {
    const raw = await client();
    raw.write(`${handshake({ Origin: 'https://a.example' }, 'GET /ws?a=b HTTP/1.1')}early`);
    const { message, connection, rest } = await first();
    expect(message).toMatchObject({ method: 'GET', url: '/ws?a=b', httpVersion: '1.1' });
    expect(message.rawHeaders.slice(-2)).toEqual(['Origin', 'https://a.example']);
    expect(rest).toBe('early');
    expect(peerOf(connection)).toEqual({
      address: '127.0.0.1',
      port: raw.socket.localPort,
      destination: null,
      listener: RULES,
    });
    expect([seen, connections]).toEqual([[], []]);
    connection.socket().end('bye');
    expect((await raw.closed()).bytes.toString()).toBe('bye');
  });

  it('has the kernel probe a connection after a minute of silence', async () => {
    const raw = await client();
    raw.write(handshake());
    await first();
    const inMs = keepaliveMs(port, raw.socket.localPort);
    expect(inMs).toBeGreaterThan(30_000);
    expect(inMs).toBeLessThanOrEqual(61_000);
  });

  it('gives a handshake of as many fields as a head may have to who takes it', async () => {
    (await client()).write(handshake(fields(190)));
    const { message } = await first();
    expect(message.rawHeaders.length).toBeGreaterThan(2 * 190);
    expect(seen).toEqual([]);
  });

  it('keeps no thread busy with a connection that was given away and has more to read', async () => {
    const raw = await client();
    // Only a client that is waited for is watched.
    await sleep(20);
    raw.write(handshake());
    await first();
    raw.write('more');
    expect(await spending()).toBeLessThan(0.1);
  });

  it('gives what is not taken to the server, from the first byte on', async () => {
    takes = false;
    const answer = await exchange(port, `${handshake()}rest`);
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
    expect(seen).toEqual(['upgrade /ws rest']);
  });

  it.each([
    ['that comes in two pieces', (raw: RawConnection) => inTwo(raw, handshake())],
    ['after an empty line', (raw: RawConnection) => raw.write(`\r\n${handshake()}`)],
  ])('leaves a handshake %s to the server', async (_, send) => {
    await send(await client());
    await expect.poll(() => seen).toEqual(['upgrade /ws ']);
    expect(firsts).toEqual([]);
  });

  it.each([
    ['a head that is too long', () => handshake({ 'X-Long': 'a'.repeat(17_000) }), '431'],
    ['a malformed head', () => handshake().replace('Host:', 'Host :'), '400'],
    ['no HTTP', () => 'hello there\r\n\r\n', '400'],
  ])('leaves %s to the server, which knows that the client has spoken', async (_, text, status) => {
    const spoken: boolean[] = [];
    server.on('clientError', (error: Error & { code?: string }, socket: Socket) => {
      spoken.push(hasReceived(socket));
      socket.end(`HTTP/1.1 ${error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400} No\r\nConnection: close\r\n\r\n`);
    });
    const raw = await client();
    raw.write(text());
    expect(`${await raw.until(' No')}`).toContain(status);
    expect([spoken[0], firsts]).toEqual([true, []]);
  });

  it('leaves plain requests to the server, the later ones of their connection too', async () => {
    const raw = await client();
    raw.write(PLAIN + PLAIN);
    await raw.until((bytes) => bytes.toString().split('plain').length === 3);
    raw.write(handshake());
    await raw.until('400');
    expect(seen).toEqual(['GET /plain', 'GET /plain', 'upgrade /ws ']);
    expect(firsts).toEqual([]);
  });

  it('leaves everything to the server where something else than a head may come first', async () => {
    maxHead = null;
    await exchange(port, handshake());
    expect(seen).toEqual(['upgrade /ws ']);
  });

  it('gives a silent client to the server, which has the timeouts for that', async () => {
    silentMs = 100;
    await open('127.0.0.1');
    const raw = await client();
    await expect.poll(() => connections.length, { interval: 10 }).toBe(1);
    expect(hasReceived(connections[0]!)).toBe(false);
    raw.write(PLAIN);
    await raw.until('plain');
    expect(seen).toEqual(['GET /plain']);
  });

  it('tells nobody of a client that leaves without a word', async () => {
    const [one, other] = [await client(), await client()];
    one.end();
    other.reset();
    await one.closed();
    await exchange(port, PLAIN.replace('Host', 'Connection: close\r\nHost'));
    expect([connections.length, firsts.length, failures]).toEqual([1, 0, []]);
  });

  it('names clients of IPv4 as such where it listens for both families', async () => {
    await open('::');
    (await client()).write(handshake());
    expect(peerOf((await first()).connection).address).toBe('127.0.0.1');
    firsts = [];
    (await client('::1')).write(handshake());
    expect(peerOf((await first()).connection).address).toBe('::1');
  });

  it('lets nobody connect once it is closed, and gives those who have to the server still', async () => {
    const silent = await client();
    // Those who wait to be accepted are sent away with the listener: this one has been, before the next one was.
    await exchange(port, PLAIN.replace('Host', 'Connection: close\r\nHost'));
    handle.close();
    server.close();
    await expect(connectRaw(port)).rejects.toThrow('ECONNREFUSED');
    silent.write(PLAIN);
    await silent.until('plain');
    expect(seen).toEqual(['GET /plain', 'GET /plain']);
    await expect.poll(() => server.listening).toBe(false);
  });

  it('accepts on each of its threads when many connect at once', async () => {
    const threads = new Set<number>();
    await expect
      .poll(
        () => {
          execFileSync(process.execPath, ['-e', CROWD_AT_ONCE, `${port}`, handshake()]);
          return new Promise((wake) => setTimeout(wake, 20)).then(() => {
            for (const { connection } of firsts.splice(0)) {
              threads.add(connection.thread);
              connection.destroy();
            }
            return [...threads].sort();
          });
        },
        { timeout: TEST_TIMEOUT_MS, interval: 1 },
      )
      .toEqual([0, 1]);
  });

  it('what is thrown by who is told of one connection costs nobody else’s', async () => {
    const defects: Defect[] = [];
    cleanup.push(onDefect((defect) => defects.push(defect)));
    const broken = Object.defineProperty(new Error('who is told broke'), 'stack', { value: '' });
    onOffer = () => {
      if (firsts.length === 2) throw broken;
    };
    const clients = [await client(), await client(), await client()];
    for (const raw of clients) raw.write(handshake());
    await expect.poll(() => firsts.length).toBe(3);
    await Promise.race(clients.map((raw) => raw.closed()));
    expect(defects).toEqual([{ where: 'connection', thrown: broken, id: null }]);
  });

  it('takes in more at once than it may tell of at a time, each once, while the main thread is busy', async () => {
    const descriptors = readdirSync('/proc/self/fd').length;
    // Waiting for the clients to end, this thread hears of nobody before they have.
    execFileSync(process.execPath, ['-e', CROWD, `${port}`, handshake({}, 'GET /@ HTTP/1.1')]);
    await expect.poll(() => firsts.length).toBe(1500);
    expect(new Set(firsts.map(({ message }) => message.url)).size).toBe(1500);
    for (const { connection } of firsts.splice(0)) connection.destroy();
    await expect.poll(() => readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(descriptors);
  });
});

const switching = (accept: string): string =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;

/** 1500 clients, one after the other, that say what they have to; they leave together. */
const CROWD = `
  const [port, text] = process.argv.slice(1);
  const come = (i) => {
    const socket = require('node:net').connect(Number(port), '127.0.0.1');
    socket.write(text.replace('@', i), () => (i < 1499 ? come(i + 1) : process.exit()));
  };
  come(0);
`;

/** 300 clients together, that leave as soon as they have said what they have to. */
const CROWD_AT_ONCE = `
  const [port, text] = process.argv.slice(1);
  let left = 300;
  for (let i = left; i > 0; i--) {
    const socket = require('node:net').connect(Number(port), '127.0.0.1');
    socket.write(text, () => --left || process.exit());
  }
`;

function fields(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`X-${i}`, 'a']));
}

describe.skipIf(!existsSync(addon))('a client that is accepted natively, and leaves before its 101', () => {
  let backend: Scripted;
  let gateway: Gateway;

  beforeAll(async () => {
    backend = await startScripted({
      '/ws': () => null,
      '/interim': () => 'HTTP/1.1 103 Early Hints\r\n\r\n',
      '/begun': () => 'HTTP/1.1 101 Switch',
      '/open': (_, accept) => switching(accept),
    });
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      upstreams: { chat: { servers: [{ url: `ws://127.0.0.1:${backend.port}`, max_connections: 1 }] } },
      routes: [
        {
          name: 'chat',
          websocket: {
            ...{ mode: 'splice', upstream: 'chat', origins: 'any', timeouts: { handshake: '5m' } },
            limits: { connections: 1 },
          },
        },
      ],
    });
  });
  afterAll(async () => {
    backend.close();
    await gateway.stop();
  });

  const LEAVING: readonly [string, string, (raw: RawConnection) => void][] = [
    ['by FIN', '/ws', (raw) => raw.end()],
    ['by FIN behind bytes of its own', '/ws', (raw) => raw.socket.end('early')],
    ['by FIN behind interim answers', '/interim', (raw) => raw.end()],
    ['by FIN within the answer’s head', '/begun', (raw) => raw.end()],
    ['by RST', '/ws', (raw) => raw.reset()],
  ];
  it.each(LEAVING)('%s: 499, the backend’s connection ends, and its place is free', async (_, path, leave) => {
    const left = { route: 'chat', mode: 'splice', result: 'failed' };
    const before = (await gateway.metric('websocket_handshakes_total', left)) ?? 0;
    const asked = backend.heads.length;
    const raw = await connectRaw(gateway.port);
    raw.write(handshake({}, `GET ${path} HTTP/1.1`));
    await expect.poll(() => backend.heads.length).toBe(asked + 1);
    leave(raw);
    await expect.poll(() => [...backend.sockets].at(-1)!.closed).toBe(true);
    raw.socket.destroy();
    await expect.poll(() => gateway.metric('websocket_handshakes_total', left)).toBe(before + 1);
    // The log comes by a pipe, and may come behind the metric.
    const lines = () => gateway.logs().filter(({ reason }) => reason === 'client_gone');
    await expect.poll(() => lines().length).toBe(before + 1);
    expect(lines().at(-1)).toMatchObject({ status: 499, route: 'chat' });
    // There is one place on the route, and one at the server.
    const next = await connectRaw(gateway.port);
    next.write(handshake({}, 'GET /open HTTP/1.1'));
    await next.until('101 Switching');
    next.socket.destroy();
    await expect.poll(() => gateway.metric('websocket_connections', { route: 'chat', mode: 'splice' })).toBe(0);
  });

  it('which is noticed also where it left with its handshake', async () => {
    const asked = backend.heads.length;
    const raw = await connectRaw(gateway.port);
    raw.socket.end(handshake());
    await expect.poll(() => backend.heads.length).toBe(asked + 1);
    await expect.poll(() => [...backend.sockets].at(-1)!.closed).toBe(true);
    // Nothing is said to one that has left.
    expect((await raw.closed()).bytes.toString()).toBe('');
    raw.socket.destroy();
  });
});
