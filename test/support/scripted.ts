// A backend that answers a handshake with bytes a test chose, valid or not, for what no real server can be made to do.
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { acceptOf } from './raw.ts';

/** Above the last that fetch() refuses to ask, which is 10080. */
const FIRST_FREE_PORT = 11_000;
/** Linux gives out those from 32768 on. */
const FREE_PORTS = 21_000;

/** What to answer; it gets the request's head and its accept key. null: nothing, ever. */
export type Script = (head: string, accept: string) => string | null;

export interface Scripted {
  readonly port: number;
  /** The heads received so far. */
  readonly heads: readonly string[];
  readonly sockets: ReadonlySet<Socket>;
  close(): void;
}

/** Listens on a free port of 127.0.0.1; the script is picked by the path of the request. */
export async function startScripted(scripts: Readonly<Record<string, Script>>): Promise<Scripted> {
  const sockets = new Set<Socket>();
  const heads: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (chunk) => {
      const before = text.includes('\r\n\r\n');
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (before || end < 0) return;
      const head = text.slice(0, end);
      heads.push(head);
      const path = head.split(' ')[1]!.split('?')[0]!;
      const key = /^sec-websocket-key: (.*)$/im.exec(head)?.[1] ?? '';
      const answer = scripts[path]?.(head, acceptOf(key));
      if (answer !== undefined && answer !== null) socket.write(answer, 'latin1');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    heads,
    sockets,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

let nextPort = randomInt(FREE_PORTS);

/**
 * A port that nothing listens on. It is below those that the system gives to whoever asks for any, so that nobody gets it by
 * chance before it is used, and this process is not given it twice.
 */
export async function closedPort(): Promise<number> {
  for (;;) {
    const port = FIRST_FREE_PORT + (nextPort++ % FREE_PORTS);
    const server = createServer().listen(port);
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
