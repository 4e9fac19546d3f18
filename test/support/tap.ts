// A TCP relay that remembers every byte of every connection, to be put before and behind the gateway: what went in must
// have come out. It knows no HTTP and no WebSocket.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Taped {
  /** All that the connecting side sent. */
  up(): Buffer;
  /** All that the accepting side sent. */
  down(): Buffer;
}

export interface Tap {
  readonly port: number;
  readonly connections: readonly Taped[];
  close(): void;
}

/** Listens on a free port of 127.0.0.1 and carries everything to `targetPort` there. */
export async function startTap(targetPort: number): Promise<Tap> {
  const connections: Taped[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    const up: Buffer[] = [];
    const down: Buffer[] = [];
    connections.push({ up: () => Buffer.concat(up), down: () => Buffer.concat(down) });
    for (const [from, to, tape] of [[near, far, up] as const, [far, near, down] as const]) {
      sockets.add(from);
      from.on('data', (chunk) => tape.push(chunk));
      from.on('error', () => to.destroy());
      from.pipe(to);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
