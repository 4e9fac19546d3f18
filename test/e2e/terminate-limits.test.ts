// What a client of a terminating route may take: messages and bytes in a second, what waits for one that does not read, what
// has come of a message that is not whole, and compression. Through the built program.
import { constants, deflateRawSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Client, openClient } from '../support/client.ts';
import { buildFrame, MASK, OPCODE, parseFrames, readClose } from '../support/frames.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { hasPeers, pythonClient } from '../support/peers.ts';
import { connectRaw, handshake, type RawConnection } from '../support/raw.ts';
import { joinRoom, messagesOf } from '../support/rooms.ts';

const route = (name: string, websocket: object): GatewayFile['routes'][number] => ({
  name,
  match: { path: `/${name}/{room}/{user}` },
  websocket: { mode: 'terminate', handler: 'echo', origins: 'any', ...websocket } as NonNullable<
    GatewayFile['routes'][number]['websocket']
  >,
});

let gateway: Gateway;
const clients: Client[] = [];

beforeAll(async () => {
  gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    routes: [
      route('plain', {}),
      route('few', { limits: { messages_per_second: 5 } }),
      route('thin', { limits: { bytes_per_second: '1KiB' } }),
      route('strict', { handler: 'rooms', send_queue: { size: '256KiB' } }),
      route('loose', {
        handler: 'rooms',
        rooms: { format: 'json' },
        send_queue: { size: '256KiB', overflow: 'drop_oldest' },
      }),
      route('deflate', { compression: {} }),
      route('deflate_some', { compression: { memory: '100KiB' } }),
      route('deflate_bomb', { compression: {}, limits: { max_message: '64KiB' } }),
      route('deflate_room', { handler: 'rooms', compression: { threshold: '0B' } }),
    ],
  });
});

afterEach(() => {
  for (const { socket } of clients.splice(0)) socket.terminate();
});

afterAll(async () => {
  await gateway?.stop('SIGKILL');
});

const urlOf = (path: string) => `ws://127.0.0.1:${gateway.port}${path}`;

async function open(path: string, options: Parameters<typeof openClient>[1] = {}): Promise<Client> {
  const client = await openClient(urlOf(path), { perMessageDeflate: false, ...options });
  clients.push(client);
  return client;
}

const extensionsOf = (client: Client) => client.response.headers['sec-websocket-extensions'];

describe('rates', () => {
  it('a client that sends more messages than it may is closed with 1008, after what it may was served', async () => {
    const client = await open('/few/r/u');
    const sent = Array.from({ length: 100 }, (_, n) => `${n}`);
    for (const text of sent) client.socket.send(text);
    expect(await client.closed).toEqual({ code: 1008, reason: 'rate_limit' });
    // A machine that stood still meanwhile lets through one more for each 200 ms.
    expect(client.messages.length).toBeGreaterThanOrEqual(5);
    expect(client.messages.length).toBeLessThan(50);
    expect(client.messages.map(String)).toEqual(sent.slice(0, client.messages.length));
    expect(await gateway.metric('websocket_closes_total', { route: 'few', code: '1008', initiator: 'gateway' })).toBe(
      1,
    );
  });

  it('bytes count too: one large message is lent, the next one is too much', async () => {
    const client = await open('/thin/r/u');
    client.socket.send('x'.repeat(5000));
    expect(String(await client.next())).toHaveLength(5000);
    client.socket.send('y');
    expect(await client.closed).toEqual({ code: 1008, reason: 'rate_limit' });
  });
});

describe('send_queue', () => {
  const large = 'x'.repeat(32 * 1024);

  it('close: a member that does not read is closed with 1013, and the others get everything', async () => {
    const [slow, fast, speaker] = [
      await open('/strict/r/slow'),
      await open('/strict/r/fast'),
      await open('/strict/r/speaker'),
    ];
    slow.socket.pause();
    // The system's own buffers take some megabytes first.
    for (let n = 0; n < 400; n++) {
      speaker.socket.send(large);
      expect(await fast.next()).toBe(`speaker: ${large}`);
    }
    await gateway.log({ event: 'session_closed', path: '/strict/r/slow', reason: 'slow_consumer', close_code: 1013 });
  });

  it('drop_oldest: a member that does not read loses the oldest, is told, and gets the newest', async () => {
    const slow = await joinRoom(urlOf('/loose/r/slow'));
    const speaker = await joinRoom(urlOf('/loose/r/speaker'));
    clients.push(slow.client, speaker.client);
    await slow.hearOnly({ type: 'join' });
    slow.client.socket.pause();
    for (let n = 0; n < 400; n++) await speaker.publish({ n, large });
    slow.client.socket.resume();
    const gap = await slow.hearOnly({ type: 'gap' }, 20_000);
    const seen = () => messagesOf(slow).map(({ data }) => (data as { n: number }).n);
    while (seen().at(-1) !== 399) await slow.hear();
    expect(seen()).toEqual([...seen()].sort((a, b) => a - b));
    expect(seen().length + Number(gap['dropped'])).toBe(400);
    expect(gap['dropped']).toBeGreaterThan(0);
    expect(slow.client.socket.readyState).toBe(slow.client.socket.OPEN);
  });
});

describe('the memory of messages that are not whole yet', () => {
  const MIB = 1024 * 1024;
  let small: Gateway;
  const raws: RawConnection[] = [];

  beforeAll(async () => {
    small = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      limits: { memory: { queues: '4MiB' } },
      routes: [route('plain', {}), route('deflate', { compression: {} })],
    });
  });
  afterEach(async () => {
    for (const { socket } of raws.splice(0)) socket.destroy();
    await expect.poll(() => small.metric('memory_budget_bytes', { budget: 'queues' })).toBe(0);
  });
  afterAll(async () => {
    await small?.stop('SIGKILL');
  });

  async function openRaw(name: string, extension: Record<string, string> = {}): Promise<RawConnection> {
    const raw = await connectRaw(small.port);
    raws.push(raw);
    raw.write(handshake(extension, `GET /${name}/r/u HTTP/1.1`));
    await raw.until('\r\n\r\n');
    return raw;
  }

  const queues = async () => (await small.metric('memory_budget_bytes', { budget: 'queues' })) ?? 0;

  /** The Close in what came behind the 101. */
  const closeOf = async (raw: RawConnection) => {
    const { bytes } = await raw.closed();
    const last = parseFrames(bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)).frames.at(-1);
    return last && readClose(last);
  };

  it('has a bound over all sessions: whoever holds most is closed with 1013, and whole messages pass', async () => {
    const honest = await openClient(`ws://127.0.0.1:${small.port}/plain/r/u`, { perMessageDeflate: false });
    clients.push(honest);
    const most = await openRaw('plain');
    most.write(buildFrame({ opcode: OPCODE.binary, payload: Buffer.alloc(0.9 * MIB), fin: false, mask: MASK }));
    await expect.poll(queues).toBeGreaterThan(0.9 * MIB);
    for (let n = 0; n < 6; n++) {
      const whole = buildFrame({ opcode: OPCODE.binary, payload: Buffer.alloc(0.7 * MIB), mask: MASK });
      (await openRaw('plain')).write(whole.subarray(0, 0.6 * MIB));
    }
    expect(await closeOf(most)).toEqual({ code: 1013, reason: 'queues_full' });
    await small.log({ event: 'session_closed', reason: 'queues_full', close_code: 1013, closed_by: 'gateway' });
    expect(await queues()).toBeLessThanOrEqual(4 * MIB);
    honest.socket.send('x'.repeat(300_000));
    expect(String(await honest.next())).toHaveLength(300_000);
  });

  it('counts compressed fragments as what they may have become', async () => {
    const raw = await openRaw('deflate', { 'Sec-WebSocket-Extensions': 'permessage-deflate' });
    const payload = deflateRawSync(Buffer.alloc(0.9 * MIB), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
    raw.write(buildFrame({ opcode: OPCODE.binary, payload, fin: false, rsv: 4, mask: MASK }));
    await expect.poll(queues).toBeGreaterThan(0.9 * MIB);
    expect(payload.length).toBeLessThan(2000);
  });
});

describe('compression', () => {
  it('is off unless the route has it', async () => {
    expect(extensionsOf(await open('/plain/r/u', { perMessageDeflate: true }))).toBeUndefined();
    expect(extensionsOf(await open('/deflate/r/u'))).toBeUndefined();
  });

  it('is agreed on without any context kept on either side', async () => {
    const client = await open('/deflate/r/u', { perMessageDeflate: true });
    expect(extensionsOf(client)).toBe(
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12',
    );
    for (const text of ['short', 'long '.repeat(10_000)]) {
      client.socket.send(text);
      expect(await client.next()).toBe(text);
    }
    await client.close();
    const { bytes_out } = await gateway.log({ event: 'session_closed', path: '/deflate/r/u', messages_out: 2 });
    expect(bytes_out).toBeLessThan(5000);
  });

  it.each([
    ['permessage-deflate; server_max_window_bits=10', 10],
    ['permessage-deflate; server_max_window_bits=15', 12],
    ['permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9', 9],
  ])('of the window that is asked for and its own it takes the smaller: %s', async (offer, bits) => {
    const connection = await connectRaw(gateway.port);
    connection.write(handshake({ 'Sec-WebSocket-Extensions': offer }, 'GET /deflate/r/u HTTP/1.1'));
    const head = (await connection.until('\r\n\r\n')).toString();
    connection.socket.destroy();
    expect(head).toMatch(new RegExp(`permessage-deflate;.*server_max_window_bits=${bits}(?!\\d)`));
  });

  it('a client whose window is too small for zlib, or whose offer is odd, goes uncompressed', async () => {
    const offers = [
      'permessage-deflate; server_max_window_bits=8',
      'permessage-deflate; server_max_window_bits',
      'permessage-deflate; client_max_window_bits=7',
      'permessage-deflate; server_no_context_takeover=1',
      'permessage-deflate; unknown',
      'permessage-deflate; server_no_context_takeover; server_no_context_takeover',
      'x-webkit-deflate-frame',
    ];
    for (const offer of offers) {
      const client = await open('/deflate/r/u', { headers: { 'Sec-WebSocket-Extensions': offer } });
      expect([offer, extensionsOf(client)]).toEqual([offer, undefined]);
      client.socket.send('x');
      expect(await client.next()).toBe('x');
    }
  });

  it('only as many connections compress as there is memory for, and a place is free again at the end', async () => {
    const first = await open('/deflate_some/r/u', { perMessageDeflate: true });
    expect(extensionsOf(first)).toContain('permessage-deflate');
    const second = await open('/deflate_some/r/v', { perMessageDeflate: true });
    expect(extensionsOf(second)).toBeUndefined();
    second.socket.send('y');
    expect(await second.next()).toBe('y');
    await first.close();
    await gateway.log({ event: 'session_closed', path: '/deflate_some/r/u' });
    expect(extensionsOf(await open('/deflate_some/r/w', { perMessageDeflate: true }))).toContain('permessage-deflate');
  });

  it('a small message that is large when inflated is closed with 1009', async () => {
    const client = await open('/deflate_bomb/r/u', { perMessageDeflate: { threshold: 0 } });
    client.socket.send('0'.repeat(1024 * 1024));
    expect((await client.closed).code).toBe(1009);
  });

  it('members of a room may compress or not', async () => {
    const [plain, deflated, speaker] = [
      await open('/deflate_room/r/plain'),
      await open('/deflate_room/r/deflated', { perMessageDeflate: true }),
      await open('/deflate_room/r/speaker', { perMessageDeflate: true }),
    ];
    for (const text of ['one', 'two '.repeat(5000), 'three']) speaker.socket.send(text);
    for (const text of ['one', 'two '.repeat(5000), 'three']) {
      expect(await Promise.all([plain.next(), deflated.next()])).toEqual([`speaker: ${text}`, `speaker: ${text}`]);
    }
  });

  it.skipIf(!hasPeers('python3-websockets'))('Python agrees on it', async () => {
    const text = 'compress me '.repeat(50);
    const report = await pythonClient({
      url: urlOf('/deflate/r/python'),
      compression: true,
      steps: [{ send: text }, { receive: 1 }, { close: 1000, reason: '' }],
    });
    expect(report).toMatchObject({ received: [{ length: text.length }], code: 1000 });
    expect(report.extensions.join()).toContain('permessage-deflate');
  });
});
