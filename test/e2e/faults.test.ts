// Faults of the first version that ran (63c0b38), as its clients and operators met them: an entry of the fault list each, by its
// number, with the value that is right. Every config here is one that it takes, so that these rows can be run against it
// (UPGATE_MAIN) and fail there. What is behind each is in the tests of its part.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadRedis } from '../../src/websocket/broker/redis-link.ts';
import { openClient } from '../support/client.ts';
import { type Gateway, type GatewayFile, MAIN, startGateway, writeConfig } from '../support/gateway.ts';
import { hasPeers } from '../support/peers.ts';
import { acceptOf, connectRaw, exchange, handshake, readAnswer } from '../support/raw.ts';
import { startRedis } from '../support/redis.ts';

/** Milliseconds of processor time that a process has used (proc(5)). */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

const ok = (body: string, ...fields: string[]) =>
  `HTTP/1.1 200 OK\r\n${[`Content-Length: ${body.length}`, ...fields].join('\r\n')}\r\n\r\n${body}`;
const accept = (head: string, ...fields: string[]) => {
  const key = /^sec-websocket-key: (.*)$/im.exec(head)?.[1] ?? '';
  const all = ['Upgrade: websocket', `Sec-WebSocket-Accept: ${acceptOf(key)}`, ...fields];
  return `HTTP/1.1 101 Switching Protocols\r\n${all.join('\r\n')}\r\n\r\n`;
};
const FORGED = 'HTTP/1.1 100 Forged\r\n\r\nHTTP/1.1 200 Forged\r\nContent-Length: 0\r\n\r\n';

/** What a server answers by path, on connections that it keeps. */
const ANSWERS: Readonly<Record<string, (head: string) => string>> = {
  '/keep': () => ok('ok'),
  '/octets': () => ok('ok', 'Content-Disposition: attachment; filename="\xe9\xc3\xa9.txt"'),
  '/behind-crlf': () => `\r\n${ok(FORGED)}`,
  '/seen': (head) => ok(head),
  '/ssh': () => 'SSH-2.0-OpenSSH_9.2\r\n',
  '/head': () => ok('a body that no answer to HEAD has'),
  '/empty': (head) => accept(head, 'Connection: Upgrade', 'Sec-WebSocket-Protocol: '),
  '/strips': (head) => accept(head, 'Connection: Upgrade, Sec-WebSocket-Accept'),
  '/never': () => '',
  '/app/': () => ok('', 'Location: /app//evil.test/'),
};

const sockets = new Set<Socket>();
let backend: Server;
let gateway: Gateway;
let byHttpProxy: Gateway;

const HOST = '127.0.0.1';
const configOf = (port: number, engine: 'auto' | 'http-proxy'): GatewayFile => ({
  listeners: [{ host: HOST, port: 0 }],
  http: { engine },
  trusted_proxies: ['127.0.0.0/8'],
  upstreams: { rest: { servers: [`http://${HOST}:${port}`], health: { passive: 'off' }, retry: 'off' } },
  routes: [
    { name: 'admin', match: { host: 'admin.test' }, deny: ['0.0.0.0/0'], http: { upstream: 'rest' } },
    { name: 'shut', match: { path: '/admin/*' }, deny: ['0.0.0.0/0'], http: { upstream: 'rest' } },
    { name: 'to-https', match: { path: '/moved', scheme: 'http' }, redirect: { scheme: 'https' } },
    { name: 'app', match: { host: 'app.test' }, rewrite: { prefix: '/app' }, http: { upstream: 'rest' } },
    {
      name: 'rest',
      http: { upstream: 'rest', timeouts: { head: '3s' } },
      websocket: { mode: 'splice', upstream: 'rest', origins: 'any' },
    },
  ],
});

beforeAll(async () => {
  backend = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    let text = '';
    socket.on('data', (part: Buffer) => {
      text += part.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        socket.write(ANSWERS[head.split(' ')[1] ?? '']?.(head) ?? ok('other'), 'latin1');
      }
    });
  });
  await once(backend.listen(0, HOST), 'listening');
  const { port } = backend.address() as AddressInfo;
  [gateway, byHttpProxy] = await Promise.all([
    startGateway(configOf(port, 'auto')),
    startGateway(configOf(port, 'http-proxy')),
  ]);
});
afterAll(async () => {
  await Promise.all([gateway, byHttpProxy].map((each) => each?.stop('SIGKILL')));
  for (const socket of sockets) socket.destroy();
  backend?.close();
});

const fieldOf = ({ fields }: ReturnType<typeof readAnswer>, name: string) =>
  fields.find(([each]) => each.toLowerCase() === name)?.[1];

/** The answer to one request of a connection of its own. */
async function ask(line: string, fields = 'Host: a\r\n', from = () => gateway): Promise<ReturnType<typeof readAnswer>> {
  return readAnswer(await exchange(from().port, `${line}\r\n${fields}Connection: close\r\n\r\n`));
}

describe('a client', () => {
  it('0.3: gets its answer at once, however many blanks stand in its Forwarded', async () => {
    const before = cpuMs(gateway.pid);
    const { status } = await ask('GET /keep HTTP/1.1', `Host: a\r\nForwarded: for=1.2.3.4;${' '.repeat(3000)}x\r\n`);
    expect(status).toBe(200);
    expect(cpuMs(gateway.pid) - before).toBeLessThan(1500);
  });

  it('8: gets the octets of a Content-Disposition as they are', async () => {
    const bytes = await exchange(gateway.port, 'GET /octets HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect(bytes.toString('latin1')).toContain('\r\nContent-Disposition: attachment; filename="\xe9\xc3\xa9.txt"\r\n');
  });

  it('9: gets nothing that a body says as if it were a head', async () => {
    const client = await connectRaw(gateway.port);
    client.write('GET /keep HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until('\r\n\r\nok');
    client.write('GET /behind-crlf HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    const { bytes } = await client.closed();
    const [, behind = ''] = bytes.toString('latin1').split('\r\n\r\nok');
    expect(behind.split('\r\n')[0]).toBe('HTTP/1.1 502 Bad Gateway');
    expect(behind).not.toContain('Forged');
  });

  it('10: gets a 101 whose subprotocol is there and empty', async () => {
    const client = await connectRaw(gateway.port);
    client.write(handshake({}, 'GET /empty HTTP/1.1'));
    const answer = readAnswer(await client.until('\r\n\r\n'));
    client.socket.destroy();
    expect([answer.status, fieldOf(answer, 'sec-websocket-protocol')]).toEqual([101, undefined]);
  });

  it('11: of HTTP/1.0 may leave Host out, and the server gets one', async () => {
    const { body } = await ask('GET /seen HTTP/1.0', '');
    expect(body).toMatch(/^GET \/seen HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n/);
  });

  it('12: may use a method that node does not know', async () => {
    expect((await ask('LIST /seen HTTP/1.1')).body).toMatch(/^LIST \/seen HTTP\/1\.1\r\n/);
  });

  it('13: learns at once that the server speaks no HTTP', async () => {
    const answer = readAnswer(
      await exchange(gateway.port, handshake({ Connection: 'Upgrade, close' }, 'GET /ssh HTTP/1.1')),
    );
    expect([answer.status, JSON.parse(answer.body).reason]).toEqual([502, 'bad_accept']);
  });

  it('14: gets the answer to HEAD though the server sent a body with it', async () => {
    const { status, body } = await ask('HEAD /head HTTP/1.1', 'Host: a\r\n', () => byHttpProxy);
    expect([status, body]).toEqual([200, '']);
  });

  it.each(['admin.test', 'admin.test.', 'ADMIN.test.:80'])('17: is refused at the host %s', async (host) => {
    expect((await ask('GET /keep HTTP/1.1', `Host: ${host}\r\n`)).status).toBe(403);
  });

  it.each(['/admin/x', '//admin/x', '/admin//x'])('17: is refused at the path %s', async (path) => {
    expect((await ask(`GET ${path} HTTP/1.1`)).status).toBe(403);
  });

  it('18: is sent to https with a handshake, as with any request', async () => {
    const answer = readAnswer(
      await exchange(gateway.port, handshake({ Connection: 'Upgrade, close' }, 'GET /moved HTTP/1.1')),
    );
    expect([answer.status, fieldOf(answer, 'location')]).toEqual([308, 'https://gateway.test/moved']);
  });

  it('20c: is sent to no other site by a Location whose prefix is taken off', async () => {
    const answer = await ask('GET / HTTP/1.1', 'Host: app.test\r\n');
    expect([answer.status, fieldOf(answer, 'location')]).toEqual([200, expect.not.stringMatching(/^\/[/\\]/)]);
  });

  it('20e0: has no TRACE', async () => {
    expect((await ask('TRACE /seen HTTP/1.1')).status).toBe(405);
  });

  it('20e: gets the accept of its 101 though the server names it in Connection', async () => {
    const client = await connectRaw(gateway.port);
    client.write(handshake({}, 'GET /strips HTTP/1.1'));
    const answer = readAnswer(await client.until('\r\n\r\n'));
    client.socket.destroy();
    expect([answer.status, fieldOf(answer, 'sec-websocket-accept')]).toEqual([101, 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=']);
  });
});

describe('an operator', () => {
  const check = (config: object) =>
    promisify(execFile)(process.execPath, [MAIN, 'check', '-c', writeConfig(config as GatewayFile)]).then(
      () => 'ok',
      ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
    );
  const routeOf = (websocket: object) => ({
    listeners: [{ port: 1 }],
    upstreams: { b: { servers: ['ws://127.0.0.1:2'] } },
    routes: [{ name: 'a', websocket: { mode: 'splice', upstream: 'b', ...websocket } }],
  });

  it.each(['max_message', 'bytes_per_second'])('6: learns that %s is more than 0', async (key) => {
    expect(await check(routeOf({ origins: 'any', limits: { [key]: '0B' } }))).toContain('must be more than 0');
  });

  it('19: may list the Origin that a device sends', async () => {
    const found = await check(routeOf({ origins: ['file://', 'app://localhost/index.html'] }));
    expect(found).toBe('ok');
  });

  it('22: learns of all mistakes at once', async () => {
    const found = await check({
      ...routeOf({}),
      routes: [{ name: 'a', websocket: { upstream: 'b', nonsense: 1, origins: 5 } }],
    });
    expect(found).toMatch(/websocket\.mode: missing|websocket: .*mode/);
    expect(found).toMatch(/nonsense/);
    expect(found).toMatch(/origins/);
  });
});

describe.runIf(hasPeers('redis-server'))('a broker in Redis', () => {
  it('7: stays where somebody writes what is no message, and closes nothing for an errand that it does not know', async () => {
    const redis = await startRedis();
    const shared = await startGateway({
      listeners: [{ host: HOST, port: 0 }],
      broker: redis.url,
      routes: [
        {
          name: 'r',
          websocket: {
            mode: 'terminate',
            handler: 'rooms',
            origins: 'any',
            rooms: { format: 'json', room: 'lobby', user: '{query.me}' },
          },
        },
      ],
    });
    const { createClient } = (await loadRedis()) as typeof import('redis');
    const other = await createClient({ url: redis.url }).connect();
    try {
      await shared.log({ msg: 'the broker is there' });
      const member = await openClient(`ws://${HOST}:${shared.port}/?me=ann`);
      await member.next();
      const channels = await other.pubSubChannels('upgate*');
      expect(channels.length).toBeGreaterThan(0);
      for (const channel of channels)
        for (const text of ['x', '{', '["burn","lobby"]', '[]']) await other.publish(channel, text);
      member.socket.send(JSON.stringify({ type: 'publish', data: 1, ref: 1 }));
      expect(JSON.parse(String(await member.next()))).toMatchObject({ type: expect.stringMatching(/ack|message/) });
      expect(shared.logs().filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
      await member.close();
    } finally {
      await other.close();
      await shared.stop('SIGKILL');
      await redis.stop();
    }
  });
});
