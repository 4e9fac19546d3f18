// What the threads can't serve a TLS listener by is said, at its start as at a reload.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import type { ListenerConfig } from '../../../src/config/schema/schema.ts';
import type { GatewayEvent } from '../../../src/events.ts';
import { NativeTls } from '../../../src/listen/tls-accept.ts';
import type { TlsServer } from '../../../src/listen/tls-server.ts';
import { descriptorOf } from '../../../src/net/node-internals.ts';
import { ticketKeyOf } from '../../../src/net/ticket-keys.ts';
import { ADDON } from '../../../src/relay/native/addon.ts';
import { NativeRelay } from '../../../src/relay/native/native.ts';
import { makeSelfSigned } from '../../../src/runtime/tls/self-signed.ts';

const usable = makeSelfSigned(['a.example'], new Date());
const otherKey = { cert: usable.cert, key: makeSelfSigned(['a.example'], new Date()).key };
const cut = { cert: usable.cert.slice(0, 200), key: usable.key };

describe.skipIf(!existsSync(ADDON))('certificates of a listener that the threads can’t use', () => {
  it.each([
    ['a key of another certificate', otherKey, 'key values mismatch'],
    ['half of a certificate', cut, 'bad end line'],
  ])('%s leaves its clients to node, with what OpenSSL says, at a start and at a reload', async (_, pair, why) => {
    const engine = new NativeRelay(2);
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const events: GatewayEvent[] = [];
    let serves = pair;
    const tlsServer = {
      get material() {
        const { cert: chain, key } = serves;
        const pairs = [{ chain, key, names: ['a.example'] }];
        return { clientAuth: null, strictSni: false, defaults: {}, pairs, minVersion: '1.2', staples: new Map() };
      },
      ticketKeys: () => [ticketKeyOf(Buffer.alloc(48, 1))],
    } as unknown as TlsServer;
    const config = () => ({ timeouts: { tls_handshake: 1000 }, tls: { engine: 'auto' } }) as ListenerConfig;
    const tls = new NativeTls({
      address: 'here',
      server: tlsServer,
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
