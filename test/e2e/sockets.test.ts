// What the running gateway does with the descriptors of a splice, whoever dials: options on both sides, and what is
// answered when none is left for a dial. Linux only: another process looks at its sockets and sets its limits.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw, handshake, type RawConnection } from '../support/raw.ts';
import { type Scripted, startScripted } from '../support/scripted.ts';

const OPTIONS = fileURLToPath(new URL('../support/python/socket_options.py', import.meta.url));

interface SocketOptions {
  readonly local: number;
  readonly peer: number;
  readonly noDelay: boolean;
  readonly keepAlive: boolean;
  readonly idle: number;
}

function look(pid: number): SocketOptions[] {
  const { status, stdout, stderr } = spawnSync('/usr/bin/python3', [OPTIONS, String(pid)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as SocketOptions[];
}

const allowed = spawnSync('/usr/bin/python3', [OPTIONS, String(process.pid)]).status === 0;
if (!allowed)
  process.stderr.write('\n*** python3 may not look at the sockets of another process: a test is skipped ***\n');

/** The lowest descriptor that is free: the next one to be given out. */
function nextDescriptor(pid: number): number {
  const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let next = 0;
  while (open.has(next)) next++;
  return next;
}

/** As `ulimit -n`, but of a process that runs. */
function limitDescriptors(pid: number, limit: number): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(pid), `--nofile=${limit}:`], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

describe.skipIf(process.platform !== 'linux').each(['native', 'js'] as const)('with the %s engine', (engine) => {
  let backend: Scripted;
  let gateway: Gateway;
  const clients: RawConnection[] = [];

  beforeAll(async () => {
    backend = await startScripted({
      '/ws': (_, accept) =>
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    });
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      relay: { engine },
      upstreams: { ws: { servers: [`ws://127.0.0.1:${backend.port}`] } },
      routes: [{ name: 'ws', match: { path: '/ws' }, websocket: { mode: 'splice', upstream: 'ws', origins: 'any' } }],
    });
  });
  afterAll(async () => {
    for (const { socket } of clients) socket.destroy();
    await gateway.stop();
    await backend.close();
  });

  async function client(): Promise<RawConnection> {
    const connection = await connectRaw(gateway.port);
    clients.push(connection);
    return connection;
  }

  it.skipIf(!allowed)('both sides have TCP_NODELAY, and keepalive after 60 s', async () => {
    const one = await client();
    one.write(handshake());
    await one.until('\r\n\r\n');
    await gateway.log({ event: 'session_opened' });
    const sides = (found: readonly SocketOptions[]) => [
      ...found.filter(({ local, peer }) => local === gateway.port && peer === one.socket.localPort),
      ...found.filter(({ peer }) => peer === backend.port),
    ];
    const set = { noDelay: true, keepAlive: true, idle: 60 };
    // A socket that was handed over may still be closing its first descriptor.
    await expect
      .poll(() => sides(look(gateway.pid)))
      .toEqual([expect.objectContaining(set), expect.objectContaining(set)]);
  });

  it('a dial that finds no descriptor left is 503 limit, and the process goes on', async () => {
    const one = await client();
    // It has been accepted once it is answered.
    one.write('GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n');
    await one.until('404');
    limitDescriptors(gateway.pid, nextDescriptor(gateway.pid));
    one.write(handshake());
    const answer = (await one.until('503')).toString('latin1');
    await one.until('X-Gateway-Reason: limit');
    expect(answer).not.toContain(' 101 ');
    const failed = await gateway.log({ event: 'handshake_failed', reason: 'limit' });
    expect(String(failed['detail'])).toContain('EMFILE');

    limitDescriptors(gateway.pid, 1024);
    const two = await client();
    two.write(handshake());
    await two.until(' 101 ');
  });
});
