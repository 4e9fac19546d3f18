// Malformed frames at the built gateway, over TLS and without: each ends its own connection, and the gateway serves on.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { begin, SEQUENCES } from '../support/http2-malformed.ts';
import { FRAME, getFields, headers, RawHttp2 } from '../support/http2-raw.ts';

let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({
    listeners: [
      { host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] } },
      { host: '127.0.0.1', port: 0, http2: { prior_knowledge: true } },
    ],
    // A newer nghttp2 that has given a session up does not hear its client leave: its drain lasts this long.
    drain: { grace: '1s' },
    routes: [{ name: 'fixed', match: { path: '/*' }, respond: { status: 200, body: 'here' } }],
  });
});

afterAll(async () => {
  expect(await gateway?.stop()).toBe(0);
});

const connect = (index: number): Promise<RawHttp2> =>
  index === 0 ? RawHttp2.tls(gateway.ports[0]!) : RawHttp2.plain(gateway.ports[1]!);

it.each(SEQUENCES)('%s: the gateway serves on', async (_name, frames) => {
  for (const index of [0, 1]) {
    const clients = await Promise.all(Array.from({ length: 5 }, () => connect(index)));
    for (const client of clients) client.write(begin, ...frames);
    // A newer nghttp2 says so and lets node close the connection, or not.
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
