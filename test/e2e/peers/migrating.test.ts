// docs/migrating.md: of nginx and HAProxy, the config that stands there and the one below it give each request to the same
// server, with the same target. What a config says of Origins is its own (test/unit/migrating.test.ts).
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { parse } from 'yaml';
import { untilAccepts } from '../../support/accepts.ts';
import { type GatewayFile, startGateway } from '../../support/gateway.ts';
import { startNginx } from '../../support/nginx.ts';
import { hasPeers } from '../../support/peers.ts';
import { closedPort } from '../../support/scripted.ts';

const page = readFileSync(new URL('../../../docs/migrating.md', import.meta.url), 'utf8');
const sections = [...page.matchAll(/^### (.+)\n+```(nginx|haproxy)\n([\s\S]*?)^```\n+```yaml\n([\s\S]*?)^```$/gm)].map(
  ([, title = '', kind = '', theirs = '', ours = '']) => ({ title, kind, theirs, ours }),
);

/** A server that says by which name it was reached, and with which target. */
async function startNamed(name: string): Promise<Server> {
  const server = createServer((request, response) => response.end(`${name} ${request.url}`));
  server.on('upgrade', (request, socket) => {
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    const text = `${name} ${request.url}`;
    socket.on('error', () => {});
    // Its end is to follow the client's, or the gateway would wait for more from it.
    socket.on('end', () => socket.end()).resume();
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.write(Buffer.from([0x81, text.length, ...Buffer.from(text)]));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

const ending: (() => unknown)[] = [];
afterAll(async () => {
  for (const end of ending) await end();
});

/** The texts with their servers replaced by ours; those of one upstream have one name, for either may be picked. */
async function withServers(texts: readonly string[], upstreams: GatewayFile['upstreams']): Promise<string[]> {
  let replaced = [...texts];
  for (const [name, upstream] of Object.entries(upstreams ?? {})) {
    for (const url of (upstream as { servers: string[] }).servers) {
      const server = await startNamed(name);
      ending.push(
        () => server.close(),
        () => server.closeAllConnections(),
      );
      const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      replaced = replaced.map((text) => text.replaceAll(url.replace('http://', ''), address));
    }
  }
  return replaced;
}

async function startHaproxy(folder: string, config: string): Promise<number> {
  const port = await closedPort();
  const file = join(folder, 'haproxy.cfg');
  const timeouts = 'timeout connect 5s\n  timeout client 20s\n  timeout server 20s';
  const frontend = config.replace('bind :80 accept-proxy', `bind 127.0.0.1:${port}`);
  writeFileSync(file, `defaults\n  mode http\n  ${timeouts}\n${frontend}`);
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  ending.push(() => child.kill('SIGKILL'));
  await untilAccepts(port, exited);
  return port;
}

async function startTheirs(kind: string, config: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-migrating-'));
  if (kind === 'haproxy') return startHaproxy(folder, config);
  const plain = config.replace(/^ *ssl_certificate .*$/m, '');
  const nginx = await startNginx(folder, (port) => plain.replace(/listen \d+( ssl)?;/, `listen 127.0.0.1:${port};`));
  ending.push(() => nginx.stop());
  return nginx.port;
}

/** The name and the target that the server behind a gateway has seen, or the gateway's own status. */
function answerOf(port: number, { url, origin }: { url: URL; origin: string }): Promise<string> {
  const target = `127.0.0.1:${port}${url.pathname}${url.search}`;
  if (!url.protocol.startsWith('ws')) {
    return new Promise((resolve, reject) => {
      const asked = get(`http://${target}`, { headers: { Host: url.host } }, async (answer) => {
        const text = Buffer.concat(await answer.toArray()).toString();
        resolve(answer.statusCode === 200 ? text : String(answer.statusCode));
      });
      asked.on('error', reject);
    });
  }
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${target}`, { headers: { Host: url.host, Origin: origin } });
    socket.on('message', (data) => {
      resolve(String(data));
      socket.terminate();
    });
    socket.on('unexpected-response', (_, answer) => resolve(String(answer.statusCode)));
    socket.on('error', reject);
  });
}

it('compares two configs of nginx and one of HAProxy', () => {
  expect(sections.map(({ kind }) => kind)).toEqual(['nginx', 'nginx', 'haproxy']);
});

describe.skipIf(!hasPeers('nginx', 'haproxy'))('the same requests', () => {
  it.each(sections)('$title', async ({ kind, theirs, ours }) => {
    const { upstreams } = parse(ours) as GatewayFile;
    const [their = '', our = ''] = await withServers([theirs, ours], upstreams);
    const port = await startTheirs(kind, their);
    const gateway = await startGateway({ ...(parse(our) as GatewayFile), listeners: [{ host: '127.0.0.1', port: 0 }] });
    ending.push(() => gateway.stop());
    const urls = [...ours.matchAll(/^# upgate explain "?([^" ]+)"?.* -> (?!403)/gm)].map(
      ([, url = '']) => new URL(url),
    );
    expect(urls.length).toBeGreaterThan(1);
    for (const url of urls) {
      const request = { url, origin: `https://${url.host}` };
      const [mine, other] = [await answerOf(gateway.port, request), await answerOf(port, request)];
      expect([url.href, mine]).toEqual([url.href, other]);
    }
  });
});
