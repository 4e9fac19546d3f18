// Plain HTTP through the whole built gateway, with a REST server and with backends whose every byte the test writes. What
// an engine alone must do is http-engine.suite.ts; here it is seen that listener, header policy and engine fit together,
// and that one id goes through all while nothing secret reaches the log. By HTTP/1.1 and by HTTP/2, but for what one has only.
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openClient } from '../support/client.ts';
import { type Backend, type Peer, readMessage, startBackend } from '../support/forwarding.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { bothListeners, fetchBy, optionsOf, PROTOCOLS, type Protocol, targetOf } from '../support/protocols.ts';
import { connectRaw, exchange, handshake, type RawConnection, readAnswer } from '../support/raw.ts';
import { type RestServer, type Seen, startRest } from '../support/rest.ts';
import { closedPort } from '../support/scripted.ts';

let one: RestServer;
let two: RestServer;
let backend: Backend;
let gateway: Gateway;

const url = (port: number) => `http://127.0.0.1:${port}`;

beforeAll(async () => {
  one = await startRest();
  two = await startRest();
  backend = await startBackend();
  gateway = await startGateway({
    listeners: bothListeners({ max_head: '8KiB', timeouts: { head: '1s' } }),
    trusted_proxies: ['127.0.0.9'],
    upstreams: {
      pair: { servers: [url(one.port), url(two.port)] },
      rest: { servers: [url(one.port)] },
      scripted: { servers: [url(backend.port)] },
      nobody: { servers: [url(await closedPort())] },
    },
    routes: [
      { name: 'pair', match: { path: '/seen/pair' }, http: { upstream: 'pair' } },
      { name: 'nobody', match: { path: '/nobody/*' }, http: { upstream: 'nobody' } },
      { name: 'slow', match: { path: '/slow/*' }, http: { upstream: 'scripted', timeouts: { head: '200ms' } } },
      {
        name: 'scripted',
        match: { path: '/scripted/*' },
        http: { upstream: 'scripted' },
        websocket: { mode: 'splice', upstream: 'scripted', origins: ['https://app.example'] },
      },
      { name: 'lost', match: { path: '/lost' }, websocket: { mode: 'splice', upstream: 'nobody', origins: 'any' } },
      { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
      { name: 'rest', match: { host: 'app.example' }, http: { upstream: 'rest' } },
    ],
  });
});

afterAll(async () => {
  expect(await gateway?.stop()).toBe(0);
  for (const closable of [one, two, backend]) closable?.close();
});

const open: RawConnection[] = [];
const peers: Peer[] = [];
afterEach(async () => {
  for (const connection of open.splice(0)) connection.socket.destroy();
  // The gateway keeps connections; each test is to get a new one.
  for (const peer of peers.splice(0)) {
    peer.socket.end();
    await peer.closed();
  }
});

/** The backend's end of the next connection, once a head has come over it. */
async function nextPeer(): Promise<Peer> {
  const peer = await backend.next();
  peers.push(peer);
  await peer.until('\r\n\r\n');
  return peer;
}

/** A request's head. */
const request = (startLine: string, ...lines: readonly string[]): string =>
  [startLine, 'Host: app.example', ...lines, '', ''].join('\r\n');

/** What a client of the protocol does. */
function clientOf(protocol: Protocol) {
  const connect = async (from?: string): Promise<RawConnection> => {
    const connection = await connectRaw(targetOf(gateway, protocol, from));
    open.push(connection);
    return connection;
  };
  return {
    connect,
    /** Sends bytes on a connection of their own, and gives all that came back. */
    send: (bytes: string) => exchange(targetOf(gateway, protocol), bytes),
    /** Sends a request on a connection of its own, and gives the whole answer. */
    ask: async (startLine: string, ...lines: readonly string[]) =>
      readAnswer(await exchange(targetOf(gateway, protocol), request(startLine, 'Connection: close', ...lines))),
    /** Sends a request to the scripted backend, and waits until it has its head. */
    script: async (text: string, from?: string): Promise<{ client: RawConnection; peer: Peer }> => {
      const client = await connect(from);
      client.write(Buffer.from(text, 'latin1'));
      return { client, peer: await nextPeer() };
    },
    /** A path that no other protocol's test has. */
    own: (path: string) => `${path}-${protocol}`,
    /** A field line as it reaches the backend: HTTP/2 has names in lower case only. */
    sent: (line: string) => (protocol === '2' ? line.replace(/^[^:]+/, (name) => name.toLowerCase()) : line),
  };
}

/** The log line of the request with this path; tests use a path once. */
const completed = (path: string) => gateway.log({ event: 'request_completed', path });
const reasonOf = (answer: { fields: readonly (readonly [string, string])[] }) =>
  answer.fields.find(([name]) => name === 'X-Gateway-Reason')?.[1];

describe.each(PROTOCOLS)('two servers, by HTTP/%s', (protocol) => {
  const { connect } = clientOf(protocol);
  it('take turns, over kept connections too, and the metrics say so', async () => {
    const before = [one.count(), two.count()];
    const client = await connect();
    for (let i = 1; i <= 10; i++) {
      client.write(request('GET /seen/pair HTTP/1.1'));
      await client.until((bytes) => bytes.toString().split('"sha256"').length === i + 1);
    }
    expect([one.count() - before[0]!, two.count() - before[1]!]).toEqual([5, 5]);
    await expect
      .poll(() => gateway.metric('http_requests_total', { route: 'pair', method: 'GET', code: '200', protocol }))
      .toBe(10);
    for (const { port } of [one, two]) {
      expect(await gateway.metric('upstream_connections', { upstream: 'pair', server: url(port) })).toBe(0);
    }
  });
});

describe.each(PROTOCOLS)('the request that the backend gets, by HTTP/%s', (protocol) => {
  const { own, script, sent } = clientOf(protocol);
  const LIES = [
    'X-Forwarded-For: 203.0.113.7',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: lie.example',
    'X-Real-IP: 203.0.113.7',
    'Forwarded: for=203.0.113.7',
    'X_Forwarded_For: 203.0.113.7',
    'X-Request-Id: given-1',
  ];

  it('is the client’s, less what is its connection’s own, and says where it comes from', async () => {
    const { client, peer } = await script(
      request(
        'GET /scripted/%2e/a%2fb//c;d?q=1%zz HTTP/1.1',
        'Connection: keep-alive, X-Mine, Upgrade',
        'X-Mine: 1',
        'Upgrade: h2c',
        'Keep-Alive: 5',
        'TE: trailers',
        'Proxy-Authorization: Basic x',
        'Cookie: a=1',
        'cookie: b=2',
        'Authorization: Bearer x',
        ...LIES,
      ),
    );
    const { startLine, lines } = readMessage(peer.received());
    expect(startLine).toBe('GET /scripted/%2e/a%2fb//c;d?q=1%zz HTTP/1.1');
    expect(lines.map((line) => line.replace(/^(X-Request-Id: )[0-9a-f-]{36}$/, '$1(fresh)'))).toEqual([
      'Host: app.example',
      // In HTTP/2 cookies are one field, and stand behind the others.
      ...(protocol === '2'
        ? ['authorization: Bearer x', 'cookie: a=1; b=2']
        : ['Cookie: a=1', 'cookie: b=2', 'Authorization: Bearer x']),
      'X-Forwarded-For: 127.0.0.1',
      'X-Forwarded-Proto: http',
      'X-Forwarded-Host: app.example',
      'X-Request-Id: (fresh)',
      'TE: trailers',
      'Connection: TE',
    ]);
    peer.write('HTTP/1.1 204 No Content\r\n\r\n');
    await client.until('204');
    const id = /X-Request-Id: (\S+)/.exec(peer.received())?.[1];
    expect(await gateway.log({ event: 'request_completed', id: String(id) })).toMatchObject({
      client: '127.0.0.1',
      path: '/scripted/%2e/a%2fb//c;d',
      status: 204,
      route: 'scripted',
      server: url(backend.port),
    });
  });

  it('says what a trusted proxy says, and appends it', async () => {
    const { client, peer } = await script(request(`GET ${own('/scripted/trusted')} HTTP/1.1`, ...LIES), '127.0.0.9');
    const { lines } = readMessage(peer.received());
    expect(lines).toEqual(
      expect.arrayContaining([
        'X-Forwarded-For: 203.0.113.7, 127.0.0.9',
        'X-Forwarded-Proto: https',
        'X-Forwarded-Host: lie.example',
        'X-Request-Id: given-1',
      ]),
    );
    expect(lines.filter((line) => /^x[-_]forwarded[-_]for/i.test(line))).toHaveLength(1);
    peer.write('HTTP/1.1 204 No Content\r\n\r\n');
    await client.until('204');
    expect(await completed(own('/scripted/trusted'))).toMatchObject({ id: 'given-1', client: '203.0.113.7' });
  });

  const forwarded = 'Forwarded: for=6.6.6.6;proto=http, for="[2001:db8::9]:_p";proto=https;host=front.example';
  it('has nothing of a Forwarded that a trusted proxy hands on, unless it is believed', async () => {
    const { client, peer } = await script(request(`GET ${own('/scripted/for')} HTTP/1.1`, forwarded), '127.0.0.9');
    const { lines } = readMessage(peer.received());
    expect(lines).toEqual(expect.arrayContaining(['X-Forwarded-For: 127.0.0.9', 'X-Forwarded-Proto: http']));
    expect(peer.received()).not.toMatch(/2001:db8|6\.6\.6\.6|front\.example/);
    peer.write('HTTP/1.1 204 No Content\r\n\r\n');
    await client.until('204');
    expect(await completed(own('/scripted/for'))).toMatchObject({ client: '127.0.0.9' });
  });

  it('has nothing of what Forwarded of anyone else says', async () => {
    const { client, peer } = await script(request(`GET ${own('/scripted/for-nobody')} HTTP/1.1`, forwarded));
    expect(peer.received()).not.toContain('2001:db8');
    peer.write('HTTP/1.1 204 No Content\r\n\r\n');
    await client.until('204');
    expect(await completed(own('/scripted/for-nobody'))).toMatchObject({ client: '127.0.0.1' });
  });

  it('has an absolute target in origin-form, its authority as Host', async () => {
    const { client, peer } = await script(request('GET http://other.example:81/scripted/absolute?a HTTP/1.1'));
    expect(peer.received()).toMatch(/^GET \/scripted\/absolute\?a HTTP\/1\.1\r\nHost: other\.example:81\r\n/);
    expect(peer.received().match(/^host:/gim)).toHaveLength(1);
    peer.write('HTTP/1.1 204 No Content\r\n\r\n');
    await client.until('204');
  });

  it.each(['DELETE', 'OPTIONS', 'PATCH'])('keeps the chunks of a %s, and its trailers', async (method) => {
    const head = request(`${method} /scripted/chunks HTTP/1.1`, 'Transfer-Encoding: chunked', 'Trailer: X-Sum');
    const { client, peer } = await script(`${head}3\r\nabc\r\n`);
    await peer.until('3\r\nabc\r\n');
    client.write('2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n');
    const text = await peer.until(`${sent('X-Sum: 5')}\r\n\r\n`);
    expect(text).toMatch(new RegExp(`^${method} /scripted/chunks HTTP/1.1\r\n`));
    expect(text).toMatch(/\r\nTransfer-Encoding: chunked\r\n/i);
    expect(readMessage(text).body).toBe(`3\r\nabc\r\n2\r\nde\r\n0\r\n${sent('X-Sum: 5')}\r\n\r\n`);
    peer.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    await client.until('200');
  });
});

describe.each(PROTOCOLS)('the answer that the client gets, by HTTP/%s', (protocol) => {
  const { connect, script } = clientOf(protocol);
  it('comes with its fields, chunk by chunk, and its trailers', async () => {
    const { client, peer } = await script(request('GET /scripted/answer HTTP/1.1'));
    peer.write(
      'HTTP/1.1 200 Quite Fine\r\nSet-Cookie: a\r\nset-cookie: b\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Gateway-Reason: fake\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n',
    );
    const head = readMessage(await client.until('3\r\nabc\r\n'));
    expect(head.startLine).toBe(protocol === '2' ? 'HTTP/1.1 200 OK' : 'HTTP/1.1 200 Quite Fine');
    const second = protocol === '2' ? 'Set-Cookie: b' : 'set-cookie: b';
    expect(head.lines).toEqual(['Set-Cookie: a', second, 'Trailer: X-Sum', 'Transfer-Encoding: chunked']);
    peer.write('0\r\nX-Sum: 3\r\nSet-Cookie: late\r\n\r\n');
    const text = (await client.until('X-Sum: 3\r\n\r\n')).toString();
    expect(text.endsWith('3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n')).toBe(true);
  });

  it('to a HEAD, of a 204 and of a 304 has no body, and the connection goes on', async () => {
    const client = await connect();
    client.write(request('HEAD /seen/head HTTP/1.1'));
    await client.until('\r\n\r\n');
    const head = client.received().toString();
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(head).toMatch(/\r\nContent-Length: [1-9]\d*\r\n/i);
    client.write(request('GET /empty HTTP/1.1'));
    await client.until('HTTP/1.1 204');
    client.write(request('GET /scripted/304 HTTP/1.1', 'If-None-Match: "x"'));
    const peer = await nextPeer();
    peer.write('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 12\r\n\r\n');
    await client.until('HTTP/1.1 304');
    client.write(request('GET /empty HTTP/1.1', 'Connection: close'));
    const { bytes } = await client.closed();
    expect(bytes.toString().match(/HTTP\/1\.1 \d+/g)).toEqual(
      ['200', '204', '304', '204'].map((code) => `HTTP/1.1 ${code}`),
    );
    expect(bytes.toString()).not.toContain('{');
  });

  it('comes behind its interim ones', async () => {
    const head = request('POST /scripted/interim HTTP/1.1', 'Expect: 100-continue', 'Content-Length: 4');
    const { client, peer } = await script(head);
    peer.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n');
    await client.until('HTTP/1.1 100 Continue\r\n\r\n');
    expect(client.received().toString()).toContain('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n');
    client.write('body');
    await peer.until('body');
    peer.write('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n');
    const text = (await client.until('201')).toString();
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 103', 'HTTP/1.1 100', 'HTTP/1.1 201']);
  });

  it('is there early, while the body still comes', async () => {
    const { client, peer } = await script(request('POST /scripted/413 HTTP/1.1', 'Content-Length: 50000000'));
    client.write(Buffer.alloc(100_000));
    peer.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large');
    await client.until('too large');
    for (let i = 0; i < 20; i++) client.write(Buffer.alloc(100_000));
    client.end();
    const { bytes, how } = await client.closed();
    expect(how).toBe('fin');
    expect(readAnswer(bytes)).toMatchObject({ status: 413, body: 'too large' });
    if (protocol === '1.1') expect(readAnswer(bytes).fields).toContainEqual(['Connection', 'close']);
    // What was not read of the body is dropped: nothing of the request is left.
    await expect.poll(() => gateway.metric('http_requests_in_flight')).toBe(0);
  });

  it('is each event at once, where it is a stream of them', async () => {
    const { client, peer } = await script(request('GET /scripted/events HTTP/1.1', 'Accept: text/event-stream'));
    peer.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.until('\r\n\r\n');
    for (const event of ['data: one\n\n', 'data: two\n\n', 'data: three\n\n']) {
      peer.write(`${event.length.toString(16)}\r\n${event}\r\n`);
      // The next one is sent only when this one is here: nothing waits for more.
      await client.until(event);
    }
    client.reset();
    await peer.closed();
  });

  it.runIf(protocol === '1.1')('to an HTTP/1.0 client ends with the connection, without chunks', async () => {
    const { client, peer } = await script('GET /scripted/old HTTP/1.0\r\n\r\n');
    expect(peer.received()).toMatch(/^GET \/scripted\/old HTTP\/1\.1\r\n/);
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
    const { bytes, how } = await client.closed();
    expect(how).toBe('fin');
    const answer = readAnswer(bytes);
    expect([answer.status, answer.body]).toEqual([200, 'abc']);
    expect(answer.fields.map(([name]) => name.toLowerCase())).not.toContain('transfer-encoding');
  });
});

describe.each(PROTOCOLS)('20 MiB, by HTTP/%s', (protocol) => {
  const { connect } = clientOf(protocol);
  const large = randomBytes(20 << 20);
  const sum = createHash('sha256').update(large).digest('hex');

  it.each(['a length', 'chunks'])('arrive whole at the backend, with %s', async (how) => {
    const headers = how === 'chunks' ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': `${large.length}` };
    const { text } = await fetchBy(gateway, protocol, '/seen/pair', { method: 'PUT', headers, body: large });
    const seen = JSON.parse(text) as Seen;
    expect([seen.length, seen.sha256]).toEqual([large.length, sum]);
    expect(seen.rawHeaders.map((name) => name.toLowerCase())).toContain(
      how === 'chunks' ? 'transfer-encoding' : 'content-length',
    );
  });

  it('come back whole, while they are still being sent', async () => {
    const client = await connect();
    client.write(request('POST /mirror HTTP/1.1', `Content-Length: ${large.length}`, 'Connection: close'));
    client.write(large);
    const { bytes } = await client.closed(30_000);
    expect(bytes.toString('latin1', 0, 15)).toBe('HTTP/1.1 200 OK');
    expect(createHash('sha256').update(unchunk(bytes)).digest('hex')).toBe(sum);
  });
});

/** The body of an answer in chunks. */
function unchunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = bytes.indexOf('\r\n\r\n') + 4; ; ) {
    const end = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (size === 0) return Buffer.concat(parts);
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

describe.each(PROTOCOLS)('what breaks, by HTTP/%s', (protocol) => {
  const { ask, own, script } = clientOf(protocol);
  it('a client that leaves takes the request to the backend along', async () => {
    const { client, peer } = await script(request(`GET ${own('/scripted/left')} HTTP/1.1`));
    client.reset();
    await peer.closed();
    expect(await completed(own('/scripted/left'))).toMatchObject({ status: 499, reason: 'client_gone' });
    await expect.poll(() => gateway.metric('http_requests_in_flight')).toBe(0);
    const labels = { upstream: 'scripted', server: url(backend.port) };
    await expect.poll(() => gateway.metric('upstream_connections', labels)).toBe(0);
  });

  it.each([
    ['a length', 'Content-Length: 10\r\n\r\nhalf'],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('a backend that ends in the middle of %s ends the client’s connection', async (framing, answer) => {
    const path = own(`/scripted/cut-${framing.replace(' ', '-')}`);
    const { client, peer } = await script(request(`GET ${path} HTTP/1.1`));
    peer.write(`HTTP/1.1 200 OK\r\n${answer}`);
    await client.until('half');
    peer.socket.end();
    const { bytes } = await client.closed();
    expect(bytes.toString().endsWith('0\r\n\r\n')).toBe(false);
    expect(await completed(path)).toMatchObject({ reason: 'backend_refused' });
  });

  it('a backend that is not there is 502, and one that says nothing 504', async () => {
    const refused = await ask('GET /nobody/x HTTP/1.1');
    expect([refused.status, reasonOf(refused)]).toEqual([502, 'backend_refused']);
    const silent = await script(request(`GET ${own('/slow/x')} HTTP/1.1`, 'Connection: close'));
    const answer = readAnswer((await silent.client.closed()).bytes);
    expect([answer.status, reasonOf(answer)]).toEqual([504, 'backend_timeout']);
    await silent.peer.closed();
    const line = await completed(own('/slow/x'));
    expect(JSON.parse(answer.body)).toMatchObject({ status: 504, request_id: line['id'] });
    expect(await gateway.log({ event: 'upstream_failed', id: String(line['id']) })).toMatchObject({
      reason: 'backend_timeout',
    });
  });

  it('a backend that speaks no HTTP is 502', async () => {
    const { client, peer } = await script(request('GET /scripted/ssh HTTP/1.1', 'Connection: close'));
    peer.write('SSH-2.0-OpenSSH_9.2\r\n\r\n');
    const answer = readAnswer((await client.closed()).bytes);
    expect([answer.status, reasonOf(answer)]).toEqual([502, 'bad_accept']);
  });
});

describe.each(PROTOCOLS)('the log, by HTTP/%s', (protocol) => {
  const { ask, own, script, send } = clientOf(protocol);
  const SECRET = 'S3CRETS3CRET';
  const secret = [
    `Cookie: sid=${SECRET}`,
    `Authorization: Bearer ${SECRET}`,
    `X-Api-Key: ${SECRET}`,
    `Referer: http://a/?${SECRET}`,
  ];
  const query = `?token=${SECRET}`;
  const upgrade = (path: string, changes: Parameters<typeof handshake>[0] = {}) =>
    handshake(
      { Cookie: `sid=${SECRET}`, Authorization: `Bearer ${SECRET}`, ...changes },
      `GET ${path}${query} HTTP/1.1`,
    );

  it('never has a query, a cookie, a credential or a token, whatever becomes of a request', async () => {
    // Answered, failed, and refused for every reason that a plain request can be.
    for (const target of [
      `/seen/secret${query}`,
      `/nobody/secret${query}`,
      `/echo${query}`,
      ...(protocol === '2' ? [] : [`http://user:${SECRET}@app.example/seen/secret`]),
      `/seen/secret%00${query}`,
      `/seen/\\${query}`,
      `/seen/secret#${SECRET}`,
    ]) {
      await send(request(`GET ${target} HTTP/1.1`, 'Connection: close', ...secret));
    }
    await send(`GET /none${query} HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n`);
    if (protocol === '1.1') {
      await send(request(`GET /a${query} HTTP/1.1`, ...secret, 'broken field'));
      await send(request(`GET /a${query} HTTP/1.1`, ...secret, `X: ${'a'.repeat(9000)}`));
      await send(request(`GET /a${query} HTTP/1.1`, ...secret).slice(0, -2));
    } else await ask(`GET /a${query} HTTP/1.1`, ...secret, ...Array.from({ length: 197 }, () => 'X: 1'));
    const bad = await script(request(`GET /scripted/bad${query} HTTP/1.1`, 'Connection: close', ...secret));
    bad.peer.write(`HTTP/1.1 200 OK\r\nSet-Cookie: ${SECRET}\x01\r\nX ${SECRET}\r\n\r\n`);
    await bad.client.closed();
    // Handshakes: accepted, rejected, failed, and passed with the backend's own answer.
    const session = await openClient(`ws://127.0.0.1:${targetOf(gateway, protocol).port}/echo${query}`, {
      ...optionsOf(protocol),
      headers: { Cookie: `sid=${SECRET}`, Authorization: `Bearer ${SECRET}` },
    });
    session.socket.send(SECRET);
    expect(await session.next()).toBe(SECRET);
    await session.close(1000, SECRET);
    await send(upgrade('/echo', { 'Sec-WebSocket-Key': SECRET, 'Sec-WebSocket-Version': '7' }));
    await send(upgrade('/lost'));
    const spliced = { Origin: 'https://app.example', Host: 'app.example' };
    for (const answer of [
      `HTTP/1.1 403 ${SECRET}\r\nSet-Cookie: ${SECRET}\r\nContent-Length: 0\r\n\r\n`,
      `HTTP/1.1 101 x\r\nSet-Cookie: ${SECRET}\r\n\r\n`,
      `HTTP/1.1 101 x\r\nSet-Cookie ${SECRET}\r\n\r\n`,
      `${SECRET}\r\n\r\n`,
    ]) {
      const { client, peer } = await script(upgrade('/scripted/ws', spliced));
      peer.write(answer);
      await client.closed();
    }
    await send(upgrade('/scripted/ws', { ...spliced, Origin: 'https://evil.example' }));

    // The last of them has been written by the time that the line of a later request has.
    await ask(`GET ${own('/seen/after-all')} HTTP/1.1`);
    await completed(own('/seen/after-all'));
    const of = gateway.logs().filter((line) => line['protocol'] === protocol || line['event'] === 'upstream_failed');
    const events = new Set(of.map((line) => line['event']));
    expect([...events]).toEqual(
      expect.arrayContaining([
        // In HTTP/2 a head that the gateway refuses is one that was read.
        ...(protocol === '2' ? [] : ['head_refused']),
        ...['request_completed', 'upstream_failed', 'session_opened', 'session_closed'],
        ...['handshake_rejected', 'handshake_failed', 'handshake_passed'],
      ]),
    );
    const found = gateway
      .output()
      .split('\n')
      .filter((line) => line.includes(SECRET));
    expect(found).toEqual([]);
  });

  it('has the id of a session that its backend got', async () => {
    const { client, peer } = await script(
      upgrade(own('/scripted/id'), { Origin: 'https://app.example', Host: 'app.example' }),
    );
    peer.write('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n');
    await client.closed();
    const id = /X-Request-Id: (\S+)/.exec(peer.received())?.[1];
    expect(await gateway.log({ event: 'handshake_passed', path: own('/scripted/id') })).toMatchObject({
      id,
      status: 403,
    });
  });
});
