// A gateway whose process is stopped for a while, as a debugger, a container's pause or a machine out of breath does: what
// its peers sent meanwhile is read before any of them is called silent.
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { ADDON } from '../../src/relay/native/addon.ts';
import { type Client, openClient } from '../support/client.ts';
import { startEcho } from '../support/echo.ts';
import { startGateway } from '../support/gateway.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** More than a relay thread hears at once. */
const MANY = 300;
const TIMEOUT_MS = 5000;

/** Whether the process of this number is stopped (proc(5): the state stands behind the name). */
function isStopped(pid: number): boolean {
  return /^\d+ \(.*\) [tT] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
}

/** Clients that answer pings until they are told to hold their answers back. */
function createClients() {
  let holding = false;
  const clients: Client[] = [];
  const held = new Map<Client, Buffer>();
  return {
    clients,
    open: async (url: string) => {
      const client = await openClient(url, { autoPong: false });
      clients.push(client);
      client.socket.on('ping', (payload) => {
        if (holding) held.set(client, payload);
        else client.socket.pong(payload);
      });
      // One that came before this was listened for is answered too: any byte will do.
      client.socket.pong();
    },
    /** Resolves once each has a ping that it has not answered. */
    hold: async () => {
      holding = true;
      await expect.poll(() => held.size, { interval: 5 }).toBe(clients.length);
    },
    answer: () => {
      holding = false;
      for (const [{ socket }, payload] of held) socket.pong(payload);
    },
  };
}

describe.each(['native', 'js'] as const)('a gateway that is stopped and goes on, with the %s relay', (engine) => {
  it.skipIf(engine === 'native' && !existsSync(ADDON))('ends nobody who has answered its ping meanwhile', async () => {
    const echo = await startEcho();
    ends.push(() => echo.close());
    const ping = { every: '300ms', timeout: `${TIMEOUT_MS}ms` };
    const gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      relay: { engine, threads: 1 },
      upstreams: { echo: { servers: [`ws://127.0.0.1:${echo.port}`] } },
      routes: [
        {
          name: 'spliced',
          match: { path: '/spliced' },
          websocket: { mode: 'splice', upstream: 'echo', origins: 'any', ping },
        },
        {
          name: 'terminated',
          match: { path: '/terminated' },
          websocket: { mode: 'terminate', handler: 'echo', origins: 'any', ping },
        },
      ],
      log: { access: false },
    });
    ends.push(() => gateway.stop('SIGKILL'));
    const { clients, open, hold, answer } = createClients();
    const at = (path: string) => `ws://127.0.0.1:${gateway.port}${path}`;
    await Promise.all(Array.from({ length: MANY }, () => open(at('/spliced'))));
    await Promise.all(Array.from({ length: 20 }, () => open(at('/terminated'))));
    await hold();
    gateway.signal('SIGSTOP');
    await expect.poll(() => isStopped(gateway.pid), { interval: 5 }).toBe(true);
    answer();
    // Past the time of every ping.
    await sleep(TIMEOUT_MS + 500);
    gateway.signal('SIGCONT');
    for (const [i, { socket }] of clients.entries()) socket.send(`still here ${i}`);
    const heard = await Promise.all(clients.map((client) => client.next()));
    expect(heard).toEqual(clients.map((_, i) => `still here ${i}`));
  });
});
