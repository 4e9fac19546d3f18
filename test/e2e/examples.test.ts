// The browser clients of docs/examples.md, as they stand there, against the built gateway.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Gateway, startGateway } from '../support/gateway.ts';

const page = readFileSync(new URL('../../docs/examples.md', import.meta.url), 'utf8');
const code = [...page.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, text]) => text).join('\n');

const opened: WebSocket[] = [];
class Recorded extends WebSocket {
  constructor(url: string) {
    super(url);
    opened.push(this);
  }
}

type Say = (data: unknown) => void;
type Ask = (text: string) => Promise<string>;
/** What the page's script defines; nobody waits for its pauses. */
const { openRoom, openAsker } = new Function('WebSocket', 'setTimeout', `${code}; return { openRoom, openAsker };`)(
  Recorded,
  setImmediate,
) as {
  openRoom: (url: string, onMessage: (user: string, data: unknown) => void) => Say;
  openAsker: (url: string) => Ask;
};

let backend: Server;
let gateway: Gateway;
beforeAll(async () => {
  backend = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text) => {
      body += text;
    });
    request.on('end', () => {
      const says = request.headers['ce-eventname'] === 'message';
      response
        .writeHead(says ? 200 : 204, { 'Content-Type': 'text/plain' })
        .end(says ? `you said: ${body}` : undefined);
    });
  });
  await once(backend.listen(0, '127.0.0.1'), 'listening');
  gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    upstreams: { rest: { servers: [`http://127.0.0.1:${(backend.address() as AddressInfo).port}`] } },
    routes: [
      {
        name: 'news',
        match: { path: '/news/{user}' },
        websocket: { mode: 'terminate', handler: 'rooms', origins: 'any', rooms: { format: 'json', room: 'news' } },
      },
      {
        name: 'chat',
        match: { path: '/chat/{room}' },
        websocket: {
          mode: 'terminate',
          handler: 'webhook',
          origins: 'any',
          webhook: { upstream: 'rest', path: '/events' },
        },
      },
    ],
  });
});
afterAll(async () => {
  for (const socket of opened) socket.onclose = null;
  await gateway.stop();
  backend.close();
});

const joined = (socket: WebSocket) =>
  new Promise((resolve) => socket.on('message', (data) => String(data).includes('"joined"') && resolve(null)));

it('the one of a room hears the others, comes again by itself, and gets what it missed', async () => {
  const heard: unknown[] = [];
  let onHeard = () => {};
  const hears = (count: number) =>
    new Promise<void>((resolve) => {
      onHeard = () => heard.length >= count && resolve();
      onHeard();
    });
  openRoom(`ws://127.0.0.1:${gateway.port}/news/ada`, (user, data) => {
    heard.push([user, data]);
    onHeard();
  });
  const [ada] = opened;
  const say = openRoom(`ws://127.0.0.1:${gateway.port}/news/bob`, () => {});
  await Promise.all([joined(ada!), joined(opened[1]!)]);
  say('one');
  await hears(1);
  ada!.terminate();
  say({ two: 2 });
  await hears(2);
  say('three');
  await hears(3);
  expect(heard).toEqual([
    ['bob', 'one'],
    ['bob', { two: 2 }],
    ['bob', 'three'],
  ]);
  expect(opened.filter(({ url }) => url.endsWith('/ada'))).toHaveLength(2);
});

it('the one of a webhook gets each answer to its question, and an error where the connection ends', async () => {
  const ask = openAsker(`ws://127.0.0.1:${gateway.port}/chat/red`);
  expect(await Promise.all([ask('a'), ask('b')])).toEqual(['you said: a', 'you said: b']);
  const last = ask('c');
  opened.at(-1)!.terminate();
  await expect(last).rejects.toThrow('closed: 1006');
  await expect(openAsker(`ws://127.0.0.1:${gateway.port}/nowhere`)('x')).rejects.toBeDefined();
});
