// The built gateway's front: what node's parser does not do by itself. Upgrades behind unfinished answers, upgrades to
// something else, slow and greedy clients, addresses of every kind, reload and drain, and running out of descriptors.
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { type Gateway, type GatewayFile, MAIN, OWN_SERVER, startGateway, writeConfig } from '../support/gateway.ts';
import { connectRaw, exchange, handshake, readAnswer } from '../support/raw.ts';
import { closedPort } from '../support/scripted.ts';

/** A REST backend that answers when told to, and echoes what it got. */
const held: (() => void)[] = [];
/** Those of many clients, who leave: some of theirs come when nobody waits for them any more. */
const crowd: (() => void)[] = [];
const asked: string[] = [];
const rest = createServer((req, res) => {
  asked.push(req.url ?? '');
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  req.on('end', () => {
    const body = JSON.stringify({
      method: req.method,
      url: req.url,
      headers: req.headers,
      body: Buffer.concat(chunks).toString(),
    });
    const answer = () => res.end(body);
    if (req.url === '/slow') held.push(answer);
    else if (req.url === '/crowd') crowd.push(answer);
    else answer();
  });
});

const routes: GatewayFile['routes'] = [
  { name: 'echo', match: { path: '/ws' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
  { name: 'rest', match: { path: '/*' }, http: { upstream: 'rest' } },
];
const upstreams = (): NonNullable<GatewayFile['upstreams']> => ({
  rest: { servers: [`http://127.0.0.1:${(rest.address() as AddressInfo).port}`] },
});

let gateway: Gateway;

beforeAll(async () => {
  await once(rest.listen(0, '127.0.0.1'), 'listening');
  gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0, max_head: '8KiB', timeouts: { head: '1s', keep_alive: '2s' } }],
    upstreams: upstreams(),
    routes,
  });
});

afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  rest.close();
});

/** Waits until the backend holds a slow request, and gives its answer's trigger. */
async function heldAnswer(): Promise<() => void> {
  await expect.poll(() => held.length).toBeGreaterThan(0);
  return held.shift()!;
}

describe('an upgrade behind an unfinished answer', () => {
  it('waits for it, and then opens', async () => {
    const client = await connectRaw(gateway.port);
    client.write(`GET /slow HTTP/1.1\r\nHost: a\r\n\r\n${handshake()}`);
    const answer = await heldAnswer();
    expect(client.received().length).toBe(0);
    answer();
    const text = (await client.until('101 Switching Protocols')).toString();
    expect(text.indexOf('HTTP/1.1 200')).toBe(0);
    expect(text.indexOf('HTTP/1.1 101')).toBeGreaterThan(text.indexOf('"url":"/slow"'));
    client.socket.destroy();
  });

  it('is refused in its turn', async () => {
    const client = await connectRaw(gateway.port);
    client.write(`GET /slow HTTP/1.1\r\nHost: a\r\n\r\n${handshake({ 'Sec-WebSocket-Version': '7' })}`);
    (await heldAnswer())();
    const text = (await client.closed()).bytes.toString();
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 426']);
  });

  it('is forgotten where the client leaves', async () => {
    const client = await connectRaw(gateway.port);
    client.write(`GET /slow HTTP/1.1\r\nHost: a\r\n\r\n${handshake()}`);
    const answer = await heldAnswer();
    client.reset();
    await gateway.log({ event: 'request_completed', path: '/slow', reason: 'client_gone' });
    answer();
    await expect.poll(() => gateway.metric('http_requests_in_flight')).toBe(0);
  });
});

describe('pipelined requests', () => {
  it('are carried out one after the other', async () => {
    const client = await connectRaw(gateway.port);
    client.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3));
    for (let i = 1; i <= 3; i++) {
      const answer = await heldAnswer();
      expect(held).toEqual([]);
      answer();
      await client.until((bytes) => bytes.toString().split('"url":"/slow"').length === i + 1);
    }
    client.socket.destroy();
  });

  it('that would take too much memory while they wait end their connection, and no other one', async () => {
    const small = await startGateway(
      { listeners: [{ host: '127.0.0.1', port: 0 }], upstreams: upstreams(), routes },
      { NODE_OPTIONS: '--max-old-space-size=64' },
    );
    const other = await connectRaw(small.port);
    other.write('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    await other.until('HTTP/1.1 200 OK');
    // Some of them pass the bound. All come in one turn of its event loop, and what node parses of them in it would take
    // several times the heap.
    const clients = await Promise.all(Array.from({ length: 300 }, () => connectRaw(small.port)));
    small.signal('SIGSTOP');
    for (const client of clients) client.write('GET /crowd HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(4000));
    small.signal('SIGCONT');
    await Promise.any(clients.map((client) => client.closed()));
    await small.log({ event: 'head_refused', reason: 'limit', status: 503 });
    for (const client of clients) client.reset();
    // One that is not read any further is found gone when its answer is written.
    const inFlight = () => {
      for (const answer of crowd.splice(0)) answer();
      return small.metric('http_requests_in_flight');
    };
    await expect.poll(inFlight).toBe(0);
    other.write('GET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect((await other.closed()).bytes.toString().split('HTTP/1.1 200 OK').length).toBe(3);
    expect(await small.stop()).toBe(0);
  });
});

const major = Number(process.versions.node.split('.')[0]);

describe('clients that leave as they come', () => {
  it('leave nothing behind that counts as a request', async () => {
    for (let i = 0; i < 50; i++) {
      const client = await connectRaw(gateway.port);
      client.write('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
      client.reset();
    }
    await exchange(gateway.port, 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await expect.poll(() => gateway.metric('http_requests_in_flight')).toBe(0);
  });
});

describe('an upgrade to something else', () => {
  it('goes on as plain HTTP, with its body and without the upgrade', async () => {
    const client = await connectRaw(gateway.port);
    client.write(
      'POST /h2c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, X-Mine\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nbodyGET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    const text = (await client.closed()).bytes.toString();
    const bodies = [...text.matchAll(/\{.*\}/g)].map(([body]) => JSON.parse(body));
    // Node that keeps the body of an upgrade loses what came along with it: the connection ends there (RFC 9112 §9.3.2).
    const next = !OWN_SERVER && 'shouldUpgradeCallback' in createServer() ? [] : [{ method: 'GET', url: '/next' }];
    expect(bodies).toMatchObject([{ method: 'POST', url: '/h2c', body: 'body' }, ...next]);
    for (const name of ['upgrade', 'http2-settings', 'x-mine']) expect(bodies[0].headers).not.toHaveProperty(name);
    expect(text).not.toContain('101');
  });

  it.each(['TLS/1.0', 'HTTP/2.0', 'websocket2', 'h2c, foo'])('%s is no tunnel either', async (protocol) => {
    const bytes = await exchange(
      gateway.port,
      `GET /x HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`,
    );
    expect(readAnswer(bytes).status).toBe(200);
  });

  it('takes websocket out of a list', async () => {
    const client = await connectRaw(gateway.port);
    client.write(handshake({ Upgrade: ['h2c', 'foo, WebSocket'] }));
    await client.until('101 Switching Protocols');
    client.socket.destroy();
  });
});

describe('a handshake with a tab behind its option', () => {
  it('is taken; node’s parser does not report it before node 22, and it is refused', async () => {
    const client = await connectRaw(gateway.port);
    client.write(handshake({ Connection: 'Upgrade\t, keep-alive' }));
    const answer = readAnswer(await client.until('\r\n\r\n'));
    client.socket.destroy();
    const reported = OWN_SERVER || major >= 22;
    expect(answer.status).toBe(reported ? 101 : 400);
    if (reported) return;
    expect(answer.fields).toContainEqual(['X-Gateway-Reason', 'malformed']);
  });
});

describe('heads', () => {
  it('over the limit are 431', async () => {
    const answer = readAnswer(
      await exchange(gateway.port, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(9000)}\r\n\r\n`),
    );
    expect([answer.status, answer.fields.find(([name]) => name === 'X-Gateway-Reason')?.[1]]).toEqual([
      431,
      'head_too_large',
    ]);
    await gateway.log({ event: 'head_refused', reason: 'head_too_large' });
  });

  it('with more than 200 fields are 431, plain or handshake', async () => {
    const fields = Array.from({ length: 200 }, (_, i) => `A${i}: 1\r\n`).join('');
    const plain = readAnswer(
      await exchange(gateway.port, `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields}\r\n`),
    );
    const upgrade = readAnswer(await exchange(gateway.port, handshake().replace(/\r\n$/, `${fields}\r\n`)));
    expect([plain.status, upgrade.status]).toEqual([431, 431]);
  });

  it('that drip are closed with 408 after their time, however often a byte comes', async () => {
    const client = await connectRaw(gateway.port);
    client.write('GET / HTTP/1.1\r\n');
    const drip = setInterval(() => client.write('X'), 100);
    const { bytes } = await client.closed().finally(() => clearInterval(drip));
    expect(readAnswer(bytes).status).toBe(408);
    await gateway.log({ event: 'head_refused', reason: 'head_timeout' });
  });

  it.each([
    ['too late', 'GET /late HTTP/1.1\r\nHost: a\r\n', 'HTTP/1.1 408', ['X: y\r\n\r\n']],
    ['malformed', 'GET\r\n\r\n', 'HTTP/1.1 400', ['more\r\n\r\n', 'GET /late HTTP/1.1\r\nHost: a\r\n\r\n']],
  ])('that are %s are refused once, and nothing behind them is a request', async (_, head, status, pieces) => {
    const refused = () => gateway.logs().filter((line) => line['event'] === 'head_refused').length;
    const before = refused();
    const client = await connectRaw(gateway.port);
    client.write(head);
    await client.until(status);
    for (const piece of pieces) {
      client.write(piece);
      // Each piece has been read by the gateway before the next one goes out.
      await exchange(gateway.port, 'GET /between HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    }
    client.end();
    const { bytes } = await client.closed();
    expect(bytes.toString().match(/HTTP\/1\.1/g)).toHaveLength(1);
    await exchange(gateway.port, `GET /behind-${before} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    await gateway.log({ event: 'request_completed', path: `/behind-${before}` });
    expect(refused()).toBe(before + 1);
    expect(asked).not.toContain('/late');
  });

  it('that never come end the connection without a word', async () => {
    const client = await connectRaw(gateway.port);
    expect((await client.closed()).bytes.length).toBe(0);
  });

  it.each([
    ['no HTTP', 'hello\r\n\r\n'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
    ['a NUL', 'GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    [
      'length and chunks',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['another version', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n'],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'],
    ['a Host that is none', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
    ['a path above the root', 'GET /../x HTTP/1.1\r\nHost: a\r\n\r\n'],
  ])('with %s are 400 and the connection ends', async (_, bytes) => {
    const answer = readAnswer(await exchange(gateway.port, bytes));
    expect(answer.status).toBe(400);
    expect(answer.fields).toContainEqual(['X-Gateway-Reason', 'malformed']);
    expect(answer.fields).toContainEqual(['Connection', 'close']);
  });

  it('keep-alive ends after its time', async () => {
    const client = await connectRaw(gateway.port);
    client.write('GET /a HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until('"url":"/a"');
    expect((await client.closed()).how).toBe('fin');
  });

  it('a refused request with a body still gets its whole answer', async () => {
    const client = await connectRaw(gateway.port);
    client.write(`POST /\\ HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n`);
    client.write(Buffer.alloc(3_000_000));
    const { bytes, how } = await client.closed();
    expect(readAnswer(bytes).status).toBe(400);
    expect(how).toBe('fin');
  });
});

describe('requests that name no route', () => {
  it('OPTIONS * is answered, CONNECT is 405', async () => {
    const options = readAnswer(
      await exchange(gateway.port, 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
    );
    expect([options.status, options.fields[0]?.[0]]).toEqual([204, 'Allow']);
    const connect = readAnswer(await exchange(gateway.port, 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n'));
    expect([connect.status, connect.fields.find(([name]) => name === 'X-Gateway-Reason')?.[1]]).toEqual([
      405,
      'method',
    ]);
  });
});

describe('addresses', () => {
  it('IPv4, IPv6, a unix socket and TLS are served at once', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'upgate-')), 'gateway.sock');
    // One that a crash left behind is in nobody's way.
    const stale = net.createServer().listen(path);
    await once(stale, 'listening');
    const many = await startGateway({
      listeners: [
        { host: '127.0.0.1', port: 0 },
        { host: '::1', port: 0 },
        { host: '127.0.0.2', port: 0, tls: { self_signed: ['localhost'] } },
        { unix: `${path}.new` },
      ],
      upstreams: upstreams(),
      routes,
    });
    const [v4 = 0, v6 = 0, tls = 0] = many.ports;
    for (const target of [
      v4,
      { port: v6, host: '::1' },
      { path: `${path}.new` },
      { tls: true as const, host: '127.0.0.2', port: tls, rejectUnauthorized: false },
    ]) {
      const client = await connectRaw(target);
      client.write(handshake());
      await client.until('101 Switching Protocols');
      client.socket.destroy();
    }
    expect(await many.stop()).toBe(0);
    expect(existsSync(`${path}.new`)).toBe(false);
    stale.close();
  });

  it('two listeners on any free port are two: both serve, and both close when it drains', async () => {
    const two = await startGateway({
      listeners: [
        { host: '127.0.0.1', port: 0 },
        { host: '127.0.0.1', port: 0 },
      ],
      upstreams: upstreams(),
      routes,
      drain: { grace: '10s', spread: '0s' },
    });
    expect(new Set(two.ports).size).toBe(2);
    const slow = await connectRaw(two.port);
    slow.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    const answer = await heldAnswer();
    for (const port of two.ports) {
      const bytes = await exchange(port, 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      expect(readAnswer(bytes).status).toBe(200);
    }
    two.signal('SIGTERM');
    await two.log({ event: 'drain', phase: 'listeners_closed' });
    for (const port of two.ports) await expect(connectRaw(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    answer();
    expect(readAnswer((await slow.closed()).bytes).status).toBe(200);
    expect(await two.exited).toBe(0);
  });

  it('a port that is taken is said with its reason, and nothing is started', async () => {
    const file = writeConfig({
      listeners: [{ host: '127.0.0.1', port: gateway.port }],
      admin: { port: 0 },
      upstreams: upstreams(),
      routes,
    });
    const { code, stderr } = await run(process.execPath, [MAIN, 'run', '-c', file]);
    expect(code).toBe(1);
    expect(stderr).toContain(`Cannot listen on 127.0.0.1:${gateway.port}: the port is taken (EADDRINUSE)`);
  });
});

describe('series', () => {
  it('of configured routes are at 0 before anything happens, also of those that a reload brings', async () => {
    const dead = await closedPort();
    const config = (name: string): GatewayFile => ({
      admin: { port: 0 },
      listeners: [{ host: '127.0.0.1', port: 0 }],
      upstreams: { dead: { servers: [`ws://127.0.0.1:${dead}`] } },
      routes: [{ name, match: { path: '/ws' }, websocket: { mode: 'splice', upstream: 'dead', origins: 'any' } }],
    });
    const own = await startGateway(config('first'));
    const of = (route: string) =>
      Promise.all([
        own.metric('websocket_handshakes_total', { route, mode: 'splice', result: 'failed' }),
        own.metric('websocket_closes_total', { route, code: 'none', initiator: 'backend' }),
        own.metric('websocket_connections', { route, mode: 'splice' }),
      ]);
    const refused = { upstream: 'dead', reason: 'backend_refused' };
    expect(await of('first')).toEqual([0, 0, 0]);
    expect(await own.metric('upstream_errors_total', refused)).toBe(0);
    expect(readAnswer(await exchange(own.port, handshake({}, 'GET /ws HTTP/1.1'))).status).toBe(502);
    expect(await of('first')).toEqual([1, 0, 0]);
    expect(await own.metric('upstream_errors_total', refused)).toBe(1);
    writeFileSync(own.file, JSON.stringify(config('second')));
    await expect.poll(() => of('second')).toEqual([0, 0, 0]);
    expect((await of('first'))[0]).toBe(1);
    expect(await own.stop()).toBe(0);
  });
});

describe('reload', () => {
  it('swaps the rules, leaves live sessions alone, and keeps serving when the file is bad', async () => {
    const one = await startGateway({ listeners: [{ host: '127.0.0.1', port: 0 }], upstreams: upstreams(), routes });
    const client = await openClient(`ws://127.0.0.1:${one.port}/ws`);
    const good = readFileSync(one.file, 'utf8');
    writeFileSync(one.file, good.replaceAll('/ws', '/moved'));
    one.signal('SIGHUP');
    await one.log({ event: 'config_reloaded', result: 'success' });
    expect(readAnswer(await exchange(one.port, handshake())).status).toBe(404);
    const moved = await openClient(`ws://127.0.0.1:${one.port}/moved`);
    client.socket.send('still here');
    expect(await client.next()).toBe('still here');
    writeFileSync(one.file, good.replace('"rest"', '"rset"').replace('"echo"', '"eco"'));
    const failed = await one.log({ event: 'config_reloaded', result: 'failure' });
    expect(JSON.stringify(failed['problems'])).toMatch(/gateway\.yaml:\d+:\d+: error/);
    expect(await one.metric('config_last_reload_successful')).toBe(0);
    moved.socket.send('so am I');
    expect(await moved.next()).toBe('so am I');
    client.socket.terminate();
    moved.socket.terminate();
    expect(await one.stop()).toBe(0);
  });

  it('binds a new address and leaves one that is gone', async () => {
    const one = await startGateway({ listeners: [{ host: '127.0.0.1', port: 0 }], upstreams: upstreams(), routes });
    const text = JSON.parse(readFileSync(one.file, 'utf8'));
    writeFileSync(one.file, JSON.stringify({ ...text, listeners: [{ host: '127.0.0.3', port: 0 }] }));
    one.signal('SIGHUP');
    const line = await one.log({ msg: 'listening', address: '127.0.0.3' });
    const client = await connectRaw({ port: Number(line['port']), host: '127.0.0.3' });
    client.write(handshake());
    await client.until('101');
    client.socket.destroy();
    await expect
      .poll(() =>
        connectRaw(one.port).then(
          () => 'open',
          () => 'closed',
        ),
      )
      .toBe('closed');
    expect(await one.stop()).toBe(0);
  });
});

describe('drain', () => {
  const config = (drain: object): GatewayFile => ({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    upstreams: upstreams(),
    routes,
    drain,
  });

  it('closes terminated sessions with 1001 and ends with 0', async () => {
    const one = await startGateway(config({ grace: '5s', spread: '0s' }));
    const client = await openClient(`ws://127.0.0.1:${one.port}/ws`);
    const closed = once(client.socket, 'close');
    one.signal('SIGTERM');
    expect((await closed)[0]).toBe(1001);
    expect(await one.exited).toBe(0);
  });

  it('serves everything during the delay, with /readyz at 503; then refuses handshakes on open connections', async () => {
    const one = await startGateway(config({ delay: '4s', grace: '10s', spread: '0s' }));
    const idle = await connectRaw(one.port);
    idle.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    const answer = await heldAnswer();
    one.signal('SIGTERM');
    await one.log({ event: 'drain', phase: 'started' });
    expect(await one.admin('/readyz')).toMatchObject({ status: 503, text: expect.stringMatching(/^draining$/m) });
    expect((await one.admin('/healthz')).status).toBe(200);
    const client = await openClient(`ws://127.0.0.1:${one.port}/ws`);
    client.socket.send('served');
    expect(await client.next()).toBe('served');
    await one.log({ event: 'drain', phase: 'listeners_closed' });
    idle.write(handshake());
    // The gateway has had its turn to read the handshake.
    await one.admin('/healthz');
    answer();
    const text = (await idle.closed()).bytes.toString();
    expect(text).toContain('HTTP/1.1 503 Service Unavailable');
    expect(text).toContain('X-Gateway-Reason: draining');
    expect(await one.exited).toBe(0);
  });

  it('cuts what is left after the grace', async () => {
    const one = await startGateway(config({ grace: '300ms', spread: '0s' }));
    const stubborn = await connectRaw(one.port);
    stubborn.write(handshake());
    await stubborn.until('101');
    one.signal('SIGTERM');
    await one.log({ event: 'drain', phase: 'cut' });
    expect(await one.exited).toBe(0);
    stubborn.socket.destroy();
  });

  it('a second signal ends at once', async () => {
    const one = await startGateway(config({ delay: '30s', grace: '30s' }));
    one.signal('SIGTERM');
    await one.log({ event: 'drain', phase: 'started' });
    one.signal('SIGTERM');
    expect(await one.exited).toBe(1);
  });
});
