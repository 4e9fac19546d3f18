// The PROXY protocol with programs that speak it for a living: HAProxy before the gateway (send-proxy, send-proxy-v2) and
// behind it (accept-proxy), nginx behind it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilAccepts } from '../../support/accepts.ts';
import { type LineChild, startChild } from '../../support/child.ts';
import { openClient } from '../../support/client.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { hasPeers } from '../../support/peers.ts';
import { connectRaw, exchange, readAnswer } from '../../support/raw.ts';
import { closedPort } from '../../support/scripted.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-proxy-'));

/** Starts a program that says nothing when it is ready, and asks it for a connection until it takes one. */
async function startAt(port: number, command: string, ...args: string[]): Promise<LineChild> {
  const child = await startChild(command, args);
  await untilAccepts(port, child.exited);
  return child;
}

async function startHaproxy(port: number, sections: string): Promise<LineChild> {
  const file = join(dir, `haproxy-${port}.cfg`);
  const defaults = 'defaults\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n';
  writeFileSync(file, `${defaults}${sections}`);
  return startAt(port, 'haproxy', '-db', '-f', file);
}

async function startNginx(port: number, server: string): Promise<LineChild> {
  const own = join(dir, `nginx-${port}`);
  mkdirSync(own);
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${own}/${name};`);
  const file = join(own, 'nginx.conf');
  const http = `http { access_log off; ${temp.join(' ')} ${server} }`;
  writeFileSync(file, `daemon off; master_process off; pid ${own}/pid; error_log ${own}/log; events {} ${http}`);
  return startAt(port, 'nginx', '-c', file, '-p', own);
}

describe.skipIf(!hasPeers('haproxy', 'nginx'))('beside HAProxy and nginx', () => {
  let gateway: Gateway;
  const children: LineChild[] = [];
  const fronts: { name: string; port: number }[] = [];

  beforeAll(async () => {
    const [v1, v2, nginx] = [await closedPort(), await closedPort(), await closedPort()];
    const told =
      'http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"';
    const behind = (port: number) => `frontend f\n mode http\n bind 127.0.0.1:${port} accept-proxy\n ${told}\n`;
    children.push(await startHaproxy(v1, behind(v1)), await startHaproxy(v2, behind(v2)));
    const says = '"$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port"';
    children.push(
      await startNginx(
        nginx,
        `server { listen 127.0.0.1:${nginx} proxy_protocol; location / { return 200 ${says}; } }`,
      ),
    );
    const proxy_protocol = { from: ['127.0.0.0/8'] };
    gateway = await startGateway({
      listeners: [
        { host: '127.0.0.1', port: 0, proxy_protocol },
        { host: '127.0.0.1', port: 0, proxy_protocol, tls: { self_signed: ['localhost'] } },
        { host: '127.0.0.1', port: 0 },
      ],
      upstreams: {
        v1: { servers: [`http://127.0.0.1:${v1}`], proxy_protocol: 'v1' },
        v2: { servers: [`http://127.0.0.1:${v2}`], proxy_protocol: 'v2', health: { active: { type: 'http' } } },
        nginx: { servers: [`http://127.0.0.1:${nginx}`], proxy_protocol: 'v1', health: { active: { type: 'http' } } },
        nginx2: { servers: [`http://127.0.0.1:${nginx}`], proxy_protocol: 'v2' },
      },
      routes: [
        {
          name: 'who',
          match: { path: '/who' },
          allow: ['127.0.0.3'],
          respond: { body: '', headers: { 'X-Client': '{client_ip}' } },
          websocket: { mode: 'terminate', handler: 'echo', origins: 'any' },
        },
        ...['v1', 'v2', 'nginx', 'nginx2'].map((upstream) => ({
          name: upstream,
          match: { path: `/${upstream}` },
          http: { upstream },
        })),
      ],
    });
    for (const [way, at] of [
      ['send-proxy', 0],
      ['send-proxy-v2', 0],
      ['send-proxy check', 0],
      ['send-proxy-v2 check inter 100ms', 0],
      ['send-proxy-v2 proxy-v2-options crc32c,unique-id', 0],
      ['send-proxy-v2 ssl verify none', 1],
    ] as const) {
      const port = await closedPort();
      const server = ` server s 127.0.0.1:${gateway.ports[at]} ${way}\n`;
      children.push(await startHaproxy(port, `listen l\n mode tcp\n bind 127.0.0.1:${port}\n${server}`));
      fronts.push({ name: way, port });
    }
  });
  afterAll(async () => {
    await gateway?.stop('SIGKILL');
    await Promise.all(children.map((child) => child.stop('SIGKILL')));
    rmSync(dir, { recursive: true, force: true });
  });

  it('HAProxy before the gateway, in every way it sends', async () => {
    expect(fronts).toHaveLength(6);
    for (const { name, port } of fronts) {
      const ask = (localAddress: string) =>
        exchange(
          { host: '127.0.0.1', port, localAddress },
          'GET /who HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n',
        );
      const answer = readAnswer(await ask('127.0.0.3'));
      expect([name, answer.status]).toEqual([name, 200]);
      expect(answer.fields).toContainEqual(['X-Client', '127.0.0.3']);
      expect(readAnswer(await ask('127.0.0.4')).status).toBe(403);
      const client = await openClient(`ws://127.0.0.1:${port}/who`, { localAddress: '127.0.0.3' });
      client.socket.send('through both');
      expect(await client.next()).toBe('through both');
      await client.close();
    }
    expect(gateway.logs().filter((line) => line['event'] === 'preamble_refused')).toEqual([]);
  });

  it.each(['v1', 'v2', 'nginx', 'nginx2'])('a server that wants a preamble: %s', async (name) => {
    const client = await connectRaw({ host: '127.0.0.1', port: gateway.ports[2]!, localAddress: '127.0.0.5' });
    client.write(`GET /${name} HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n`);
    const { bytes } = await client.closed();
    expect(readAnswer(bytes)).toMatchObject({
      status: 200,
      body: `127.0.0.5 ${client.socket.localPort} 127.0.0.1 ${gateway.ports[2]}`,
    });
  });

  it('their checks pass', async () => {
    for (const [upstream, server] of [
      ['v2', /./],
      ['nginx', /./],
    ] as const) {
      const text = (await gateway.admin('/metrics')).text;
      const line = text.split('\n').find((each) => each.startsWith(`gateway_upstream_up{upstream="${upstream}"`));
      expect(line).toMatch(server);
      expect(line).toMatch(/ 1$/);
    }
  });
});
