import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { type Config, schema } from '../../../src/config/schema/schema.ts';
import { startDemo } from '../../../src/demo/demo.ts';
import { type Bound, demoHints } from '../../../src/demo/hints.ts';
import { demoPage } from '../../../src/demo/page.ts';
import { httpPaths, webSocketPaths } from '../../../src/demo/paths.ts';
import { findPorts } from '../../../src/demo/ports.ts';
import type { GatewayEvent } from '../../../src/events.ts';
import { openClient } from '../../support/client.ts';
import { closedPort } from '../../support/scripted.ts';

const chat = { name: 'chat', match: { path: '/ws/*' }, websocket: { mode: 'splice', upstream: 'chat' } };
const echo = { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo' } };
const rest = { name: 'rest', match: { path: '/*' }, http: { upstream: 'rest' } };

function configOf(routes: readonly object[], upstreams: Record<string, string[]> = {}): Config {
  const named = Object.entries({ chat: ['ws://127.0.0.1:1'], rest: ['http://127.0.0.1:2'], ...upstreams });
  return schema.parse({
    listeners: [{ port: 0 }],
    upstreams: Object.fromEntries(named.map(([name, servers]) => [name, { servers }])),
    routes,
  });
}

async function started(config: Config) {
  const events: GatewayEvent[] = [];
  const demo = await startDemo(config, (event) => events.push(event));
  return { demo, notices: events.flatMap((event) => (event.type === 'notice' ? [event] : [])) };
}

describe('findPorts', () => {
  test('has 8080 in the place of a port 80 that is taken, says so, and leaves others as they are', async () => {
    const taken = createServer();
    // Where we may not have it, or somebody else does, it is no less taken.
    await new Promise((resolve) => taken.once('error', resolve).listen({ port: 80 }, () => resolve(null)));
    const config = schema.parse({ listeners: [{ port: 80 }, { port: 0 }, { unix: '/run/x.sock' }], routes: [chat] });
    const events: GatewayEvent[] = [];
    const movePorts = await findPorts(config, (event) => events.push(event));
    taken.close();
    expect(events).toEqual([
      {
        type: 'notice',
        level: 'warn',
        message: expect.stringMatching(
          /^port 80 (?:is taken|needs root or CAP_NET_BIND_SERVICE): the demo takes 8080$/,
        ),
      },
    ]);
    expect(movePorts(config).listeners.map(({ port, unix }) => port ?? unix)).toEqual([8080, 0, '/run/x.sock']);
    // A reload reads the file again, with the ports that are written there.
    expect(movePorts({ ...config, listeners: config.listeners.slice(1) }).listeners).toEqual(config.listeners.slice(1));
  });
});

describe('startDemo', () => {
  test('serves each server of an upstream with what its routes need', async () => {
    const [ws, http, both] = [await closedPort(), await closedPort(), await closedPort()];
    const config = configOf(
      [chat, rest, { name: 'both', websocket: { mode: 'splice', upstream: 'both' }, http: { upstream: 'both' } }],
      {
        chat: [`ws://127.0.0.1:${ws}`],
        rest: [`http://localhost:${http}`],
        both: [`http://127.0.0.1:${both}`],
      },
    );
    const { demo, notices } = await started(config);
    expect(demo.addresses).toEqual([`127.0.0.1:${ws}`, `127.0.0.1:${http}`, `127.0.0.1:${both}`]);
    expect(notices.map(({ data }) => data?.['serves'])).toEqual(['WebSocket', 'HTTP', 'WebSocket and HTTP']);

    const plain = async (port: number) => (await fetch(`http://127.0.0.1:${port}/api/hello`)).status;
    expect([await plain(ws), await plain(http), await plain(both)]).toEqual([426, 200, 200]);
    // A browser gets the page, a program in a terminal a few lines that say what to ask for.
    const welcome = async (accept: string) =>
      (await fetch(`http://127.0.0.1:${http}/`, { headers: { accept } })).headers.get('content-type');
    expect([await welcome('text/html,*/*;q=0.8'), await welcome('*/*')]).toEqual([
      'text/html; charset=utf-8',
      'application/json',
    ]);
    for (const port of [ws, both]) {
      const client = await openClient(`ws://127.0.0.1:${port}/a/echo`);
      expect(await client.next()).toBe(
        `hello world, from the demo backend at 127.0.0.1:${port}/a/echo; what you send comes back`,
      );
      await client.close();
    }
    await expect(openClient(`ws://127.0.0.1:${http}/`)).rejects.toMatchObject({ status: 200 });
    await demo.close();
  });

  test('serves IPv6, and starts nothing for what it can not stand in for', async () => {
    const port = await closedPort();
    const { demo, notices } = await started(
      configOf([chat, echo, rest], {
        chat: [`ws://[::1]:${port}`, 'ws://192.0.2.1:80', 'ws://chat.example:80', 'wss://127.0.0.1:1'],
        rest: [`http://[::1]:${port}`],
        unused: ['http://127.0.0.1:3'],
      }),
    );
    expect(demo.addresses).toEqual([`[::1]:${port}`]);
    expect(notices.map(({ message, data }) => [message, data?.['address']])).toEqual([
      ['no demo backend for ws://192.0.2.1:80: it is not a loopback address', undefined],
      ['no demo backend for ws://chat.example:80: it is not a loopback address', undefined],
      ['no demo backend for wss://127.0.0.1:1: it is reached by TLS', undefined],
      ['demo backend listening', `[::1]:${port}`],
    ]);
    await demo.close();
  });

  test('leaves nothing open when one of them cannot be bound', async () => {
    const taken = createServer();
    await once(taken.listen(0, '127.0.0.1'), 'listening');
    const port = (taken.address() as AddressInfo).port;
    const free = await closedPort();
    const config = configOf([chat, rest], { chat: [`ws://127.0.0.1:${free}`], rest: [`http://127.0.0.1:${port}`] });
    await expect(started(config)).rejects.toThrow(`cannot listen on 127.0.0.1:${port}: the port is taken`);
    const again = createServer();
    await once(again.listen(free, '127.0.0.1'), 'listening');
    again.close();
    taken.close();
  });

  test('closes with 1001, and does not wait for a client that does not answer', async () => {
    const port = await closedPort();
    const { demo } = await started(configOf([chat], { chat: [`ws://127.0.0.1:${port}`] }));
    const good = await openClient(`ws://127.0.0.1:${port}/chat`);
    const deaf = await openClient(`ws://127.0.0.1:${port}/chat`);
    deaf.socket.pause();
    await demo.close();
    expect(await good.closed).toEqual({ code: 1001, reason: 'the demo is stopping' });
    deaf.socket.terminate();
  });
});

describe('sample paths', () => {
  test('come from the routes that anyone can match, each once', () => {
    const config = configOf([
      { ...chat, match: { path: '/hosted/*', host: 'app.example.com' } },
      { ...chat, match: { path: '/asks', headers: { 'X-Key': '*' } } },
      { ...chat, match: { path: '/asks/query', query: { key: '*' } } },
      { ...chat, match: { path: '/local', host: 'localhost' } },
      chat,
      { ...chat, match: { path: '/rooms/{room}/{user}/{id}' } },
      { ...echo, match: { path: '/rooms/{room}/*' } },
      echo,
      echo,
      rest,
    ]);
    expect(webSocketPaths(config)).toEqual([
      '/local',
      '/ws/chat',
      '/ws/echo',
      '/rooms/lobby/me/demo',
      '/rooms/lobby/chat',
      '/rooms/lobby/echo',
      '/echo',
    ]);
    expect(httpPaths(config)).toEqual(['/', '/api/hello']);
  });
});

describe('demoHints', () => {
  const bound: Bound = {
    listeners: [
      { host: '::', port: 80, tls: false },
      { host: '0.0.0.0', port: 8443, tls: true },
    ],
    admin: { address: '127.0.0.1', port: 9901 },
    configFile: 'gateway.yaml',
    program: 'upgate',
  };
  const commands = (config: Config, change: Partial<Bound> = {}) =>
    demoHints(config, { ...bound, ...change }).filter((line) => /^ {2}\w/.test(line));

  test('leave a default port out, and show TLS with what takes any certificate', () => {
    expect(commands(configOf([chat, echo, rest]))).toEqual([
      '  curl http://localhost/',
      '  curl -k https://localhost:8443/',
      '  npx wscat -c ws://localhost/ws/chat',
      '  npx wscat -n -c wss://localhost:8443/ws/chat',
      '  curl http://localhost:9901/metrics',
      '  upgate explain -c gateway.yaml ws://localhost/ws/chat --version 7',
      '  http://localhost/',
      '  http://localhost:9901/',
    ]);
    const lines = demoHints(configOf([chat, rest]), bound);
    expect(lines.at(-1)).toMatch(/^Ctrl-C stops it/);
  });

  test('name only what there is', () => {
    const only = { listeners: [{ host: '2001:db8::1', port: 443, tls: true }] };
    expect(commands(configOf([echo]), only)).toEqual([
      '  npx wscat -n -c wss://[2001:db8::1]/echo',
      '  curl http://localhost:9901/metrics',
      '  upgate explain -c gateway.yaml wss://[2001:db8::1]/echo --version 7',
      '  http://localhost:9901/',
    ]);
    expect(commands(configOf([rest]), { listeners: [{ host: '192.0.2.1', port: 8080, tls: false }] })).toEqual([
      '  curl http://192.0.2.1:8080/',
      '  curl http://localhost:9901/metrics',
      '  http://192.0.2.1:8080/',
      '  http://localhost:9901/',
    ]);
    expect(demoHints(configOf([rest]), { ...bound, listeners: [] })).toEqual([]);
  });
});

describe('demoPage', () => {
  test('offers the paths, and no path can break out of its attribute', () => {
    const page = demoPage(['/ws/chat', '/"><script>$&']);
    expect(page).toContain('value="/ws/chat" autocomplete');
    expect(page).toContain('<option value="/ws/chat"><option value="/&#34;&#62;&#60;script&#62;$&#38;">');
    expect(page).toContain('<title>Upgate demo</title>');
    expect(page.match(/<script>/g)).toHaveLength(1);
    expect(page).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
    expect(page).not.toContain('{{');
  });

  test('begins with / where there is no path to offer', () => {
    expect(demoPage([])).toContain('value="/" autocomplete');
  });
});
