// A ClientHello of which the system holds only a part at a time: it reports it before it is whole, as it does for every
// connection where memory for sockets is short. Python gives the listening socket a buffer that small; node can't.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { descriptorOf } from '../../src/net/node-internals.ts';
import { ADDON } from '../../src/relay/native/addon.ts';
import { startChild } from '../support/child.ts';
import { clientHelloOf } from '../support/client-hello.ts';
import { type Gateway, gatewayOf, MAIN, writeConfig } from '../support/gateway.ts';
import { hasPeers } from '../support/peers.ts';
import { connectRaw } from '../support/raw.ts';

const SHRINK = `import os, socket, sys
listening = socket.socket(fileno=3)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
listening.detach()
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[1], sys.argv[1:])`;

describe.skipIf(!existsSync(ADDON) || !hasPeers('python3'))(
  'a ClientHello that the system holds only a part of',
  () => {
    let gateway: Gateway;
    let port: number;
    beforeAll(async () => {
      const server = net.createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      port = (server.address() as net.AddressInfo).port;
      const file = writeConfig({
        listeners: [{ host: '127.0.0.1', port, tls: { engine: 'native', self_signed: ['localhost'] } }],
        admin: { host: '127.0.0.1', port: 0 },
        routes: [{ name: 'all', respond: { body: 'served' } }],
      });
      const args = ['-c', SHRINK, process.execPath, MAIN, 'run', '-c', file];
      const child = await startChild('/usr/bin/python3', args, { fds: [descriptorOf(server)] });
      server.close();
      gateway = await gatewayOf(child, file);
    });
    afterAll(async () => {
      expect(await gateway.stop()).toBe(0);
    });

    it.each([
      ['one that fits', 0, 'native'],
      ['one that does not', 60, 'node'],
    ])('%s is answered in the end', async (_, more, engine) => {
      const ALPNProtocols = ['http/1.1', ...Array.from({ length: more }, (_, i) => `${'x'.repeat(200)}${i}`)];
      const hello = await clientHelloOf({ ALPNProtocols });
      const client = await connectRaw(port);
      client.write(hello);
      const received = await client.until((all) => all.length > 5);
      expect(received[0]).toBe(22);
      client.reset();
      const labels = { listener: `127.0.0.1:${port}`, result: 'reset', engine };
      await expect.poll(() => gateway.metric('tls_handshakes_total', labels)).toBe(1);
    });
  },
);
