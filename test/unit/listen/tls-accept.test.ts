// What the threads can't serve a TLS listener by is said, at its start as at a reload; and what they wait for behind a handshake.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { describe, expect, it } from 'vitest';
import type { ListenerConfig } from '../../../src/config/schema/schema.ts';
import type { GatewayEvent } from '../../../src/events.ts';
import { NativeTls } from '../../../src/listen/tls-accept.ts';
import type { TlsServer } from '../../../src/listen/tls-server.ts';
import { closeListeningSocket, descriptorOf } from '../../../src/net/node-internals.ts';
import { ticketKeyOf } from '../../../src/net/ticket-keys.ts';
import { ADDON } from '../../../src/relay/native/addon.ts';
import { NativeRelay } from '../../../src/relay/native/native.ts';
import { makeSelfSigned } from '../../../src/runtime/tls/self-signed.ts';

const usable = makeSelfSigned(['a.example'], new Date());
const otherKey = { cert: usable.cert, key: makeSelfSigned(['a.example'], new Date()).key };
const cut = { cert: usable.cert.slice(0, 200), key: usable.key };

type Pair = typeof usable;

/** What stands for a listener with this certificate at the moment. */
function serverOf(pair: () => Pair): TlsServer {
  return {
    get material() {
      const { cert: chain, key } = pair();
      const pairs = [{ chain, key, names: ['a.example'] }];
      return { clientAuth: null, strictSni: false, defaults: {}, pairs, minVersion: '1.2', staples: new Map() };
    },
    ticketKeys: () => [ticketKeyOf(Buffer.alloc(48, 1))],
  } as unknown as TlsServer;
}

const config = () => ({ timeouts: { tls_handshake: 10_000 }, tls: { engine: 'auto' } }) as ListenerConfig;

async function listeningSocket(): Promise<net.Server> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

describe.skipIf(!existsSync(ADDON))('certificates of a listener that the threads can’t use', () => {
  it.each([
    ['a key of another certificate', otherKey, 'key values mismatch'],
    ['half of a certificate', cut, 'bad end line'],
  ])('%s leaves its clients to node, with what OpenSSL says, at a start and at a reload', async (_, pair, why) => {
    const engine = new NativeRelay(2);
    const server = await listeningSocket();
    const events: GatewayEvent[] = [];
    let serves = pair;
    const tls = new NativeTls({
      address: 'here',
      server: serverOf(() => serves),
      config,
      emit: (event: GatewayEvent) => void events.push(event),
    });
    const fallback = { message: 'node does the TLS of a listener', data: { listener: 'here', why } };

    const handler = { accepted: () => {}, failed: () => {}, tlsEnded: () => {} };
    const handle = engine.acceptor.open(descriptorOf(server), handler, tls.accept());
    expect(events).toMatchObject([fallback]);
    tls.opened(handle!);
    tls.update();
    expect(events).toMatchObject([fallback, fallback]);
    serves = usable;
    tls.update();
    expect(events).toHaveLength(2);

    tls.close();
    handle!.close();
    server.close();
    await engine.stop();
  });
});

it.skipIf(!existsSync(ADDON))(
  'a request that comes a while behind the handshake of TLS is read by the thread',
  async () => {
    const engine = new NativeRelay(1);
    const server = await listeningSocket();
    const tls = new NativeTls({ address: 'here', server: serverOf(() => usable), config, emit: () => {} });
    const accepted: string[] = [];
    const handle = engine.acceptor.open(
      descriptorOf(server),
      {
        accepted: ({ connection, bytes }) => {
          accepted.push(Buffer.from(bytes).toString());
          connection.destroy();
        },
        failed: () => {},
        tlsEnded: () => {},
      },
      tls.accept(),
    );
    const { port } = server.address() as net.AddressInfo;
    closeListeningSocket(server);
    // On a machine that is busy enough more than a second passes, and node would have to read it.
    for (let i = 0; i < 5 && !accepted.includes('GET'); i++) {
      const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
      client.on('error', () => {});
      await once(client, 'secureConnect');
      await sleep(300);
      client.end('GET');
      await new Promise((resolve) => client.resume().once('close', resolve));
    }
    expect(accepted).toContain('GET');
    handle!.close();
    server.close();
    await engine.stop();
  },
);
