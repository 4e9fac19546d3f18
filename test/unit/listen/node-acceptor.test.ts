// The connections of a server that was tuned are what node would have made of them, and have the options of its socket.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectionOptions, setSocketOptions } from '../../../src/listen/node-acceptor.ts';

let server: http.Server;
let client: Socket;
let accepted: Socket;

beforeEach(async () => {
  server = http.createServer(connectionOptions(60_000), (_, res) => res.end('served'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  setSocketOptions(server, 60_000);
  client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  [accepted] = (await once(server, 'connection')) as [Socket];
});

afterEach(() => {
  client.destroy();
  server.close();
});

/** The timer that the kernel runs for an idle connection (proc(5), tcp): its kind, and when it fires, in milliseconds. */
function timerOf(socket: Socket): { keepalive: boolean; inMs: number } {
  const port = (end: number | undefined): string => `:${(end ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
  const row = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, local, remote]) => local?.endsWith(port(socket.localPort)) && remote?.endsWith(port(socket.remotePort)));
  const [kind, ticks = ''] = (row?.[5] ?? '').split(':');
  return { keepalive: kind === '02', inMs: Number.parseInt(ticks, 16) * 10 };
}

describe('a connection of a tuned server', () => {
  it.runIf(process.platform === 'linux')('is probed after a minute of silence', () => {
    const { keepalive, inMs } = timerOf(accepted);
    expect(keepalive).toBe(true);
    expect(inMs).toBeGreaterThan(50_000);
    expect(inMs).toBeLessThanOrEqual(61_000);
  });

  it('is served, and may be half closed', async () => {
    expect(accepted.allowHalfOpen).toBe(true);
    client.end('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    let text = '';
    client.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    await once(client, 'close');
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*served/s);
  });

  // From node 26 on a server that closes ends connections too that have not asked for anything yet.
  it.skipIf(Number(process.versions.node.split('.')[0]) >= 26)(
    'keeps its server from being closed until it is gone',
    async () => {
      let closed = false;
      server.close(() => {
        closed = true;
      });
      expect(await connectionsOf(server)).toBe(1);
      expect(closed).toBe(false);
      accepted.destroy();
      await once(server, 'close');
      expect(await connectionsOf(server)).toBe(0);
    },
  );

  it("is made by node's own code: nothing of the listening handle is replaced", async () => {
    const untouched = http.createServer();
    untouched.listen(0, '127.0.0.1');
    await once(untouched, 'listening');
    const onconnection = (of: http.Server) =>
      (of as unknown as { _handle: { onconnection: unknown } })._handle.onconnection;
    expect(onconnection(server)).toBe(onconnection(untouched));
    untouched.close();
  });
});

function connectionsOf(of: http.Server): Promise<number> {
  return new Promise((resolve, fail) => of.getConnections((error, count) => (error ? fail(error) : resolve(count))));
}
