// Both ends of a connection over loopback, for what needs a real socket.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface SocketPair {
  /** What the gateway has. */
  readonly accepted: Socket;
  readonly client: Socket;
  close(): void;
}

/** A client and the connection that was accepted of it, both half-open as an HTTP server's are. */
export async function socketPair(): Promise<SocketPair> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
  const [accepted] = (await once(server, 'connection')) as [Socket];
  accepted.on('error', () => {});
  server.close();
  return {
    accepted,
    client,
    close: () => {
      accepted.destroy();
      client.destroy();
    },
  };
}

/** All that comes on a socket, until it has ended or was reset. */
export async function readAll(socket: Socket): Promise<string> {
  let text = '';
  const ended = new Promise<void>((resolve) => {
    socket.once('end', resolve).once('close', () => resolve());
  });
  socket.on('data', (part: Buffer) => {
    text += part.toString('latin1');
  });
  await ended;
  return text;
}
