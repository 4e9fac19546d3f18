// Malformed frames at the built gateway, over TLS and without: each ends its own connection, and the gateway serves on.
import { once } from 'node:events';
import net from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { begin, SEQUENCES } from '../support/http2-malformed.ts';
import { CODE, END_STREAM, FRAME, frame, getFields, headers, RawHttp2, uint32 } from '../support/http2-raw.ts';

let gateway: Gateway;
/** A server that never answers. */
const silent = net.createServer((socket) => void socket.on('error', () => {}).resume());

beforeAll(async () => {
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  gateway = await startGateway({
    listeners: [
      { host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] }, http2: { extended_connect: true } },
      { host: '127.0.0.1', port: 0, http2: { prior_knowledge: true } },
    ],
    // Where node does not tell that a session was given up, its drain lasts this long.
    drain: { grace: '1s' },
    upstreams: { silent: { servers: [`http://127.0.0.1:${(silent.address() as net.AddressInfo).port}`] } },
    routes: [
      { name: 'silent', match: { path: '/silent' }, http: { upstream: 'silent' } },
      { name: 'fixed', match: { path: '/*' }, respond: { status: 200, body: 'here' } },
    ],
  });
});

afterAll(async () => {
  expect(await gateway?.stop()).toBe(0);
  silent.close();
});

const connect = (index: number): Promise<RawHttp2> =>
  index === 0 ? RawHttp2.tls(gateway.ports[0]!) : RawHttp2.plain(gateway.ports[1]!);

it.each(SEQUENCES)('%s: the gateway serves on', async (_name, frames) => {
  for (const index of [0, 1]) {
    const clients = await Promise.all(Array.from({ length: 5 }, () => connect(index)));
    for (const client of clients) client.write(begin, ...frames);
    for (const client of clients) {
      await client.next(({ type }) => type === FRAME.goaway);
      client.socket.destroy();
    }
    const other = await connect(index);
    other.write(begin, headers(1, getFields('/', [], { ':scheme': index === 0 ? 'https' : 'http' })));
    expect(await other.outcome(1)).toBe('200');
    other.socket.destroy();
  }
  expect(await gateway.metric('internal_errors_total', { where: 'connection' })).toBe(0);
});

const heads = (id: number, more: [string, string][]): Buffer =>
  headers(id, getFields('/silent', more, { ':method': 'POST' }), 0);

it.each([
  [
    'requests to a server that the client resets',
    (id: number) => [heads(id, []), frame(FRAME.reset, 0, id, uint32(CODE.cancel))],
  ],
  [
    'requests to a server that node resets for what the client sent',
    (id: number) => [heads(id, [['content-length', '5']]), frame(FRAME.data, END_STREAM, id, Buffer.alloc(1))],
  ],
])('%s in the same write count toward the budget', async (_name, one) => {
  const before = await gateway.metric('http2_sessions_closed_total', { reason: 'resets' });
  const client = await (await connect(0)).begin();
  // Fewer at a time than streams may be open.
  for (let i = 0; i < 5000 && !client.closed; i += 50) {
    client.write(...Array.from({ length: 50 }, (_, n) => one(2 * (i + n) + 1)).flat());
    client.write(frame(FRAME.ping, 0, 0, uint32(0, i)));
    await client.next(({ type, payload }) => type === FRAME.ping && payload.readUInt32BE(4) === i);
  }
  await client.ended();
  await expect.poll(() => gateway.metric('http2_sessions_closed_total', { reason: 'resets' })).toBe((before ?? 0) + 1);
});
