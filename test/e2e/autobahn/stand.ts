// What the cases are run against: a backend of `ws` that echoes, and gateways that terminate (echo) or splice to it.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ServerOptions, WebSocketServer } from 'ws';
import { type Gateway, startGateway } from '../../support/gateway.ts';

/** As much as the largest case sends. */
const LARGEST = 64 * 1024 * 1024;
const maxMessage = { max_message: '64MiB' } as const;

export interface Backend {
  readonly port: number;
  close(): void;
}

/** Echoes on `/`; on `/deflate` it takes permessage-deflate, and compresses whatever it sends. */
export async function startBackend(): Promise<Backend> {
  const options: ServerOptions = { noServer: true, maxPayload: LARGEST };
  const plain = new WebSocketServer(options);
  const deflating = new WebSocketServer({ ...options, perMessageDeflate: { threshold: 0 } });
  const server = createServer();
  server.on('upgrade', (request, socket, head) => {
    const of = request.url === '/deflate' ? deflating : plain;
    of.handleUpgrade(request, socket, head, (client) => {
      client.on('error', () => {});
      client.on('message', (data, binary) => client.send(data, { binary }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const client of [...plain.clients, ...deflating.clients]) client.terminate();
      server.close();
    },
  };
}

/** A gateway that echoes itself, as the backend does. */
export function startTerminating(): Promise<Gateway> {
  const echo = { mode: 'terminate', handler: 'echo', origins: 'any', limits: maxMessage } as const;
  const queue = { send_queue: { size: '64MiB' } } as const;
  return startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    routes: [
      {
        name: 'deflate',
        match: { path: '/deflate' },
        websocket: { ...echo, ...queue, compression: { threshold: '0B', window_bits: 9 } },
      },
      { name: 'plain', websocket: { ...echo, ...queue } },
    ],
    log: { access: false },
  });
}

/** A gateway in front of the backend. */
export function startSplicing(engine: 'js' | 'native', backend: Backend): Promise<Gateway> {
  return startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    upstreams: { echo: { servers: [`ws://127.0.0.1:${backend.port}`] } },
    routes: [{ name: 'all', websocket: { mode: 'splice', upstream: 'echo', origins: 'any' } }],
    relay: { engine },
    log: { access: false },
  });
}
