// The first line of defence, in the built program: what is thrown in a callback costs its own connection or exchange, one
// log line and one count, and everybody else goes on. The faults come from outside (test/fixtures/faults).
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { ADDON } from '../../src/relay/native/addon.ts';
import { openClient } from '../support/client.ts';
import { startEcho } from '../support/echo.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { exchange, handshake } from '../support/raw.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const INJECT = fileURLToPath(new URL('../fixtures/faults/throw-in.mjs', import.meta.url));
const TOKEN = 'a-token-of-the-admin-api-for-tests';

async function start(fault: string, engine: 'native' | 'js'): Promise<Gateway> {
  const echo = await startEcho();
  ends.push(() => echo.close());
  const config: GatewayFile = {
    listeners: [
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port: 0, proxy_protocol: { from: ['127.0.0.0/8'] } },
    ],
    admin: { port: 0, token: TOKEN },
    relay: { engine, threads: 1 },
    upstreams: {
      echo: {
        servers: [`ws://127.0.0.1:${echo.port}`],
        health: { active: { type: 'tcp', every: '5s', timeout: '5s' } },
      },
    },
    routes: [
      { name: 'spliced', match: { path: '/spliced' }, websocket: { mode: 'splice', upstream: 'echo', origins: 'any' } },
      { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
      { name: 'hello', match: { path: '/hello' }, respond: { status: 200, body: 'hello' } },
    ],
  };
  const gateway = await startGateway(config, {
    NODE_OPTIONS: `--enable-source-maps --import=${INJECT}`,
    FAULT_IN: fault,
  });
  ends.push(() => gateway.stop('SIGKILL'));
  return gateway;
}

const asText = async (port: number, bytes: string) => (await exchange(port, bytes)).toString('latin1');
const upgrade = (path: string) => handshake({}, `GET ${path} HTTP/1.1`);

interface Case {
  readonly what: string;
  readonly fault: string;
  readonly engine: 'native' | 'js';
  readonly where: string;
  /** Meets the fault, and gives what came of it. */
  readonly meet: (gateway: Gateway) => Promise<string>;
  readonly gets: RegExp;
}

const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

const CASES: readonly Case[] = [
  {
    what: 'a plain request, before it has a context',
    fault: 'performance.now pipeline/incoming.ts',
    engine: 'js',
    where: 'request',
    meet: ({ port }) => asText(port, ask('/hello')),
    gets: /^HTTP\/1\.1 500 .*"internal"/s,
  },
  {
    what: 'a handshake from node, before it has a context',
    fault: 'performance.now pipeline/incoming.ts',
    engine: 'js',
    where: 'handshake',
    meet: ({ port }) => asText(port, upgrade('/spliced')),
    gets: /^HTTP\/1\.1 500 .*"internal"/s,
  },
  {
    what: 'a handshake that was accepted natively',
    fault: 'performance.now pipeline/incoming.ts',
    engine: 'native',
    where: 'handshake',
    meet: ({ port }) => asText(port, upgrade('/spliced')),
    gets: /^HTTP\/1\.1 500 .*"internal"/s,
  },
  {
    what: "a backend's answer to a handshake",
    fault: 'String.prototype.indexOf http/answer.ts',
    engine: 'js',
    where: 'upstream',
    meet: ({ port }) => asText(port, upgrade('/spliced')),
    gets: /^HTTP\/1\.1 500 .*"internal"/s,
  },
  {
    what: 'a PROXY preamble',
    fault: 'Buffer.prototype.toString http/proxy-protocol.ts',
    engine: 'js',
    where: 'connection',
    meet: ({ ports }) => asText(ports[1]!, `PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n${ask('/hello')}`),
    gets: /^$/,
  },
  {
    what: 'a request of the admin API',
    fault: 'performance.now admin/api.ts',
    engine: 'js',
    where: 'admin',
    meet: ({ adminPort }) =>
      asText(
        adminPort,
        `GET /rooms HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n\r\n`,
      ),
    gets: /^HTTP\/1\.1 500 /,
  },
  {
    what: 'a metric that is counted',
    fault: 'Map.prototype.get observe/metrics.ts',
    engine: 'js',
    where: 'events',
    meet: ({ port }) => asText(port, ask('/hello')),
    gets: /^HTTP\/1\.1 200 .*hello$/s,
  },
];

describe.each(CASES)('a defect in $what', ({ fault, engine, where, meet, gets }) => {
  it.skipIf(engine === 'native' && !existsSync(ADDON))('costs that alone', async () => {
    const gateway = await start(fault, engine);
    const others = await Promise.all(
      ['/spliced', '/echo'].map((path) => openClient(`ws://127.0.0.1:${gateway.port}${path}`)),
    );
    gateway.signal('SIGUSR2');
    await gateway.log({ event: 'armed' });
    expect(await meet(gateway)).toMatch(gets);
    const line = await gateway.log({ event: 'internal_error' });
    expect(line).toMatchObject({ level: 'error', where });
    expect(line['stack']).toContain(`an injected fault in ${fault.split(' ')[1]}`);
    expect(await gateway.metric('internal_errors_total', { where })).toBe(1);
    expect(await gateway.metric('internal_errors_total', { where: 'process' })).toBe(0);
    for (const { socket } of others) socket.send('still here');
    expect(await Promise.all(others.map((other) => other.next()))).toEqual(['still here', 'still here']);
    // The same once more is served.
    expect(await asText(gateway.port, ask('/hello'))).toMatch(/^HTTP\/1\.1 200 .*hello$/s);
  });
});

it('a check that breaks is made again, and nothing else is lost', async () => {
  const gateway = await start('WeakMap.prototype.get upstream/health/checker.ts', 'js');
  gateway.signal('SIGUSR2');
  await gateway.log({ event: 'internal_error', where: 'upstream' });
  const client = await openClient(`ws://127.0.0.1:${gateway.port}/spliced`);
  client.socket.send('served');
  expect(await client.next()).toBe('served');
});
