// A reconnect storm: two thousand sessions lose their backend at once, and all of their clients come back. With a ramp they get in
// at its rate, the others are told when to come again, and in bounded time all of them are in.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { type LineChild, startChild } from '../support/child.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { handshake } from '../support/raw.ts';

const CLIENTS = 2000;
const RAMP = { rate: 80, over: 12 };

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A backend that accepts every handshake and says nothing more; a process, to be killed. */
const BACKEND = `
  const { createServer } = require('node:http');
  const { createHash } = require('node:crypto');
  const server = createServer();
  server.on('upgrade', (req, socket) => {
    socket.on('error', () => {});
    const text = req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
    const accept = createHash('sha1').update(text).digest('base64');
    const fields = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Accept: ' + accept];
    socket.write(['HTTP/1.1 101 Switching Protocols', ...fields, '', ''].join('\\r\\n'));
    socket.resume();
  });
  server.listen(Number(process.argv[1]), '127.0.0.1', 4096, () => console.log(server.address().port));
`;

async function startBackend(port = 0): Promise<{ child: LineChild; port: number }> {
  const child = await startChild(process.execPath, ['-e', BACKEND, `${port}`]);
  ends.push(() => child.stop('SIGKILL'));
  return { child, port: await child.line((line) => Number(line) || undefined, 'its port') };
}

interface Attempt {
  readonly status: number;
  readonly reason: string;
  readonly retryAfter: number;
  readonly socket: Socket;
}

/** One handshake; a refusal ends its connection. */
async function attempt(gateway: Gateway): Promise<Attempt> {
  const socket = connect({ port: gateway.port, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.write(handshake());
  let text = '';
  while (!text.includes('\r\n\r\n')) {
    const got = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => null)]);
    if (got === null) break;
    text += String(got[0]);
  }
  const field = (name: string) => new RegExp(`^${name}: (.*)\r$`, 'm').exec(text)?.[1];
  const status = Number(text.split(' ')[1] ?? 0);
  if (status !== 101) socket.destroy();
  return { status, reason: field('X-Gateway-Reason') ?? '', retryAfter: Number(field('Retry-After') ?? 0), socket };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it('lets two thousand clients back in at the rate of its ramp', { timeout: 120_000 }, async () => {
  const backend = await startBackend();
  const config: GatewayFile = {
    admin: { port: 0 },
    listeners: [{ host: '127.0.0.1', port: 0 }],
    upstreams: { chat: { servers: [`ws://127.0.0.1:${backend.port}`], health: { passive: 'off' } } },
    routes: [{ name: 'chat', match: { path: '/ws' }, websocket: { mode: 'splice', upstream: 'chat', origins: 'any' } }],
  };
  const gateway = await startGateway(config);
  ends.push(() => gateway.stop('SIGKILL'));
  const refusals: Attempt[] = [];
  const live = new Set<Socket>();
  ends.push(() => {
    for (const socket of live) socket.destroy();
  });
  /** A well-behaved client: it comes again when it was told to, and not to the second. */
  const enter = async (): Promise<void> => {
    for (;;) {
      const outcome = await attempt(gateway);
      if (outcome.status === 101) return void live.add(outcome.socket);
      if (outcome.reason === 'ramp') refusals.push(outcome);
      await pause(outcome.retryAfter > 0 ? outcome.retryAfter * 1000 * (1 + Math.random() / 10) : 500 * Math.random());
    }
  };
  const enterAll = () => Promise.all(Array.from({ length: CLIENTS }, () => enter()));
  await enterAll();
  // A start is a ramp too, so it comes with a reload, which is none.
  const limits = { ramp: { rate: RAMP.rate, over: `${RAMP.over}s`, closes: 50 } };
  writeFileSync(gateway.file, JSON.stringify({ ...config, limits }));
  gateway.signal('SIGHUP');
  await gateway.log({ event: 'config_reloaded', result: 'success' });
  expect(await gateway.metric('ramp_active')).toBe(0);
  expect(refusals).toEqual([]);

  const lost = Promise.all([...live].map((socket) => once(socket, 'close')));
  const before = gateway.logs().length;
  await backend.child.stop('SIGKILL');
  await startBackend(backend.port);
  await lost;
  live.clear();
  const from = performance.now();
  await enterAll();
  const seconds = (performance.now() - from) / 1000;
  expect(live.size).toBe(CLIENTS);
  // The last place is promised before the end of the ramp; a second for the rounding, a tenth for the clients' own spread, and as
  // much again for a machine with other things to do.
  expect(seconds).toBeLessThan((RAMP.over + 2) * 1.1 * 2);

  // By the gateway's own clock: never more were in than the ramp had given by then.
  const since = () => gateway.logs().slice(before);
  const openings = () => since().filter(({ event }) => event === 'session_opened');
  await expect.poll(() => openings().length, { interval: 200 }).toBeGreaterThanOrEqual(CLIENTS);
  const time = (line: Readonly<Record<string, unknown>>) => Date.parse(String(line['time']));
  const began = since().findLast(({ msg }) => String(msg).startsWith('many sessions were lost'));
  const opened = openings()
    .map(time)
    .filter((at) => at >= time(began!));
  // The first ones may have come before the last of those that were lost was known, and the ramp began anew.
  expect(opened.length).toBeGreaterThan(CLIENTS - RAMP.rate);
  for (const [i, at] of opened.entries()) {
    const share = Math.min(1, (at + 2 - time(began!)) / (RAMP.over * 1000));
    expect(i).toBeLessThanOrEqual(1 - RAMP.rate * RAMP.over * Math.log(1 - share));
  }

  // The others got 503, each with a time of its own, none after the ramp. How many they are is the speed at which the clients of
  // this machine come: those that come later than their share of the ramp are admitted.
  expect(refusals.length).toBeGreaterThan(0);
  expect(new Set(refusals.map(({ status }) => status))).toEqual(new Set([503]));
  const told = refusals.map(({ retryAfter }) => retryAfter);
  expect(new Set(told).size).toBeGreaterThanOrEqual(Math.min(5, refusals.length / 20));
  expect(Math.max(...told)).toBeLessThanOrEqual(RAMP.over + 1);
  expect(Math.min(...told)).toBeGreaterThanOrEqual(1);
  const rejected = await gateway.metric('websocket_rejections_total', { route: 'chat', reason: 'ramp' });
  expect(rejected).toBe(refusals.length);
  console.log(`${CLIENTS} clients were back after ${seconds.toFixed(1)} s, with ${refusals.length} refusals`);
});
