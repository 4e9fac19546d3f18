// A WebSocket server that sends back what it gets, for tests that need some backend to splice to.
import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';

export interface EchoServer {
  readonly port: number;
  /** The fields of the newest handshake. */
  lastFields(): IncomingHttpHeaders;
  close(): void;
}

export async function startEcho(): Promise<EchoServer> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  let fields: IncomingHttpHeaders = {};
  server.on('connection', (socket, request) => {
    fields = request.headers;
    socket.on('error', () => {});
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    lastFields: () => fields,
    close: () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}
