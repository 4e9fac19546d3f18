// HTTP/2 at the built gateway's TLS listener, with node's client and curl: the same request by HTTP/1.1 and by HTTP/2 has the
// same verdict, answer, fields at the server and line in the log. What a connection may do is server.test.ts, WebSockets are
// http2-websocket.test.ts.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2';
import https from 'node:https';
import type net from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../support/child.ts';
import { type Backend, type Peer, startBackend } from '../support/forwarding.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { RawHttp2 } from '../support/http2-raw.ts';
import { type RestServer, type Seen, startRest } from '../support/rest.ts';

let rest: RestServer;
let backend: Backend;
let gateway: Gateway;

beforeAll(async () => {
  rest = await startRest();
  backend = await startBackend();
  gateway = await startGateway({
    listeners: [
      { host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost', 'app.example'] }, max_head: '16KiB' },
      { host: '127.0.0.1', port: 0, http2: { prior_knowledge: true, max_streams: 5 } },
      { host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] }, http2: false },
    ],
    upstreams: {
      rest: { servers: [`http://127.0.0.1:${rest.port}`] },
      scripted: { servers: [`http://127.0.0.1:${backend.port}`] },
      nobody: { servers: ['http://127.0.0.1:1'] },
    },
    routes: [
      { name: 'scripted', match: { path: '/scripted/*' }, http: { upstream: 'scripted' } },
      { name: 'nobody', match: { path: '/nobody' }, http: { upstream: 'nobody' } },
      { name: 'small', match: { path: '/small' }, http: { upstream: 'rest', max_body: '1KiB' } },
      { name: 'sockets', match: { path: '/ws' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
      { name: 'moved', match: { path: '/moved' }, redirect: { host: 'other.example' } },
      { name: 'fixed', match: { path: '/fixed' }, respond: { status: 200, body: 'here\n' } },
      { name: 'denied', match: { path: '/denied' }, deny: ['0.0.0.0/0'], http: { upstream: 'rest' } },
      {
        name: 'rest',
        match: { host: ['localhost', 'app.example'], path: ['/seen/*', '/chunked', '/mirror', '/empty', '/a/*'] },
        http: { upstream: 'rest' },
        headers: { request: { set: { 'X-Proto': '{scheme}' } }, response: { set: { 'X-Added': '1' } } },
      },
    ],
  });
});

afterAll(async () => {
  expect(await gateway?.stop()).toBe(0);
  for (const closable of [rest, backend]) closable?.close();
});

const sessions: ClientHttp2Session[] = [];
const peers: Peer[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  for (const peer of peers.splice(0)) {
    peer.socket.end();
    await peer.closed();
  }
});

async function connect(url = `https://localhost:${gateway.port}`): Promise<ClientHttp2Session> {
  const session = http2.connect(url, { rejectUnauthorized: false, lookup: toLoopback });
  sessions.push(session);
  session.on('error', () => {});
  await once(session, 'remoteSettings');
  return session;
}

const toLoopback: net.LookupFunction = (_host, _options, callback) =>
  callback(null, [{ address: '127.0.0.1', family: 4 }]);

interface Answer {
  readonly status: number;
  /** By lower-case name, without what each protocol has of its own. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, unknown>>;
}

/** What belongs to one protocol, or differs between any two answers. */
const OWN = ['upgrade', 'connection', 'keep-alive', 'transfer-encoding', 'date', 'trailer', ':status'];

const lessOwn = (fields: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries({ ...fields }).filter(([name]) => !OWN.includes(name)));

interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly host?: string;
  readonly fields?: Readonly<Record<string, string | string[]>>;
  readonly body?: Buffer;
}

async function byHttp2(
  session: ClientHttp2Session,
  { method = 'GET', path, host = 'localhost', fields = {}, body }: Ask,
) {
  const head: OutgoingHttpHeaders = { ':method': method, ':path': path, ':authority': host, ...fields };
  const stream = session.request(head, { endStream: body === undefined });
  stream.end(body);
  return readStream(stream);
}

async function readStream(stream: ClientHttp2Stream): Promise<Answer> {
  const parts: Buffer[] = [];
  let trailers = {};
  stream.on('data', (part: Buffer) => parts.push(part));
  stream.on('trailers', (fields) => {
    trailers = Object.fromEntries(Object.entries(fields));
  });
  const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader];
  if (!stream.closed) await once(stream, 'close');
  return { status: headers[':status'] ?? 0, fields: lessOwn(headers), body: Buffer.concat(parts), trailers };
}

function byHttp1({ method = 'GET', path, host = 'localhost', fields = {}, body }: Ask): Promise<Answer> {
  return new Promise((resolve, fail) => {
    const req = https.request({
      ...{ host: '127.0.0.1', port: gateway.port, method, path, rejectUnauthorized: false, agent: false },
      headers: { Host: host, ...fields, ...(body === undefined ? {} : { 'Transfer-Encoding': 'chunked' }) },
    });
    req.on('error', fail).on('response', (res) => {
      const parts: Buffer[] = [];
      res.on('data', (part: Buffer) => parts.push(part));
      res.on('end', () => {
        resolve({
          status: res.statusCode ?? 0,
          fields: lessOwn(res.headers),
          body: Buffer.concat(parts),
          trailers: res.trailers,
        });
      });
    });
    req.end(body);
  });
}

/** Ids differ, and what HTTP/2 has no word for. */
const comparable = ({ status, fields, body, trailers }: Answer) => {
  const text = body.toString('latin1').replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID');
  return { status, fields: { ...fields, 'x-request-id': 'ID' }, body: text, trailers };
};

const SAME: [name: string, ask: Ask][] = [
  ['a GET', { path: '/seen/a?b=c' }],
  ['a HEAD', { method: 'HEAD', path: '/chunked' }],
  ['a POST with content', { method: 'POST', path: '/seen/post', body: randomBytes(100_000) }],
  ['content sent back', { method: 'POST', path: '/mirror', body: randomBytes(300_000) }],
  ['an answer with trailers', { path: '/chunked', fields: { te: 'trailers' } }],
  ['an answer without content', { path: '/empty' }],
  ['an answer of the server', { path: '/a/404' }],
  ['OPTIONS', { method: 'OPTIONS', path: '/seen/options' }],
  ['another name', { path: '/seen/host', host: 'app.example' }],
  ['a name without a route', { path: '/seen/none', host: 'nobody.example' }],
  ['a path without a route', { path: '/nowhere' }],
  ['a path that climbs', { path: '/seen/%2e%2e/%2e%2e/x' }],
  ['a path that two readers differ over', { path: '/seen/..;/x' }],
  ['a fragment', { path: '/seen/a#b' }],
  ['a plain request where sockets are', { path: '/ws' }],
  ['a redirect', { path: '/moved' }],
  ['a fixed answer', { path: '/fixed' }],
  ['an address that is denied', { path: '/denied' }],
  ['a server that is not there', { path: '/nobody' }],
  ['content that is too large', { method: 'POST', path: '/small', body: Buffer.alloc(5000) }],
  ['TRACE', { method: 'TRACE', path: '/seen/trace' }],
  [
    'octets beyond ASCII',
    { path: '/seen/octets', fields: { 'x-octets': Buffer.from('grün', 'utf8').toString('latin1') } },
  ],
  [
    'forwarding fields of a stranger',
    { path: '/seen/forwarded', fields: { 'x-forwarded-for': '192.0.2.1', forwarded: 'for=192.0.2.1' } },
  ],
  ['a cookie', { path: '/seen/cookie', fields: { cookie: 'a=1; b=2' } }],
];

describe('the same request by HTTP/1.1 and by HTTP/2', () => {
  it.each(SAME)('%s', async (_name, ask) => {
    const session = await connect();
    const [one, two] = [await byHttp1(ask), await byHttp2(session, ask)];
    expect(seen(comparable(two))).toEqual(seen(comparable(one)));
    expect(two.status).toBeGreaterThanOrEqual(200);
  });

  it('more fields than there may be', async () => {
    const ask = {
      path: '/seen/many',
      fields: Object.fromEntries(Array.from({ length: 202 }, (_, i) => [`x-${i}`, '1'])),
    };
    const session = await connect();
    for (const { status, body } of [await byHttp1(ask), await byHttp2(session, ask)])
      expect([status, JSON.parse(body.toString())]).toMatchObject([
        431,
        { reason: 'head_too_large', detail: 'a head has at most 200 fields' },
      ]);
  });

  /** What the server saw: names in lower case and sorted, for both protocols may order them as they like. */
  function seen(answer: ReturnType<typeof comparable>) {
    if (!answer.body.startsWith('{"method"')) return answer;
    const { rawHeaders, ...rest } = JSON.parse(answer.body) as Seen;
    const fields: string[] = [];
    for (let i = 0; i < rawHeaders.length; i += 2) fields.push(`${rawHeaders[i]?.toLowerCase()}: ${rawHeaders[i + 1]}`);
    return {
      ...answer,
      fields: { ...answer.fields, 'content-length': 'any' },
      body: { ...rest, fields: fields.sort() },
    };
  }

  it('has the same line in the log and counts as the same, but for its protocol', async () => {
    const session = await connect();
    const path = `/seen/log-${randomBytes(4).toString('hex')}`;
    const labels = { route: 'rest', method: 'GET', code: '200' };
    const before = (await gateway.metric('http_requests_total', { ...labels, protocol: '2' })) ?? 0;
    await byHttp1({ path });
    await byHttp2(session, { path });
    const [one, two] = await Promise.all([
      gateway.log({ path, protocol: '1.1' }),
      gateway.log({ path, protocol: '2' }),
    ]);
    const shown = ({ time: _time, id: _id, duration_ms: _ms, bytes_out: _bytes, protocol: _p, ...line }: typeof one) =>
      line;
    expect(shown(two)).toEqual(shown(one));
    expect(await gateway.metric('http_requests_total', { ...labels, protocol: '2' })).toBe(before + 1);
  });

  it.each([
    ['a refusal', 'GET', '/none'],
    ['a fixed answer', 'GET', '/fixed'],
    ['a redirect', 'GET', '/moved'],
    ['a refusal of HEAD', 'HEAD', '/none-head'],
    ['a server that is not there', 'GET', '/nobody'],
  ])('says how long the content was of %s', async (_name, method, path) => {
    const { body } = await byHttp2(await connect(), { method, path });
    expect((await gateway.log({ event: 'request_completed', method, path, protocol: '2' }))['bytes_out']).toBe(
      body.length,
    );
  });
});

describe('ALPN', () => {
  it('offers HTTP/1.1 alone where HTTP/2 is off', async () => {
    const { stdout } = await run('curl', [
      '-sk',
      '--http2',
      '-o',
      '/dev/null',
      '-w',
      '%{http_version}',
      `https://127.0.0.1:${gateway.ports[2]}/fixed`,
    ]);
    expect(stdout).toBe('1.1');
  });

  it('gives curl HTTP/2', async () => {
    const { stdout } = await run('curl', [
      '-sk',
      '--http2',
      '-w',
      ' %{http_version}',
      `https://127.0.0.1:${gateway.port}/fixed`,
    ]);
    expect(stdout).toBe('here\n 2');
  });

  it('refuses a client that speaks neither', async () => {
    await expect(RawHttp2.tls(gateway.port, { ALPNProtocols: ['spdy/3'] })).rejects.toThrow(/alert/);
  });
});

describe('without TLS', () => {
  it('takes HTTP/2 with prior knowledge, and HTTP/1.1 beside it', async () => {
    const url = `http://127.0.0.1:${gateway.ports[1]}`;
    const two = await run('curl', ['-s', '--http2-prior-knowledge', '-w', ' %{http_version}', `${url}/fixed`]);
    const one = await run('curl', ['-s', '-w', ' %{http_version}', `${url}/fixed`]);
    expect([two.stdout, one.stdout]).toEqual(['here\n 2', 'here\n 1.1']);
  });

  it('drops Upgrade: h2c', async () => {
    const { stdout } = await run('curl', [
      '-s',
      '--http2',
      '-w',
      ' %{http_version}',
      `http://127.0.0.1:${gateway.ports[1]}/fixed`,
    ]);
    expect(stdout).toBe('here\n 1.1');
  });
});

describe('bodies', () => {
  it('carries content of many streams at once, both ways', async () => {
    const session = await connect();
    const bodies = Array.from({ length: 20 }, () => randomBytes(200_000));
    const answers = await Promise.all(
      bodies.map((body) => byHttp2(session, { method: 'POST', path: '/mirror', body })),
    );
    answers.forEach(({ body }, i) => {
      expect(body.equals(bodies[i]!)).toBe(true);
    });
  });

  it('stops a server that answers more than its client reads, and no other stream', async () => {
    const session = await connect();
    const stalled = session.request({ ':path': '/scripted/stalled', ':authority': 'localhost' });
    stalled.pause();
    stalled.on('error', () => {});
    const peer = await nextPeer();
    peer.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536), Buffer.from('\r\n')]);
    let sent = 0;
    while (sent < 512 && peer.socket.write(chunk)) sent++;
    // 32 MiB would have gone: the server is not read any further.
    await expect.poll(() => peer.socket.writableNeedDrain).toBe(true);
    expect((await byHttp2(session, { path: '/fixed' })).body.toString()).toBe('here\n');
    stalled.close();
  });

  it('resets a stream whose answer broke off, so that it does not look whole', async () => {
    const session = await connect();
    const stream = session.request({ ':path': '/scripted/broken', ':authority': 'localhost' });
    const failed = once(stream, 'error');
    const peer = await nextPeer();
    peer.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    await once(stream, 'response');
    peer.socket.destroy();
    stream.resume();
    expect(String((await failed)[0])).toContain('INTERNAL_ERROR');
    expect((await byHttp2(session, { path: '/fixed' })).status).toBe(200);
  });

  it('ends the exchange with the server where the client resets its stream', async () => {
    const session = await connect();
    const stream = session.request({ ':path': '/scripted/left', ':authority': 'localhost' });
    stream.on('error', () => {});
    const peer = await nextPeer();
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await peer.closed();
    await gateway.log({ path: '/scripted/left', status: 499 });
  });

  it('passes an answer that comes before the content has, and lets the client stop', async () => {
    const session = await connect();
    const stream = session.request(
      { ':method': 'POST', ':path': '/scripted/early', ':authority': 'localhost' },
      { endStream: false },
    );
    stream.on('error', () => {});
    stream.write(Buffer.alloc(1000));
    const answered = readStream(stream);
    const peer = await nextPeer();
    peer.socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    const { status, body } = await answered;
    expect([status, body.toString(), stream.rstCode]).toEqual([403, 'no', 0]);
  });

  it('passes interim answers, and a 100 for who waits for it', async () => {
    const session = await connect();
    const stream = session.request(
      {
        ':method': 'POST',
        ':path': '/scripted/interim',
        ':authority': 'localhost',
        expect: '100-continue',
        'content-length': 2,
      },
      { endStream: false },
    );
    const interims: number[] = [];
    stream.on('headers', (fields) => interims.push(fields[':status'] ?? 0));
    stream.once('continue', () => stream.end('ok'));
    const answered = readStream(stream);
    const peer = await nextPeer();
    peer.socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n');
    await peer.until('\r\n\r\nok');
    peer.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    expect((await answered).status).toBe(200);
    expect(interims.filter((status) => status !== 100)).toEqual([103]);
  });

  it('passes the trailers of a request', async () => {
    const session = await connect();
    const stream = session.request(
      { ':method': 'POST', ':path': '/scripted/trailers', ':authority': 'localhost' },
      { endStream: false, waitForTrailers: true },
    );
    stream.on('error', () => {});
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7', 'cache-control': 'no-store' }));
    stream.end('abc');
    const answered = readStream(stream);
    const peer = await nextPeer();
    const text = await peer.until('0\r\nx-sum: 7\r\n\r\n');
    expect(text).toContain('Transfer-Encoding: chunked');
    peer.socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    expect((await answered).status).toBe(204);
  });

  async function nextPeer(): Promise<Peer> {
    const peer = await backend.next();
    peers.push(peer);
    await peer.until('\r\n\r\n');
    return peer;
  }
});

describe('a connection', () => {
  it('goes on over a reload, and ends in order at a drain', async () => {
    const own = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] } }],
      upstreams: { scripted: { servers: [`http://127.0.0.1:${backend.port}`] } },
      routes: [{ name: 'scripted', match: { path: '/*' }, http: { upstream: 'scripted' } }],
      drain: { delay: '0s', grace: '10s', spread: '0s' },
    });
    const session = await connect(`https://localhost:${own.port}`);
    own.signal('SIGHUP');
    await own.log({ event: 'config_reloaded' });
    const stream = session.request({ ':path': '/slow', ':authority': 'localhost' });
    const answered = readStream(stream);
    const peer = await backend.next();
    peers.push(peer);
    await peer.until('\r\n\r\n');
    const goaway = once(session, 'goaway');
    own.signal('SIGTERM');
    await goaway;
    peer.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate');
    expect((await answered).body.toString()).toBe('late');
    expect(await own.exited).toBe(0);
  });

  it('is counted', async () => {
    await connect();
    expect(await gateway.metric('http2_sessions')).toBeGreaterThanOrEqual(1);
    expect(await gateway.metric('http2_sessions_closed_total', { reason: 'resets' })).toBe(0);
  });
});
