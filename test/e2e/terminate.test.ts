// Terminated sessions over real sockets: a bare http server hands its upgrades to the acceptor. Frames are built by hand
// where exact bytes matter, and `ws` is the client where any client would do.
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { type Defect, onDefect } from '../../src/base/guard.ts';
import { schema } from '../../src/config/schema/schema.ts';
import type { GatewayEvent, SessionEnd } from '../../src/events.ts';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { type Accepted, Terminator } from '../../src/websocket/connection/accept.ts';
import { Connections } from '../../src/websocket/connections.ts';
import type { ConnectionHandlerFactory, WebSocketConnection } from '../../src/websocket/handler.ts';
import { echo } from '../../src/websocket/handlers/echo.ts';
import { buildHandler, type HandlerServices } from '../../src/websocket/handlers.ts';
import { buildClose, buildFragments, buildFrame, MASK, OPCODE, parseFrames, readClose } from '../support/frames.ts';
import { settled } from '../support/quiet.ts';
import { ACCEPT, connectRaw, handshake, KEY, type RawConnection } from '../support/raw.ts';
import { fakeClock } from '../support/stepped-clock.ts';

const HEAD = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`;

interface Stand {
  readonly port: number;
  readonly terminator: Terminator;
  readonly events: GatewayEvent[];
  /** Sessions in the order they opened. */
  readonly sessions: Accepted[];
  readonly sockets: Socket[];
  /** The next end not yet asked for. */
  ended(): Promise<SessionEnd>;
  sample(metric: string, labels: Record<string, string>): number;
}

const servers: Server[] = [];
const clients: { destroy(): void }[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  for (const server of servers.splice(0)) {
    server.close();
    await once(server, 'close');
  }
});

interface Options {
  readonly config?: object;
  readonly handler?: ConnectionHandlerFactory;
  readonly protocol?: string | null;
  readonly version?: 8 | 13;
  readonly key?: string;
  readonly server?: (listener: RequestListener) => Server;
}

/** As little config as an acceptor can do with. */
const LEAST = {
  limits: { max_message: 1, messages_per_second: 1 },
  timeouts: { idle: 1000 },
  send_queue: { size: 4 * 1024 * 1024, overflow: 'close' },
} as const;
const UPGRADE = { id: 'x', client: '127.0.0.1', user: null, version: 13, protocol: null, extensions: [] } as const;

async function stand(options: Options = {}): Promise<Stand> {
  const parsed = schema.parse({
    listeners: [{ port: 0 }],
    routes: [{ name: 'local', websocket: { mode: 'terminate', handler: 'echo', ...options.config } }],
  }).routes[0]?.websocket;
  if (parsed?.mode !== 'terminate') throw new Error('no terminate route');
  const events: GatewayEvent[] = [];
  const connections = new Connections();
  const ends: SessionEnd[] = [];
  const waiting: ((end: SessionEnd) => void)[] = [];
  const sessions: Accepted[] = [];
  const sockets: Socket[] = [];
  const terminator = new Terminator((event) => void events.push(event), connections);
  const handler = options.handler ?? buildHandler(parsed, {} as HandlerServices);
  if ('admit' in handler) throw new Error('a handler that wants to be asked');
  const acceptor = terminator.acceptor({ route: 'local', config: parsed, handler });
  const server = (options.server ?? createServer)((_, res) => res.end('plain'));
  server.on('upgrade', (req, socket, rest) => {
    sockets.push(socket as Socket);
    const session = acceptor.accept(
      {
        id: `id-${sessions.length}`,
        client: '127.0.0.1',
        user: null,
        extensions: [],
        socket: socket as Socket,
        rest,
        key: options.key ?? req.headers['sec-websocket-key'] ?? KEY,
        version: options.version ?? 13,
        protocol: options.protocol ?? null,
      },
      handler,
      (end) => {
        const waiter = waiting.shift();
        if (waiter) waiter(end);
        else ends.push(end);
      },
    );
    if (session) sessions.push(session);
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    terminator,
    events,
    sessions,
    sockets,
    ended: async () => ends.shift() ?? new Promise((resolve) => waiting.push(resolve)),
    sample(metric, labels) {
      const wanted = JSON.stringify(Object.entries({ route: 'local', ...labels }).sort());
      for (const one of terminator.sample()) {
        if (one.metric === metric && JSON.stringify(Object.entries(one.labels).sort()) === wanted) return one.value;
      }
      throw new Error(`no ${metric} ${wanted}`);
    },
  };
}

async function openRaw(port: number, glued: Uint8Array = Buffer.alloc(0)): Promise<RawConnection> {
  const connection = await connectRaw(port);
  clients.push(connection.socket);
  connection.write(Buffer.concat([Buffer.from(handshake()), glued]));
  await connection.until('\r\n\r\n');
  return connection;
}

const framesOf = (connection: RawConnection) => parseFrames(connection.received().subarray(HEAD.length)).frames;

/** Waits for so many frames behind the 101. */
async function frames(connection: RawConnection, count: number) {
  await connection.until((bytes) => parseFrames(bytes.subarray(HEAD.length)).frames.length >= count);
  return framesOf(connection);
}

const text = (payload: string | Uint8Array) => buildFrame({ payload, mask: MASK });

describe('the handshake', () => {
  it('is answered with the least 101, to the byte', async () => {
    const { port } = await stand();
    const connection = await openRaw(port);
    expect(connection.received().toString('latin1')).toBe(HEAD);
  });

  it('carries the subprotocol chosen, and version 8 is taken', async () => {
    const { port } = await stand({ protocol: 'chat.v2', version: 8 });
    const connection = await openRaw(port);
    expect(connection.received().toString('latin1')).toBe(
      HEAD.replace('\r\n\r\n', '\r\nSec-WebSocket-Protocol: chat.v2\r\n\r\n'),
    );
  });

  it('offers no compression, whatever the client offers', async () => {
    const { port } = await stand();
    const client = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: true });
    await once(client, 'open');
    expect(client.extensions).toBe('');
    client.terminate();
  });

  it('what was glued behind it is a message like any other, and counted', async () => {
    const { port, ended } = await stand();
    const connection = await openRaw(port, text('early'));
    const [first] = await frames(connection, 1);
    expect(first?.payload.toString()).toBe('early');
    connection.write(buildClose(1000, '', MASK));
    connection.end();
    expect(await ended()).toMatchObject({ fromClient: { bytes: 11 + 8, messages: 1 }, toClient: { bytes: 7 + 4 } });
  });

  it('ws never answers in our place: what it would refuse is an error of ours', async () => {
    const { terminator } = await stand();
    const acceptor = terminator.acceptor({
      route: 'local',
      config: LEAST,
      handler: echo,
    });
    const server = createServer();
    servers.push(server);
    const thrown: unknown[] = [];
    server.on('upgrade', (_, socket, rest) => {
      try {
        acceptor.accept({ ...UPGRADE, socket: socket as Socket, rest, key: 'short' }, echo, () => {});
      } catch (error) {
        thrown.push(error);
      }
      socket.end('ours');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connection = await connectRaw((server.address() as AddressInfo).port);
    connection.write(handshake());
    const { bytes } = await connection.closed();
    connection.socket.destroy();
    expect(bytes.toString()).toBe('ours');
    expect(thrown).toMatchObject([{ message: 'ws refused an allowed handshake' }]);
  });

  it('a client that has left gets nothing, and has no session', async () => {
    const { terminator } = await stand();
    const acceptor = terminator.acceptor({
      route: 'local',
      config: LEAST,
      handler: {
        open() {
          throw new Error('not expected');
        },
      },
    });
    const server = createServer();
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connection = await connectRaw((server.address() as AddressInfo).port);
    connection.write(handshake());
    const [, socket, rest] = (await once(server, 'upgrade')) as [unknown, Socket, Buffer];
    socket.on('error', () => {});
    socket.resume();
    connection.reset();
    await new Promise((resolve) => socket.on('close', resolve));
    const upgrade = { ...UPGRADE, socket, rest, key: KEY };
    expect(acceptor.accept(upgrade, echo, () => expect.unreachable())).toBeNull();
  });
});

describe('messages', () => {
  it('come back as they were: text, binary, empty, of every length form', async () => {
    const { port } = await stand();
    const client = new WebSocket(`ws://127.0.0.1:${port}/`);
    await once(client, 'open');
    const sent: (string | Buffer)[] = ['', 'grüße 👋', Buffer.alloc(0), Buffer.from([0, 255])];
    for (const size of [125, 126, 65_535, 65_536, 1024 * 1024]) sent.push(Buffer.alloc(size, size & 0xff));
    const got: (string | Buffer)[] = [];
    const all = new Promise<void>((resolve) => {
      client.on('message', (data, binary) => {
        got.push(binary ? (data as Buffer) : data.toString());
        if (got.length === sent.length) resolve();
      });
    });
    for (const message of sent) client.send(message);
    await all;
    expect(got.map(String)).toEqual(sent.map(String));
    expect(got.map((one) => typeof one)).toEqual(sent.map((one) => typeof one));
    client.terminate();
  });

  it('in fragments, with a ping between them, come back whole; the ping is answered at once', async () => {
    const { port } = await stand();
    const connection = await openRaw(port);
    connection.write(buildFrame({ opcode: OPCODE.text, fin: false, payload: 'one ', mask: MASK }));
    connection.write(buildFrame({ opcode: OPCODE.ping, payload: 'p', mask: MASK }));
    await frames(connection, 1);
    connection.write(buildFrame({ opcode: OPCODE.continuation, fin: false, payload: 'two ', mask: MASK }));
    connection.write(buildFrame({ opcode: OPCODE.continuation, payload: 'three', mask: MASK }));
    const got = await frames(connection, 2);
    expect(got.map((frame) => [frame.opcode, frame.masked, frame.payload.toString()])).toEqual([
      [OPCODE.pong, false, 'p'],
      [OPCODE.text, false, 'one two three'],
    ]);
  });

  it('byte by byte are understood as well', async () => {
    const { port } = await stand();
    const connection = await openRaw(port);
    connection.socket.setNoDelay();
    for (const byte of text('drip')) {
      connection.socket.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    const [first] = await frames(connection, 1);
    expect(first?.payload.toString()).toBe('drip');
  });

  it('a flood of pings is answered, the newest last, and does not end the session', async () => {
    const { port } = await stand();
    const connection = await openRaw(port);
    const flood = Array.from({ length: 500 }, (_, i) =>
      buildFrame({ opcode: OPCODE.ping, payload: String(i), mask: MASK }),
    );
    connection.write(Buffer.concat(flood));
    await connection.until((bytes) => bytes.subarray(-3).toString() === '499');
    const pongs = framesOf(connection);
    expect(pongs.every((frame) => frame.opcode === OPCODE.pong)).toBe(true);
    const numbers = pongs.map((frame) => Number(frame.payload));
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    connection.write(text('still here'));
    await connection.until('still here');
  });
});

describe('the end', () => {
  it('the client closes: its code comes back, then FIN at once', async () => {
    const { port, ended } = await stand();
    const connection = await openRaw(port);
    connection.write(text('hi'));
    await frames(connection, 1);
    connection.write(buildClose(3001, 'done', MASK));
    const { how, bytes } = await connection.closed();
    expect(how).toBe('fin');
    expect(bytes.subarray(HEAD.length)).toEqual(
      Buffer.concat([buildFrame({ payload: 'hi' }), buildClose(3001, 'done')]),
    );
    connection.end();
    expect(await ended()).toEqual({
      fromClient: { bytes: 8 + 12, messages: 1 },
      toClient: { bytes: 4 + 8, messages: 1 },
      discarded: 0,
      code: 3001,
      initiator: 'client',
      reason: 'closed',
      cut: false,
    });
  });

  it('a Close without a code comes back without one', async () => {
    const { port, ended } = await stand();
    const connection = await openRaw(port);
    connection.write(buildClose(undefined, '', MASK));
    const { bytes } = await connection.closed();
    expect(bytes.subarray(HEAD.length)).toEqual(buildClose());
    connection.end();
    expect(await ended()).toMatchObject({ code: 1005, initiator: 'client', reason: 'closed' });
  });

  it.each<[string, Buffer, number, string]>([
    ['an unmasked frame', buildFrame({ payload: 'x' }), 1002, 'protocol'],
    ['RSV1 without an extension', buildFrame({ rsv: 4, payload: 'x', mask: MASK }), 1002, 'protocol'],
    ['RSV2', buildFrame({ rsv: 2, payload: 'x', mask: MASK }), 1002, 'protocol'],
    ['a reserved opcode', buildFrame({ opcode: 3, payload: 'x', mask: MASK }), 1002, 'protocol'],
    [
      'a continuation of nothing',
      buildFrame({ opcode: OPCODE.continuation, payload: 'x', mask: MASK }),
      1002,
      'protocol',
    ],
    ['a fragmented ping', buildFrame({ opcode: OPCODE.ping, fin: false, mask: MASK }), 1002, 'protocol'],
    [
      'a ping over 125 bytes',
      buildFrame({ opcode: OPCODE.ping, payload: 'x'.repeat(126), mask: MASK }),
      1002,
      'protocol',
    ],
    ['a Close with half a code', buildFrame({ opcode: OPCODE.close, payload: 'x', mask: MASK }), 1002, 'protocol'],
    ['a Close with code 1005', buildClose(1005, '', MASK), 1002, 'protocol'],
    [
      'a text inside a text',
      Buffer.concat([buildFrame({ fin: false, payload: 'x', mask: MASK }), text('y')]),
      1002,
      'protocol',
    ],
    ['bad UTF-8', text(Buffer.from([0xc3, 0x28])), 1007, 'payload'],
    [
      'bad UTF-8 in a Close',
      buildFrame({ opcode: OPCODE.close, payload: Buffer.from([3, 232, 0xff]), mask: MASK }),
      1007,
      'payload',
    ],
    ['a message over the limit', text('x'.repeat(1025)), 1009, 'too_big'],
    [
      'fragments over the limit',
      buildFragments(OPCODE.text, ['x'.repeat(1000), 'x'.repeat(25)], MASK),
      1009,
      'too_big',
    ],
    ['a length over 2^53', Buffer.from([0x82, 0xff, 0xff, ...Array(11).fill(0)]), 1009, 'too_big'],
    ['fragments without end', buildFragments(OPCODE.text, Array(257).fill('x'), MASK), 1008, 'too_many_parts'],
    [
      'pings between fragments without end',
      Buffer.concat([
        buildFrame({ opcode: OPCODE.text, payload: 'x', fin: false, mask: MASK }),
        ...Array<Buffer>(9000).fill(buildFrame({ opcode: OPCODE.ping, payload: 'x'.repeat(125), mask: MASK })),
      ]),
      1008,
      'too_many_parts',
    ],
  ])('%s: the Close is on the wire, and the end says who and why', async (_, bytes, code, reason) => {
    const { port, ended } = await stand({ config: { limits: { max_message: '1KiB', max_fragments: 256 } } });
    const connection = await openRaw(port);
    connection.write(bytes);
    const { how } = await connection.closed();
    const last = framesOf(connection).at(-1);
    expect(last && [last.opcode, last.masked, readClose(last)]).toEqual([OPCODE.close, false, { code, reason }]);
    expect(how).toBe('fin');
    connection.end();
    expect(await ended()).toMatchObject({ code, reason, initiator: 'gateway' });
  });

  it.each([
    ['1,024 fragments of 3 bytes', '4KiB', Array<string>(1024).fill('abc')],
    ['16,384 fragments of a byte', '16KiB', Array<string>(16_384).fill('x')],
  ])('%s are a message', async (_, max_message, pieces) => {
    const { port } = await stand({ config: { limits: { max_message } } });
    const connection = await openRaw(port);
    connection.write(buildFragments(OPCODE.text, pieces, MASK));
    expect((await frames(connection, 1))[0]?.payload.toString()).toBe(pieces.join(''));
  });

  it('a message whose frame comes in 9,000 reads is one', async () => {
    const { port, sockets } = await stand({ config: { limits: { max_message: '16KiB' } } });
    const connection = await openRaw(port);
    const bytes = text('x'.repeat(9000));
    // As if each octet had come by itself, which TCP does not promise.
    for (const octet of bytes) sockets[0]!.emit('data', Buffer.from([octet]));
    expect((await frames(connection, 1))[0]?.payload).toHaveLength(9000);
  });

  it('the largest message is admitted', async () => {
    const { port } = await stand({ config: { limits: { max_message: '1KiB' } } });
    const connection = await openRaw(port);
    connection.write(text('x'.repeat(1024)));
    expect((await frames(connection, 1))[0]?.payload).toHaveLength(1024);
  });

  it('an offender that sends on after its Close is read and dropped, so that the Close is not lost to a RST', async () => {
    const { port, ended } = await stand({ config: { limits: { max_message: '1KiB' } } });
    const connection = await openRaw(port);
    connection.write(Buffer.concat([text('x'.repeat(60_000)), Buffer.alloc(2_000_000)]));
    const { how } = await connection.closed();
    expect([how, readClose(framesOf(connection)[0]!).code]).toEqual(['fin', 1009]);
    connection.end();
    expect(await ended()).toMatchObject({ code: 1009 });
  });

  it('the client leaves with FIN and no Close', async () => {
    const { port, ended } = await stand();
    const connection = await openRaw(port);
    connection.end();
    expect((await connection.closed()).how).toBe('fin');
    expect(await ended()).toMatchObject({ code: null, initiator: 'client', reason: 'closed' });
  });

  it('the client leaves with RST', async () => {
    const { port, ended } = await stand();
    const connection = await openRaw(port);
    connection.reset();
    expect(await ended()).toMatchObject({ code: null, initiator: 'client', reason: 'reset' });
  });

  it('a RST after the Close was answered does not change how it ended', async () => {
    const { port, ended } = await stand();
    const connection = await openRaw(port);
    connection.write(buildClose(1000, '', MASK));
    await frames(connection, 1);
    connection.reset();
    expect(await ended()).toMatchObject({ code: 1000, initiator: 'client', reason: 'closed' });
  });

  it('close(): the Close goes out with its reason, what comes meanwhile is dropped, and the answer ends it', async () => {
    const { port, ended, sessions } = await stand();
    const connection = await openRaw(port);
    sessions[0]?.close(1001, 'drain', 10_000);
    const [close] = await frames(connection, 1);
    expect(readClose(close!)).toEqual({ code: 1001, reason: 'drain' });
    connection.write(text('too late'));
    connection.write(buildClose(1000, '', MASK));
    expect((await connection.closed()).how).toBe('fin');
    connection.end();
    expect(await ended()).toMatchObject({
      code: 1001,
      initiator: 'gateway',
      reason: 'drain',
      fromClient: { messages: 0 },
      toClient: { messages: 0 },
    });
    expect(framesOf(connection)).toHaveLength(1);
  });

  it('close(): a client that does not answer is cut at the deadline, one that never hangs up too', async () => {
    const { port, ended, sessions } = await stand();
    const silent = await openRaw(port);
    sessions[0]?.close(1001, 'drain', 100);
    await silent.closed();
    expect(await ended()).toMatchObject({ code: 1001, initiator: 'gateway', reason: 'drain' });
    const clinging = await openRaw(port);
    clinging.write(buildClose(1000, '', MASK));
    await clinging.closed();
    sessions[1]?.close(1001, 'drain', 100);
    expect(await ended()).toMatchObject({ code: 1000, initiator: 'client', reason: 'closed' });
  });

  it('close(): a reason too long for a Close is cut between characters', async () => {
    const { port, sessions } = await stand();
    const connection = await openRaw(port);
    sessions[0]?.close(1001, 'ä'.repeat(100), 1000);
    const [close] = await frames(connection, 1);
    expect(readClose(close!).reason).toBe('ä'.repeat(61));
  });

  it('cut(): at once, with no Close', async () => {
    const { port, ended, sessions } = await stand();
    const connection = await openRaw(port);
    sessions[0]?.cut('drain');
    await connection.closed();
    expect(framesOf(connection)).toEqual([]);
    expect(await ended()).toMatchObject({ code: null, initiator: 'gateway', reason: 'drain' });
  });
});

describe('time', () => {
  it('an idle session is closed with 1001', async () => {
    const { port, ended } = await stand({ config: { timeouts: { idle: '150ms' } } });
    const connection = await openRaw(port);
    const [close] = await frames(connection, 1);
    expect(readClose(close!)).toEqual({ code: 1001, reason: 'idle' });
    connection.write(buildClose(1001, '', MASK));
    connection.end();
    expect(await ended()).toMatchObject({ code: 1001, initiator: 'gateway', reason: 'idle' });
  });

  it('our pings do not keep it, though the client answers them', async () => {
    const clock = fakeClock();
    const config = { timeouts: { idle: '25s' }, ping: { every: '2s', timeout: '20s' } };
    const { port, ended, events } = await stand({ config });
    const client = new WebSocket(`ws://127.0.0.1:${port}/`);
    await once(client, 'open');
    expect(await clock.during(ended())).toMatchObject({ code: 1001, initiator: 'gateway', reason: 'idle' });
    const results = events.map((event) => event.type === 'ping' && event.result);
    expect(results.slice(0, 4)).toEqual(['sent', 'pong', 'sent', 'pong']);
    expect(client.readyState).not.toBe(WebSocket.OPEN);
  });

  it('a client of a certain age is closed however busy it is', async () => {
    const { port, ended } = await stand({ config: { timeouts: { max_lifetime: '400ms' } } });
    const client = new WebSocket(`ws://127.0.0.1:${port}/`);
    client.on('message', () => client.send('again'));
    await once(client, 'open');
    client.send('first');
    const [code, reason] = (await once(client, 'close')) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([1001, 'max_lifetime']);
    expect(await ended()).toMatchObject({ code: 1001, initiator: 'gateway', reason: 'max_lifetime' });
  });

  it('a client silent after a ping is cut', async () => {
    const { port, ended, events } = await stand({ config: { ping: { every: '100ms', timeout: '100ms' } } });
    const connection = await openRaw(port);
    await connection.closed();
    const [ping, ...others] = framesOf(connection);
    expect([ping?.opcode, ping?.payload.length, others.length]).toEqual([OPCODE.ping, 8, 0]);
    expect(await ended()).toMatchObject({ code: null, initiator: 'gateway', reason: 'ping_timeout' });
    expect(events).toEqual([
      { type: 'ping', route: 'local', result: 'sent' },
      { type: 'ping', route: 'local', result: 'timeout' },
    ]);
  });

  it('any byte is a sign of life', async () => {
    const clock = fakeClock();
    const { port, events } = await stand({ config: { ping: { every: '10s', timeout: '60s' } } });
    const connection = await openRaw(port);
    await clock.during(frames(connection, 1));
    connection.write(Buffer.from([0x81]));
    await expect.poll(() => events.length).toBe(2);
    await clock.during(frames(connection, 2));
    expect(events.map((event) => event.type === 'ping' && event.result)).toEqual(['sent', 'pong', 'sent']);
  });
});

describe('a client that does not read', () => {
  it('is not read from either while an echo owes it much; what it was owed comes whole', async () => {
    const { port, sockets, sample } = await stand();
    const connection = await openRaw(port);
    connection.socket.pause();
    const message = Buffer.alloc(256 * 1024, 'x');
    const frame = buildFrame({ opcode: OPCODE.binary, payload: message, mask: MASK });
    const total = 200;
    for (let i = 0; i < total; i++) connection.write(frame);
    // 50 MiB are offered; once neither side moves, most of them must still be with the client.
    const read = () => sample('websocket_messages_total', { direction: 'from_client', type: 'binary' });
    await expect.poll(read).toBeGreaterThan(0);
    expect(await settled(read)).toBeLessThan(total);
    expect(sockets[0]?.writableLength).toBeLessThan(2 * 1024 * 1024);
    connection.socket.resume();
    const size = HEAD.length + total * (message.length + 10);
    let got = connection.received().length;
    connection.socket.on('data', (chunk: Buffer) => {
      got += chunk.length;
    });
    while (got < size) await once(connection.socket, 'data');
    expect(got).toBe(size);
    expect(sample('websocket_messages_total', { direction: 'to_client', type: 'binary' })).toBe(total);
  });

  it('is given up with 1013 once far behind a handler that does not wait', async () => {
    let owed = 0;
    let peer: WebSocketConnection | undefined;
    const handler: ConnectionHandlerFactory = {
      open(connection) {
        peer = connection;
        return { message() {}, closed() {} };
      },
    };
    const { port, ended, sockets } = await stand({ handler });
    const connection = await openRaw(port);
    connection.socket.pause();
    const message = Buffer.alloc(64 * 1024);
    for (let i = 0; i < 2000; i++) {
      peer?.send('binary', message);
      owed = Math.max(owed, sockets[0]?.writableLength ?? 0);
      if (i % 50 === 0) await new Promise(setImmediate);
    }
    expect(owed).toBeLessThan(5 * 1024 * 1024);
    connection.socket.resume();
    await connection.until('slow_consumer');
    connection.write(buildClose(1013, '', MASK));
    connection.end();
    expect(await ended()).toMatchObject({ code: 1013, initiator: 'gateway', reason: 'slow_consumer' });
  });

  it('small messages count as the memory they take', async () => {
    let peer: WebSocketConnection | undefined;
    const handler: ConnectionHandlerFactory = {
      open(connection) {
        peer = connection;
        return { message() {}, closed() {} };
      },
    };
    const { port, ended, sockets } = await stand({ handler });
    const connection = await openRaw(port);
    connection.socket.pause();
    for (let i = 0; i < 100_000; i++) peer?.send('text', 'x');
    expect(sockets[0]?.writableLength).toBeLessThan(100_000);
    connection.socket.resume();
    await connection.until('slow_consumer');
    connection.write(buildClose(1013, '', MASK));
    const { bytes } = await connection.closed();
    expect(readClose(parseFrames(bytes.subarray(HEAD.length)).frames.at(-1)!).code).toBe(1013);
    connection.end();
    expect(await ended()).toMatchObject({ code: 1013, reason: 'slow_consumer' });
  });
});

describe('counting', () => {
  it('bytes and messages of live and ended sessions, by direction and type, never falling', async () => {
    const { port, ended, sample, terminator } = await stand();
    const all = () => [
      sample('websocket_bytes_total', { direction: 'from_client' }),
      sample('websocket_bytes_total', { direction: 'to_client' }),
      sample('websocket_messages_total', { direction: 'from_client', type: 'text' }),
      sample('websocket_messages_total', { direction: 'from_client', type: 'binary' }),
      sample('websocket_messages_total', { direction: 'to_client', type: 'text' }),
      sample('websocket_messages_total', { direction: 'to_client', type: 'binary' }),
    ];
    expect(all()).toEqual([0, 0, 0, 0, 0, 0]);
    const connection = await openRaw(port);
    connection.write(text('four'));
    connection.write(buildFrame({ opcode: OPCODE.binary, payload: 'four', mask: MASK }));
    connection.write(text('five!'));
    await frames(connection, 3);
    expect(all()).toEqual([31, 19, 2, 1, 2, 1]);
    connection.write(buildClose(1000, '', MASK));
    await connection.closed();
    connection.end();
    await ended();
    expect(all()).toEqual([39, 23, 2, 1, 2, 1]);
    const config = LEAST;
    terminator.acceptor({ route: 'local', config, handler: { open: () => ({ message() {}, closed() {} }) } });
    expect(all()).toEqual([39, 23, 2, 1, 2, 1]);
  });

  it('the same over TLS', async () => {
    const { cert, key } = makeSelfSigned(['localhost'], new Date());
    const { port, ended } = await stand({ server: (listener) => createTlsServer({ cert, key }, listener) });
    const connection = await connectRaw({ tls: true, port, rejectUnauthorized: false });
    clients.push(connection.socket);
    connection.write(handshake());
    await connection.until('\r\n\r\n');
    connection.write(text('five!'));
    await frames(connection, 1);
    connection.write(buildClose(1000, '', MASK));
    await connection.closed();
    connection.end();
    expect(await ended()).toMatchObject({
      fromClient: { bytes: 11 + 8, messages: 1 },
      toClient: { bytes: 7 + 4, messages: 1 },
    });
  });
});

describe('nothing takes down another', () => {
  it('a handler that throws ends its own connection with 1011, and the defect is reported', async () => {
    const defects: Defect[] = [];
    onTestFinished(onDefect((defect) => defects.push(defect)));
    const handler: ConnectionHandlerFactory = {
      open: () => ({
        message(_, data) {
          if (data.toString() === 'bad') throw new Error('boom');
        },
        closed() {
          throw new Error('late boom');
        },
      }),
    };
    const { port, ended } = await stand({ handler });
    const other = await openRaw(port);
    const connection = await openRaw(port);
    connection.write(text('bad'));
    const [close] = await frames(connection, 1);
    expect(readClose(close!)).toEqual({ code: 1011, reason: 'handler_failed' });
    connection.write(buildClose(1011, '', MASK));
    connection.end();
    expect(await ended()).toMatchObject({ code: 1011, initiator: 'gateway', reason: 'handler_failed' });
    expect(defects).toEqual([
      { where: 'websocket', thrown: new Error('boom'), id: 'id-1' },
      { where: 'websocket', thrown: new Error('late boom'), id: 'id-1' },
    ]);
    expect(framesOf(other)).toEqual([]);
  });

  it('garbage of any kind, cut at any point by FIN or RST, ends in a told end', async () => {
    const { port, ended } = await stand({ config: { limits: { max_message: '1KiB' } } });
    const witness = await openRaw(port);
    let seed = 12_345;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    const valid = Buffer.concat([
      text('valid'),
      buildFragments(OPCODE.binary, ['a', 'b'], MASK),
      text('x'.repeat(500)),
    ]);
    for (let round = 0; round < 150; round++) {
      const bytes = Buffer.from(valid);
      for (let flips = random(6); flips > 0; flips--) bytes[random(bytes.length)] = random(256);
      const connection = await connectRaw(port);
      connection.socket.on('error', () => {});
      connection.write(Buffer.concat([Buffer.from(handshake()), bytes.subarray(0, random(bytes.length))]));
      if (random(2) === 0) await connection.until('\r\n\r\n');
      else await new Promise(setImmediate);
      if (random(2) === 0) connection.end();
      else connection.reset();
      await connection.closed();
      connection.socket.destroy();
    }
    witness.write(text('alive'));
    expect((await frames(witness, 1))[0]?.payload.toString()).toBe('alive');
    witness.write(buildClose(1000, '', MASK));
    witness.end();
    for (;;) {
      const end = await ended();
      expect(end.fromClient.bytes).toBeGreaterThanOrEqual(0);
      expect(end.toClient.bytes).toBeGreaterThanOrEqual(0);
      if (end.fromClient.bytes === 11 + 8 && end.code === 1000) break;
    }
  });
});

describe('floods', () => {
  /** Counts what a handler gets between two turns of the event loop. */
  function counting() {
    const turns: number[] = [];
    let now = 0;
    const count = () => {
      if (now++ === 0)
        setImmediate(() => {
          turns.push(now);
          now = 0;
        });
    };
    return { turns, count };
  }

  it('of one client a handler gets one message a turn, however many come at once', async () => {
    const { turns, count } = counting();
    const handler: ConnectionHandlerFactory = { open: () => ({ message: count, closed: () => {} }) };
    const { port, sample } = await stand({ handler });
    const connection = await openRaw(port, Buffer.concat(Array<Buffer>(500).fill(text('x'.repeat(16)))));
    connection.write(buildClose(1000, '', MASK));
    await connection.closed();
    expect(sample('websocket_messages_total', { direction: 'from_client', type: 'text' })).toBe(500);
    expect(Math.max(...turns)).toBe(1);
  });

  it.each([
    ['messages', text('x')],
    ['pings', buildFrame({ opcode: OPCODE.ping, payload: '', mask: MASK })],
    ['pongs', buildFrame({ opcode: OPCODE.pong, payload: 'x', mask: MASK })],
    [
      'empty fragments',
      buildFrame({ opcode: OPCODE.continuation, payload: '', fin: false, mask: MASK }),
      buildFrame({ opcode: OPCODE.text, payload: '', fin: false, mask: MASK }),
    ],
  ])('%s count toward messages_per_second', async (_, frame, first = Buffer.alloc(0)) => {
    const { port, ended } = await stand({ config: { limits: { messages_per_second: 20 } } });
    const connection = await openRaw(port);
    connection.write(Buffer.concat([first, ...Array<Buffer>(19).fill(frame)]));
    connection.write(buildFrame({ opcode: OPCODE.ping, payload: 'still there', mask: MASK }));
    await connection.until('still there');
    for (let n = 0; n < 10; n++) connection.write(Buffer.concat(Array<Buffer>(1000).fill(frame)));
    await connection.closed();
    expect(readClose(framesOf(connection).at(-1)!)).toEqual({ code: 1008, reason: 'rate_limit' });
    connection.end();
    expect(await ended()).toMatchObject({ code: 1008, reason: 'rate_limit' });
  });

  it('whoever does not read is given up once all queues are too large, and the others stay', async () => {
    const handler: ConnectionHandlerFactory = {
      open(connection) {
        return {
          message: (_, data) => void connection.send('binary', Buffer.alloc(Number(data.toString()))),
          closed: () => {},
        };
      },
    };
    const { port, ended, terminator } = await stand({ handler, config: { send_queue: { size: '64MiB' } } });
    const { queues } = terminator.budgets;
    queues.resize(2 ** 20);
    const [deaf, fine] = [await openRaw(port), await openRaw(port)];
    deaf.socket.pause();
    for (let n = 0; n < 20; n++) deaf.write(text(`${2 ** 20}`));
    expect(await ended()).toMatchObject({ code: null, reason: 'queues_full', initiator: 'gateway', cut: true });
    expect(queues.used).toBe(0);
    fine.write(text('5'));
    expect((await frames(fine, 1))[0]?.payload).toHaveLength(5);
  });
});
