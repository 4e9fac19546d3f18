// Each use of what node does not document, on the node that the tests run on: that it is there, and does what it is for.
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  closeListeningSocket,
  connectionBelow,
  descriptorOf,
  findReadInto,
  findSniCallbackSetter,
  findTicketKeysSetter,
  onLastAnswer,
  responseUnderWay,
  serveBehindFin,
  setMaxHeaderSize,
  sharedContext,
  sniCallback,
  startReadingHandle,
  stopReadingHandle,
} from '../../../src/net/node-internals.ts';
import { type TicketKey, ticketKeyOf } from '../../../src/net/ticket-keys.ts';
import { makeSelfSigned } from '../../../src/runtime/tls/self-signed.ts';
import { readAll, type SocketPair, socketPair } from '../../support/socket-pair.ts';

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

/** A server that listens, and a client connected to it. */
async function listening<T extends net.Server>(server: T): Promise<T> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  cleanup.push(() => server.close());
  return server;
}

const portOf = (server: net.Server) => (server.address() as AddressInfo).port;

function connectTo(server: net.Server): Socket {
  const client = net.connect(portOf(server), '127.0.0.1').on('error', () => {});
  cleanup.push(() => client.destroy());
  return client;
}

async function pair(): Promise<SocketPair> {
  const both = await socketPair();
  cleanup.push(both.close);
  return both;
}

describe('a descriptor', () => {
  it('is that of the socket, and -1 once it is closed', async () => {
    const { accepted } = await pair();
    const fd = descriptorOf(accepted);
    expect(fd).toBeGreaterThan(2);
    accepted.destroy();
    await once(accepted, 'close');
    expect(descriptorOf(accepted)).toBe(-1);
    // The system gives the lowest one that is free: it was this socket's.
    const next = openSync('/dev/null', 'r');
    cleanup.push(() => closeSync(next));
    expect(next).toBeLessThanOrEqual(fd);
  });

  it('of a server is that of its listening socket', async () => {
    const server = await listening(net.createServer());
    expect(descriptorOf(server)).toBeGreaterThan(2);
    expect(descriptorOf(net.createServer())).toBe(-1);
  });
});

it('a listening socket is closed, and its server serves what it is given', async () => {
  const server = await listening(http.createServer((_, res) => res.end('served')));
  const port = portOf(server);
  closeListeningSocket(server);
  const refused = net.connect(port, '127.0.0.1');
  await expect(once(refused, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  const { client, accepted } = await pair();
  server.emit('connection', accepted);
  client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  expect(await readAll(client)).toMatch(/served$/);
});

it('reading stops at once, and starts again', async () => {
  const { client, accepted } = await pair();
  const got = vi.fn();
  accepted.on('data', got);
  stopReadingHandle(accepted);
  client.write('a');
  // What is written to another connection, behind it, has come.
  const other = await pair();
  other.client.write('b');
  await once(other.accepted, 'data');
  expect(got).not.toHaveBeenCalled();
  startReadingHandle(accepted);
  await once(accepted, 'data');
  expect(got.mock.calls.join()).toBe('a');
});

it('the response under way is the one that is not answered yet', async () => {
  const server = await listening(http.createServer());
  connectTo(server).write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const [req, res] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
  expect(responseUnderWay(req.socket)).toBe(res);
  res.end('done');
  await once(res, 'close');
  expect(responseUnderWay(req.socket)).toBeNull();
});

describe('TLS', () => {
  const { key, cert } = makeSelfSigned(['a.example'], new Date());

  async function tlsServer(options: tls.TlsOptions = {}) {
    const server = await listening(tls.createServer({ key, cert, ...options }));
    server.on('tlsClientError', () => {});
    return server;
  }

  async function handshake(server: tls.Server) {
    const client = tls.connect({ port: portOf(server), servername: 'a.example', rejectUnauthorized: false });
    cleanup.push(() => client.destroy());
    const [secured] = (await once(server, 'secureConnection')) as [tls.TLSSocket];
    cleanup.push(() => secured.destroy());
    return secured;
  }

  it('is known to run over the connection that was accepted', async () => {
    const server = await tlsServer();
    const accepted = once(server, 'connection');
    const secured = await handshake(server);
    expect(connectionBelow(secured)).toBe((await accepted)[0]);
    expect(connectionBelow((await pair()).accepted)).toBeNull();
  });

  it('tells a callback which connection it is asked for, and that nothing was sent on it yet', async () => {
    const picked = vi.fn((_name: string, socket: tls.TLSSocket, done: (error: Error | null) => void) => {
      expect(connectionBelow(socket)?.bytesWritten).toBe(0);
      done(null);
    });
    const secured = await handshake(await tlsServer({ SNICallback: sniCallback(picked) }));
    expect(picked.mock.calls[0]!.slice(0, 2)).toEqual(['a.example', secured]);
  });

  describe.each(['TLSv1.2', 'TLSv1.3'] as const)('%s takes keys of tickets from a callback', (version) => {
    const keyOf = (octet: number) => ticketKeyOf(Buffer.alloc(48, octet))!;

    const connectWith = (server: tls.Server, servername: string, session?: Buffer) =>
      tls.connect({
        ...{ port: portOf(server), servername, rejectUnauthorized: false, minVersion: version, maxVersion: version },
        ...(session === undefined ? {} : { session }),
      });

    it.each(['a.example', ''])('so that it has several: asked for %j', async (servername) => {
      const options = { key, cert, sessionIdContext: 'same' };
      let keys: readonly TicketKey[] = [keyOf(1)];
      const setKeys = findTicketKeysSetter()!;
      const picked = tls.createSecureContext(options);
      const server = await tlsServer({ ...options, SNICallback: (_, done) => done(null, picked) });
      const arm = () => {
        for (const context of [sharedContext(server), picked]) setKeys(context, () => keys);
      };
      arm();
      const first = connectWith(server, servername);
      const [session] = (await once(first, 'session')) as [Buffer];
      first.destroy();
      const resumed = async () => {
        const client = connectWith(server, servername, session);
        await once(client, 'secureConnect');
        const reused = client.isSessionReused();
        client.destroy();
        return reused;
      };
      expect(await resumed()).toBe(true);
      keys = [keyOf(2), keyOf(1)];
      expect(await resumed()).toBe(true);
      server.setSecureContext(options);
      arm();
      expect(await resumed()).toBe(true);
      keys = [keyOf(2)];
      expect(await resumed()).toBe(false);
      // Without any, or with a defect, there is a handshake all the same.
      keys = [];
      expect(await resumed()).toBe(false);
      setKeys(sharedContext(server), () => {
        throw new Error('a defect');
      });
      expect(await resumed()).toBe(false);
    });
  });

  it('asks a callback that a server got later, and none that was taken from it', async () => {
    const server = await tlsServer();
    const picked = vi.fn<NonNullable<tls.TlsOptions['SNICallback']>>((_, done) => done(null));
    const setSniCallback = findSniCallbackSetter()!;
    setSniCallback(server, picked);
    await handshake(server);
    expect(picked).toHaveBeenCalledWith('a.example', expect.any(Function));
    setSniCallback(server, undefined);
    await handshake(server);
    expect(picked).toHaveBeenCalledTimes(1);
  });
});

it('a request before a FIN is answered where its server is told so', async () => {
  const server = await listening(http.createServer());
  serveBehindFin(server);
  const client = connectTo(server);
  client.end('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  const [req, res] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
  await once(req.socket, 'end');
  res.end('late');
  expect(await readAll(client)).toMatch(/late$/);
});

it('a limit of heads holds for connections to come', async () => {
  const server = await listening(http.createServer({ maxHeaderSize: 65_536 }, (_, res) => res.end('served')));
  const ask = async () => {
    const client = connectTo(server);
    client.write(`GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`);
    return readAll(client);
  };
  expect(await ask()).toMatch(/^HTTP\/1\.1 200 /);
  setMaxHeaderSize(server, 16_384);
  expect(await ask()).toMatch(/^HTTP\/1\.1 431 /);
});

it('what ends a connection behind its last answer is called then', async () => {
  const server = await listening(http.createServer((_, res) => res.end('served')));
  const ended = vi.fn(function (this: Socket) {
    this.end();
  });
  server.on('connection', (socket: Socket) => onLastAnswer(socket, ended));
  const client = connectTo(server);
  client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await readAll(client);
  expect(ended).toHaveBeenCalledTimes(1);
});

it('a socket reads into a buffer that is given', async () => {
  const readInto = findReadInto()!;
  const { client, accepted } = await pair();
  const buffer = Buffer.alloc(1024);
  const counts: number[] = [];
  const read = new Promise<void>((resolve) => {
    const took = readInto(accepted, buffer, (count) => {
      counts.push(count);
      resolve();
      return true;
    });
    expect(took).toBe(true);
  });
  accepted.resume();
  client.write('abc');
  await read;
  expect([counts, buffer.toString('latin1', 0, 3)]).toEqual([[3], 'abc']);
});
