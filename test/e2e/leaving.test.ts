// What it means that a client ends its side (FIN), breaks its connection off (RST) or sends a Close frame, by how far its
// request has come: over plain TCP and TLS, connections accepted by node and natively, both HTTP engines, and the admin
// listener. docs/http.md says the same in words.
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, type Peer, startBackend } from '../support/forwarding.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { ACCEPT, handshake } from '../support/raw.ts';
import { type RestServer, startRest } from '../support/rest.ts';

const ENTRANCES = ['plain', 'TLS'] as const;
type Entrance = (typeof ENTRANCES)[number];
const SERVED = 'is served';
const LEFT = 'has left';

/** The states of a request, each with what ends there mean: FIN, RST. */
const KEPT = ['Host: a'];
const LAST = ['Host: a', 'Connection: close'];
const REQUESTS = [
  { name: 'a request', start: 'GET', version: '1.1', fields: KEPT, body: '', fin: LEFT },
  { name: 'a request that is the last one', start: 'GET', version: '1.1', fields: LAST, body: '', fin: SERVED },
  { name: 'a request of HTTP/1.0', start: 'GET', version: '1.0', fields: ['Host: a'], body: '', fin: SERVED },
  {
    name: 'a request of HTTP/1.0 with keep-alive',
    start: 'GET',
    version: '1.0',
    fields: ['Host: a', 'Connection: keep-alive'],
    body: '',
    fin: LEFT,
  },
  {
    name: 'a whole body, the last one',
    start: 'POST',
    version: '1.1',
    fields: [...LAST, 'Content-Length: 3'],
    body: 'abc',
    fin: SERVED,
  },
  {
    name: 'a body under way',
    start: 'POST',
    version: '1.1',
    fields: [...LAST, 'Content-Length: 9'],
    body: 'abc',
    fin: LEFT,
  },
] as const;

/** A masked Close frame with code 1000. */
const CLOSE_FRAME = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);

class Client {
  readonly #raw: Socket;
  readonly #stream: Socket;
  readonly #parts: Buffer[] = [];
  readonly ended: Promise<string>;

  constructor(raw: Socket, stream: Socket) {
    this.#raw = raw;
    this.#stream = stream;
    stream.on('data', (part: Buffer) => this.#parts.push(part));
    for (const socket of [raw, stream]) socket.on('error', () => {});
    this.ended = new Promise((resolve) => {
      const over = () => resolve(this.text);
      stream.once('end', over).once('close', over);
    });
  }

  static async open(entrance: Entrance, port: number): Promise<Client> {
    const raw = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(raw, 'connect');
    if (entrance === 'plain') return new Client(raw, raw);
    const stream = connectTls({ socket: raw, rejectUnauthorized: false });
    await once(stream, 'secureConnect');
    return new Client(raw, stream);
  }

  get text(): string {
    return Buffer.concat(this.#parts).toString('latin1');
  }

  write(data: string | Buffer): void {
    this.#stream.write(data);
  }

  async until(text: string): Promise<void> {
    while (!this.text.includes(text)) await once(this.#stream, 'data');
  }

  /** Ends the client's side; over TLS with a close_notify. */
  fin(): void {
    this.#stream.end();
  }

  rst(): void {
    this.#raw.resetAndDestroy();
  }

  drop(): void {
    this.#raw.destroy();
  }
}

const clients: Client[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.drop();
});

describe.each([
  { relay: 'native', engine: 'auto' },
  { relay: 'js', engine: 'auto' },
  { relay: 'native', engine: 'http-proxy' },
  { relay: 'js', engine: 'http-proxy' },
] as const)('with relay $relay and engine $engine', ({ relay, engine }) => {
  let backend: Backend;
  let rest: RestServer;
  let gateway: Gateway;

  beforeAll(async () => {
    backend = await startBackend();
    rest = await startRest();
    gateway = await startGateway({
      listeners: [
        { host: '127.0.0.1', port: 0 },
        { host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] } },
      ],
      upstreams: {
        scripted: { servers: [`http://127.0.0.1:${backend.port}`] },
        rest: { servers: [`http://127.0.0.1:${rest.port}`] },
      },
      relay: { engine: relay },
      http: { engine },
      routes: [
        { name: 'rest', match: { path: '/seen/*' }, http: { upstream: 'rest' } },
        {
          name: 'all',
          match: { path: '/*' },
          http: { upstream: 'scripted' },
          // A client that is gone must be noticed long before these are over.
          websocket: { mode: 'splice', upstream: 'scripted', origins: 'any', timeouts: { handshake: '5m' } },
        },
      ],
    });
  });

  afterAll(async () => {
    expect(await gateway?.stop()).toBe(0);
    backend?.close();
    rest?.close();
  });

  let count = 0;
  const freshPath = () => `/${++count}`;

  async function open(entrance: Entrance): Promise<Client> {
    const client = await Client.open(entrance, gateway.ports[ENTRANCES.indexOf(entrance)]!);
    clients.push(client);
    return client;
  }

  async function nextPeer(path: string): Promise<Peer> {
    const peer = await backend.next();
    await peer.until(` ${path} `);
    return peer;
  }

  const left = async (path: string) => {
    const line = await gateway.log({ event: 'request_completed', path });
    expect([line['status'], line['reason']]).toEqual([499, 'client_gone']);
  };

  describe.each(ENTRANCES)('over %s', (entrance) => {
    it.each(REQUESTS)('a FIN behind $name: the client $fin', async ({ start, version, fields, body, fin }) => {
      const path = freshPath();
      const client = await open(entrance);
      client.write([`${start} ${path} HTTP/${version}`, ...fields, '', body].join('\r\n'));
      const peer = await nextPeer(path);
      client.fin();
      if (fin === LEFT) {
        await peer.closed();
        expect(await client.ended).toBe('');
        return left(path);
      }
      if (body !== '') await peer.until(body);
      // The gateway has seen the FIN, and has all the time to take it for something else.
      await gateway.admin('/healthz');
      peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
      peer.socket.end();
      expect(await client.ended).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nok$/s);
      expect((await gateway.log({ event: 'request_completed', path }))['status']).toBe(200);
    });

    it.each(REQUESTS)('a RST behind $name: the client has left', async ({ start, version, fields, body }) => {
      const path = freshPath();
      const client = await open(entrance);
      client.write([`${start} ${path} HTTP/${version}`, ...fields, '', body].join('\r\n'));
      const peer = await nextPeer(path);
      client.rst();
      await peer.closed();
      await left(path);
    });

    it.each(['fin', 'rst'] as const)('a %s before the head asks nothing of anybody', async (how) => {
      const before = backend.connections();
      const silent = await open(entrance);
      silent[how]();
      const begun = await open(entrance);
      begun.write('GET / HTTP/1.1\r\nHos');
      begun[how]();
      // Half a head is told so where somebody may still read it.
      if (how === 'fin') {
        expect(await silent.ended).toBe('');
        expect(await begun.ended).toMatch(/^HTTP\/1\.1 400 /);
      }
      const alive = await open(entrance);
      alive.write('GET /nothing HTTP/1.1\r\n\r\n');
      await alive.until('HTTP/1.1 400 ');
      expect(backend.connections()).toBe(before);
    });

    it.each(['fin', 'rst'] as const)('a %s in the middle of an answer: the client has left', async (how) => {
      const path = freshPath();
      const client = await open(entrance);
      client.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      const peer = await nextPeer(path);
      peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
      await client.until('half');
      client[how]();
      await peer.closed();
      const line = await gateway.log({ event: 'request_completed', path });
      expect(line['reason']).toBe('client_gone');
    });

    it('a FIN in the middle of the last answer lets it end', async () => {
      const path = freshPath();
      const client = await open(entrance);
      client.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      const peer = await nextPeer(path);
      peer.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf');
      await client.until('half');
      client.fin();
      await gateway.admin('/healthz');
      peer.write('half');
      expect(await client.ended).toMatch(/\r\n\r\nhalfhalf$/);
      peer.socket.end();
    });

    it.each(['fin', 'rst'] as const)('a %s while a handshake waits: the client has left', async (how) => {
      const path = freshPath();
      const client = await open(entrance);
      client.write(handshake({}, `GET ${path} HTTP/1.1`));
      const peer = await nextPeer(path);
      client[how]();
      await peer.closed();
      const line = await gateway.log({ event: 'handshake_failed', path });
      expect([line['status'], line['reason']]).toEqual([499, 'client_gone']);
      if (how === 'fin') expect(await client.ended).toBe('');
    });

    it('a Close frame while a handshake waits is kept for the backend, and nothing is lost of what came before it', async () => {
      const path = freshPath();
      const client = await open(entrance);
      client.write(handshake({}, `GET ${path} HTTP/1.1`));
      const peer = await nextPeer(path);
      const early = Buffer.concat([Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x61]), CLOSE_FRAME]);
      client.write(early);
      await gateway.admin('/healthz');
      peer.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`,
      );
      await client.until('101 Switching Protocols');
      await peer.until(early.toString('latin1'));
      peer.socket.end(Buffer.from([0x88, 0x02, 0x03, 0xe8]));
      await client.until('\x88\x02\x03\xe8');
      client.fin();
      const line = await gateway.log({ event: 'session_closed', path });
      expect(line['close_code']).toBe(1000);
    });

    it('500 pipelined requests are all answered, in their order', async () => {
      const client = await open(entrance);
      const paths = Array.from({ length: 500 }, (_, i) => `/seen/${i}`);
      client.write(
        paths
          .map((path, i) => `GET ${path} HTTP/1.1\r\nHost: a\r\n${i === 499 ? 'Connection: close\r\n' : ''}\r\n`)
          .join(''),
      );
      client.fin();
      const answered = [...(await client.ended).matchAll(/"target":"(\/seen\/\d+)"/g)].map(([, path]) => path);
      expect(answered).toEqual(paths);
    });

    it('a FIN behind pipelined requests none of which is the last one: the client has left', async () => {
      const path = freshPath();
      const client = await open(entrance);
      client.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(3));
      const peer = await nextPeer(path);
      client.fin();
      await peer.closed();
      expect(await client.ended).toBe('');
      await left(path);
    });
  });

  describe('the admin listener', () => {
    const ask = async (text: string) => {
      const client = await Client.open('plain', gateway.adminPort);
      clients.push(client);
      client.write(text);
      client.fin();
      return client.ended;
    };

    it.each(['GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n', 'GET /metrics HTTP/1.0\r\n\r\n'])(
      'answers a request that is the last one, where a FIN stands behind it: %j',
      async (text) => {
        expect(await ask(text)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*gateway_build_info/s);
      },
    );

    it('answers 500 pipelined requests', async () => {
      const last = 'GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n';
      const answers = await ask('GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(499) + last);
      expect(answers.split('HTTP/1.1 200 OK').length - 1).toBe(500);
    });
  });
});
