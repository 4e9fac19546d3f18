// The commands and programs of docs/ as they stand there: each request to the admin listener, the webhook's backend and the check
// of its signature, the rotation of a ticket key, and what is typed into a browser's console.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { sign } from '../../src/websocket/webhook/cloud-event.ts';
import { run, startChild } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { freePort } from '../support/free-port.ts';
import { type Gateway, gatewayOf, MAIN, startGateway, writeConfig } from '../support/gateway.ts';
import { hasPeers } from '../support/peers.ts';

const PYTHON = '/usr/bin/python3';
const docs = new URL('../../docs/', import.meta.url);
const read = (page: string) => readFileSync(new URL(page, docs), 'utf8');
/** The blocks of a language on a page, in their order. */
const blocks = (page: string, language: string) =>
  [...read(page).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter(([, named]) => named === language)
    .map(([, , text = '']) => text);

describe.skipIf(!hasPeers('curl'))('requests to the admin listener', () => {
  const requests = readdirSync(docs)
    .filter((name) => name.endsWith('.md'))
    .flatMap((page) =>
      blocks(page, 'sh').flatMap((text) => text.replaceAll('\\\n', '').match(/^curl .*:9901\/.*$/gm) ?? []),
    );
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      admin: { port: 0, token: 'a-token-of-32-octets-or-even-more' },
      upstreams: { chat: { servers: ['ws://10.0.0.11:9001', 'ws://10.0.0.12:9001'] } },
      routes: [
        { name: 'chat', match: { path: '/ws/*' }, websocket: { mode: 'splice', upstream: 'chat', origins: 'any' } },
        { name: 'room', match: { path: '/{room}/{user}' }, websocket: { mode: 'terminate', handler: 'rooms' } },
      ],
    });
  });
  afterAll(() => gateway.stop());

  it('are found', () => {
    expect(requests.length).toBeGreaterThanOrEqual(5);
  });

  it.each(requests)('%s', async (request) => {
    const command = request
      .replace(/^curl /, "curl -sS -w '\\n%{http_code}' --noproxy '*' ")
      .replace(':9901/', `:${gateway.adminPort}/`);
    const { stdout, stderr } = await run('/usr/bin/env', [
      'ADMIN_TOKEN=a-token-of-32-octets-or-even-more',
      ...['/bin/sh', '-c', command],
    ]);
    expect([stderr, stdout.split('\n').at(-1)]).toEqual(['', expect.stringMatching(/^20[02]$/)]);
  });
});

describe.skipIf(!hasPeers('python3'))('docs/webhook.md', () => {
  it('has a config and a backend that answer', async () => {
    const [port, listening] = [await freePort(), await freePort()];
    const [config = ''] = blocks('webhook.md', 'yaml');
    const backend = blocks('webhook.md', 'python').at(-1)!;
    const file = join(mkdtempSync(join(tmpdir(), 'upgate-webhook-')), 'backend.py');
    writeFileSync(file, backend.replace('9002', `${port}`));
    const server = await startChild(PYTHON, ['-u', file]);
    const written = writeConfig(
      `${config.replace('9002', `${port}`)}listeners: [{ port: ${listening} }]\nadmin: { port: 0 }\n`,
    );
    const child = await startChild(process.execPath, [MAIN, 'run', '-c', written], {
      env: { WEBHOOK_KEY: 'k'.repeat(32) },
    });
    const gateway = await gatewayOf(child, written);
    try {
      const [, url = ''] = /wscat -c (\S+)/.exec(backend) ?? [];
      const address = url.replace('localhost', `localhost:${listening}`);
      await expect
        .poll(() => openClient(address).then(({ socket }) => socket.terminate()), { timeout: 10_000 })
        .toBe(undefined);
      const client = await openClient(address);
      client.socket.send('hello');
      expect(await client.next()).toBe('you said: hello');
      await client.close();
    } finally {
      await gateway.stop();
      await server.stop();
    }
  });

  it('checks a signature, of a new and an old key', async () => {
    const [check = ''] = blocks('webhook.md', 'python');
    const answerFor = async (keys: string[]) => {
      const given = JSON.stringify(sign(keys, 'id-1'));
      const setting = `key = b"the key"; connection_id = "id-1"\nclass request: headers = {"ce-signature": ${given}}\n`;
      const { stdout } = await run(PYTHON, ['-c', `import hashlib, hmac\n${setting}${check}print(ok)`]);
      return stdout;
    };
    expect(await answerFor(['the key'])).toBe('True\n');
    expect(await answerFor(['another key', 'the key'])).toBe('True\n');
    expect(await answerFor(['another key'])).toBe('False\n');
  });
});

it('docs/tls.md rotates ticket keys: a new one first, and two old ones stay', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-tickets-'));
  writeFileSync(join(folder, 'tickets.key'), 'first\nsecond\nthird\n');
  const [line = ''] = blocks('tls.md', 'console');
  const command = line.replace(/^\$ /, '').replaceAll('/etc/upgate/', '');
  expect(await run('/bin/sh', ['-c', `cd ${folder} && ${command}`])).toMatchObject({ code: 0, stderr: '' });
  const lines = readFileSync(join(folder, 'tickets.key'), 'utf8').trimEnd().split('\n');
  expect(lines.slice(1)).toEqual(['first', 'second']);
  expect(Buffer.from(lines[0]!, 'base64')).toHaveLength(48);
});

it('docs/rooms.md shows what a room and a member who comes back say', async () => {
  const gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    routes: [
      {
        name: 'rooms',
        match: { path: '/rooms/{room}/{user}' },
        websocket: { mode: 'terminate', handler: 'rooms', origins: 'any', rooms: { format: 'json' } },
      },
    ],
  });
  const shown = blocks('rooms.md', '')[0]!.trimEnd().split('\n');
  const [first, ...lines] = shown.map((line) => ({ sent: line.startsWith('→'), text: line.slice(2) }));
  const url = (user: string) => `ws://127.0.0.1:${gateway.port}/rooms/tea/${user}`;
  expect(first!.text).toBe('wss://app.example.com/rooms/tea/bob');
  const alice = await openClient(url('alice'));
  await alice.next();
  const publish = async (data: unknown) => {
    alice.socket.send(JSON.stringify({ type: 'publish', data, ref: 1 }));
    return (JSON.parse(String(await alice.next())) as { id: string }).id;
  };
  const known = await publish('hello');
  await publish('are you there?');
  await publish({ typing: true });
  const bob = await openClient(url('bob'));
  const said: string[] = [];
  for (const { sent, text } of lines) {
    if (text.includes('"leave"')) await alice.close();
    if (sent) bob.socket.send(text.replace(/(?<="after":")[^"]+/, known));
    said.push(sent ? text : String(await bob.next()));
  }
  // Ids and times are those of the moment.
  const plain = (text: string) =>
    text.replaceAll(/"\d{13}-\d+"/g, '"id"').replaceAll(/"\d{4}-\d\d-\d\dT[\d:.]+Z"/g, '"time"');
  expect(said.map(plain)).toEqual(lines.map(({ text }) => plain(text)));
  await bob.close();
  await gateway.stop();
});

describe('what a browser runs', () => {
  it('docs/rooms.md: pasted at once, the message reaches the others', async () => {
    const gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      routes: [
        {
          name: 'rooms',
          match: { path: '/rooms/{room}/{user}' },
          websocket: { mode: 'terminate', handler: 'rooms', origins: 'any', rooms: { format: 'text' } },
        },
      ],
    });
    const bob = await openClient(`ws://127.0.0.1:${gateway.port}/rooms/tea/bob`);
    const [code = ''] = blocks('rooms.md', 'js');
    const paste = new Function('WebSocket', `let ws; ${code}; return ws`);
    const alice = paste(
      class extends WebSocket {
        constructor(url: string) {
          super(url.replace('localhost', `127.0.0.1:${gateway.port}`));
        }
      },
    ) as WebSocket;
    expect(await bob.next()).toBe('alice: hello');
    alice.terminate();
    await gateway.stop();
  });

  it('docs/auth.md: a token among the subprotocols is one that a browser sends', () => {
    const [code = ''] = blocks('auth.md', 'js');
    const offered: unknown[] = [];
    class Recorded {
      constructor(...args: unknown[]) {
        offered.push(args);
      }
    }
    new Function('WebSocket', 'token', code)(Recorded, 'e30.e30.c2ln');
    expect(offered).toEqual([['wss://app.example.com/ws', ['chat.v1', 'bearer.e30.e30.c2ln']]]);
  });
});
