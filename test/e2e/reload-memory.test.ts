// Reload after reload under live tunnels: no session is touched, and memory stays flat. RELOADS says how many; `npm run reloads`
// takes 200.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { openClient } from '../support/client.ts';
import { startEcho } from '../support/echo.ts';
import { type GatewayFile, startGateway } from '../support/gateway.ts';

const RELOADS = Number(process.env['RELOADS'] ?? 16);
const TUNNELS = 50;
const ROUTES = 200;
const TOKEN = 'a-token-of-some-length';
/** Bytes that the heap may swing by; what 200 snapshots of this config take is several times as much. */
const SLACK = 24 * 1024 * 1024;

it(
  `${RELOADS} reloads under ${TUNNELS} live tunnels touch none, and leave memory flat`,
  async () => {
    const echo = await startEcho();
    const config = (round: number): GatewayFile => ({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      admin: { port: 0, token: TOKEN },
      upstreams: { echo: { servers: [`ws://127.0.0.1:${echo.port}`], close_rate: 100 + (round % 2) } },
      routes: [
        { name: 'ws', match: { path: '/ws' }, websocket: { mode: 'splice', upstream: 'echo', origins: 'any' } },
        ...Array.from({ length: ROUTES }, (_, i) => ({
          name: `r${round}-${i}`,
          match: { path: `/r${round}/${i}` },
          http: { upstream: 'echo' },
        })),
      ],
    });
    // Small enough a heap that garbage does not pass for growth.
    const gateway = await startGateway(config(0), { NODE_OPTIONS: '--max-old-space-size=64 --max-semi-space-size=1' });
    const resident = () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))?.[1]) * 1024;
    const clients = await Promise.all(
      Array.from({ length: TUNNELS }, () => openClient(`ws://127.0.0.1:${gateway.port}/ws`)),
    );
    const reload = async (round: number) => {
      writeFileSync(gateway.file, JSON.stringify(config(round)));
      const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/reload`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${TOKEN}` },
      });
      expect(await answer.json()).toMatchObject({ kept: TUNNELS, draining: [], restart_needed: [] });
    };
    const lowest = async (from: number, to: number) => {
      let least = Number.POSITIVE_INFINITY;
      for (let round = from; round < to; round++) {
        await reload(round);
        least = Math.min(least, resident());
      }
      return least;
    };
    const part = Math.floor(RELOADS / 4);
    // The first ones warm up: code is compiled, and the heap takes its size.
    await lowest(1, part + 1);
    const early = await lowest(part + 1, 2 * part + 1);
    await lowest(2 * part + 1, 3 * part + 1);
    const late = await lowest(3 * part + 1, RELOADS + 1);
    if (process.env['RELOADS'] !== undefined) process.stdout.write(`resident: ${early} then ${late} bytes\n`);
    expect(late - early).toBeLessThan(SLACK);
    for (const { socket } of clients) socket.send('still here');
    expect(await Promise.all(clients.map((client) => client.next()))).toEqual(Array(TUNNELS).fill('still here'));
    for (const { socket } of clients) socket.terminate();
    await gateway.stop();
    echo.close();
  },
  20_000 + RELOADS * 3000,
);
