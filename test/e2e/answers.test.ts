// Every row of the table of answers in docs/answers.md, by exact bytes from a raw socket: status line, each field in its
// place, body. Date and the request's id are masked. Every request is a valid one with one thing broken. By HTTP/2 the same,
// less what belongs to a connection of HTTP/1.1.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { bothListeners, PROTOCOLS, type Protocol, targetOf } from '../support/protocols.ts';
import { ACCEPT, connectRaw, exchange, handshake, KEY, readAnswer } from '../support/raw.ts';
import { type RestServer, type Seen, startRest } from '../support/rest.ts';
import { closedPort, type Scripted, startScripted } from '../support/scripted.ts';

const ORIGIN = 'https://app.example.com';
const switching = (...lines: string[]) => ['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n');
const accepting = (accept: string) => [`Upgrade: websocket`, 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`];

/** What a backend must not be believed. */
const BAD_ACCEPTS = {
  'another key': () => switching(...accepting('AAAAAAAAAAAAAAAAAAAAAAAAAAA=')),
  'no accept key': (_: string, accept: string) => switching(...accepting(accept).slice(0, 2)),
  'two accept keys': (_: string, accept: string) => switching(...accepting(accept), `Sec-WebSocket-Accept: ${accept}`),
  'no Upgrade': (_: string, accept: string) => switching(...accepting(accept).slice(1)),
  'another Upgrade': (_: string, accept: string) => switching('Upgrade: h2c', ...accepting(accept).slice(1)),
  'no Connection': (_: string, accept: string) => switching('Upgrade: websocket', `Sec-WebSocket-Accept: ${accept}`),
  'a subprotocol that was not offered': (_: string, accept: string) =>
    switching(...accepting(accept), 'Sec-WebSocket-Protocol: stray'),
  'HTTP/1.0': (_: string, accept: string) => switching(...accepting(accept)).replace('HTTP/1.1', 'HTTP/1.0'),
  'no HTTP': () => 'SSH-2.0-OpenSSH_9.2p1\r\n\r\n',
  'a field without a name': (_: string, accept: string) => switching(...accepting(accept), ': x'),
};
const INVALID = 'the server gave no valid answer';
const UNREACHED = 'the server could not be reached, or broke off';
const SLOW = 'the server did not answer in time';
const slug = (name: string) => `/bad/${name.replaceAll(/[^a-z0-9]+/gi, '-')}`;

let rest: RestServer;
let scripted: Scripted;
let gateway: Gateway;

beforeAll(async () => {
  rest = await startRest();
  scripted = await startScripted({
    '/silent': () => null,
    ...Object.fromEntries(Object.entries(BAD_ACCEPTS).map(([name, script]) => [slug(name), script])),
  });
  const closed = await closedPort();
  const echo = { mode: 'terminate', handler: 'echo', origins: 'any' } as const;
  const splice = { mode: 'splice', origins: 'any', timeouts: { handshake: '1500ms' } } as const;
  gateway = await startGateway({
    listeners: bothListeners({ max_head: '8KiB', timeouts: { head: '1s' } }),
    upstreams: {
      rest: { servers: [`http://127.0.0.1:${rest.port}`] },
      scripted: { servers: [`ws://127.0.0.1:${scripted.port}`] },
      closed: { servers: [`ws://127.0.0.1:${closed}`] },
    },
    routes: [
      { name: 'ws', match: { path: '/ws' }, websocket: { ...echo, origins: [ORIGIN] } },
      {
        name: 'strict',
        match: { path: '/strict' },
        websocket: { ...echo, origins: [ORIGIN], missing_origin: 'reject' },
      },
      { name: 'both', match: { path: '/both' }, websocket: { ...echo, versions: [8, 13] } },
      { name: 'kept', match: { path: '/kept' }, allow: ['192.0.2.0/24'], websocket: echo, http: { upstream: 'rest' } },
      { name: 'sub', match: { path: '/sub' }, websocket: { ...echo, subprotocols: ['chat.v2', 'chat.v1'] } },
      { name: 'one', match: { path: '/one' }, websocket: { ...echo, limits: { connections_per_ip: 1 } } },
      { name: 'full', match: { path: '/full' }, websocket: { ...echo, limits: { connections: 1 } } },
      { name: 'scripted', match: { path: '/bad/*' }, websocket: { ...splice, upstream: 'scripted' } },
      { name: 'silent', match: { path: '/silent' }, websocket: { ...splice, upstream: 'scripted' } },
      { name: 'closed', match: { path: '/closed' }, websocket: { ...splice, upstream: 'closed' } },
      { name: 'dead', match: { path: '/dead/*' }, http: { upstream: 'closed' } },
      { name: 'slow', match: { path: '/silent' }, http: { upstream: 'scripted', timeouts: { head: '300ms' } } },
      { name: 'api', match: { path: '/seen' }, http: { upstream: 'rest' } },
    ],
  });
});

afterAll(async () => {
  await gateway?.stop('SIGKILL');
  scripted?.close();
  rest?.close();
});

interface Expected {
  readonly status: string;
  readonly reason: string;
  readonly detail: string;
  /** The reason's own fields. */
  readonly fields?: readonly string[];
  /** Connection; default close. */
  readonly connection?: string;
}

const ID = /"request_id":"[A-Za-z0-9._-]{8,128}"/;
const DATE = /\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/;

/** The whole response by the bytes; `bytes` is what came, and the id in it is kept for the length. */
function expectBytes(
  bytes: Buffer,
  { status, reason, detail, fields = [], connection = 'close' }: Expected,
  protocol: Protocol = '1.1',
): void {
  const of2 = protocol === '2';
  const came = bytes.toString('latin1');
  // HTTP/2 has no such fields (RFC 9113 §8.2.2); what reads it as HTTP/1.1 makes one up.
  const text = of2 ? came.replace('\r\nConnection: close', '') : came;
  const id = ID.exec(text)?.[0];
  const date = DATE.exec(text)?.[0].trim() ?? '(no Date)';
  const [code, ...title] = status.split(' ');
  const about = `"type":"about:blank","title":"${title.join(' ')}","status":${code}`;
  const body = `{${about},"reason":"${reason}","detail":"${detail}"${id === undefined ? '' : `,${id}`}}\n`;
  const end = `Connection: ${connection}`;
  const head = [
    `HTTP/1.1 ${status}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${body.length}`,
    'Cache-Control: no-store',
    ...(of2 ? fields.filter((line) => !line.startsWith('Upgrade:')) : fields),
    `X-Gateway-Reason: ${reason}`,
    // On a socket that node has let go of the gateway writes both; else node adds what is missing behind ours.
    ...(of2 ? [date] : text.indexOf(date) < text.indexOf('\r\nConnection:') ? [date, end] : [end, date]),
  ];
  expect(text).toBe(`${head.join('\r\n')}\r\n\r\n${body}`);
}

const malformed = (detail: string): Expected => ({ status: '400 Bad Request', reason: 'malformed', detail });
const ask = (request: string) => exchange(gateway.port, request);

it('a valid handshake is accepted, by exact bytes', async () => {
  const connection = await connectRaw(gateway.port);
  connection.write(handshake({ Origin: ORIGIN }));
  const text = (await connection.until('\r\n\r\n')).toString('latin1');
  expect(text).toBe(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`,
  );
  connection.reset();
});

it.each([
  [
    'field names and tokens in any case',
    handshake({ Upgrade: null, uPGRADE: 'WebSocket', Connection: 'keep-alive, UPGRADE' }),
  ],
  ['lists over several lines', handshake({ Upgrade: ['foo', 'websocket'], Connection: ['keep-alive', 'Upgrade'] })],
  ['a key with space around it', handshake({ 'Sec-WebSocket-Key': ` \t${KEY}\t ` })],
  ['a tab before a token', handshake({ Connection: '\tUpgrade' })],
  ['an absolute target', handshake({}, 'GET http://gateway.test/ws HTTP/1.1')],
  ['Content-Length: 0', handshake({ 'Content-Length': '0' })],
  ['the allowed Origin in upper case, with its port', handshake({ Origin: 'HTTPS://APP.EXAMPLE.COM:443' })],
])('%s: accepted', async (_, request) => {
  const connection = await connectRaw(gateway.port);
  connection.write(request);
  expect((await connection.until('\r\n\r\n')).toString('latin1')).toMatch(/^HTTP\/1\.1 101 /);
  connection.reset();
});

describe('a handshake that is none', () => {
  it.each(['POST', 'PUT', 'OPTIONS', 'DELETE', 'PATCH'])('%s: 405', async (method) => {
    expectBytes(await ask(handshake({}, `${method} /ws HTTP/1.1`)), {
      status: '405 Method Not Allowed',
      reason: 'method',
      detail: 'the method is not allowed here',
      fields: ['Allow: GET'],
    });
  });

  it('HEAD: 405, which ends behind its head (RFC 9110 §9.3.2)', async () => {
    const answerTo = async (method: string) =>
      (await ask(handshake({}, `${method} /ws HTTP/1.1`))).toString('latin1').replace(DATE, '\r\n');
    const [head] = (await answerTo('POST')).split('\r\n\r\n');
    expect(await answerTo('HEAD')).toBe(`${head}\r\n\r\n`);
  });

  it.each([
    ['HTTP/1.0', handshake({}, 'GET /ws HTTP/1.0'), 'a handshake is HTTP/1.1'],
    ['no Host', handshake({ Host: null }), 'Host is missing'],
    ['two Hosts', handshake({ Host: ['a', 'a'] }), 'there is more than one Host'],
    ['an empty Host', handshake({ Host: '' }), 'Host is not valid'],
    ['a Host with userinfo', handshake({ Host: 'a@b' }), 'Host is not valid'],
    ['a body', `${handshake({ 'Content-Length': '5' })}hello`, 'a handshake has no body'],
    ['a chunked body', `${handshake({ 'Transfer-Encoding': 'chunked' })}0\r\n\r\n`, 'a handshake has no body'],
  ])('%s: 400', async (_, request, detail) => {
    expectBytes(await ask(request), malformed(detail));
  });

  it.each([
    ['missing', null],
    ['repeated', [KEY, KEY]],
    ['empty', ''],
    ['of 15 bytes', Buffer.alloc(15).toString('base64')],
    ['of 17 bytes', Buffer.alloc(17).toString('base64')],
    ['not base64', 'dGhlIHNhbXBsZSBub25j*Q=='],
    ['without its padding', KEY.slice(0, -2)],
  ])('key %s: 400', async (_, key) => {
    expectBytes(await ask(handshake({ 'Sec-WebSocket-Key': key })), {
      status: '400 Bad Request',
      reason: 'key',
      detail: 'Sec-WebSocket-Key is not 16 octets in base64',
    });
  });
});

describe.each(PROTOCOLS)('by HTTP/%s', (protocol) => {
  const ask = (request: string) => exchange(targetOf(gateway, protocol), request);
  const expectAnswer = async (request: string, expected: Expected) =>
    expectBytes(await ask(request), expected, protocol);

  describe('a handshake that is none', () => {
    it.each([
      ['two Origins', handshake({ Origin: [ORIGIN, ORIGIN] }), 'there is more than one Origin'],
      [
        'a subprotocol that is no token',
        handshake({ 'Sec-WebSocket-Protocol': 'a b' }),
        'element 1 of Sec-WebSocket-Protocol holds the octet 0x20, which no token may',
      ],
      [
        'a subprotocol twice',
        handshake({ 'Sec-WebSocket-Protocol': ['a', 'a'] }),
        'Sec-WebSocket-Protocol names one subprotocol twice, again as element 2',
      ],
      ['a path above the root', handshake({}, 'GET /../ws HTTP/1.1'), 'the path climbs above the root'],
      ['a bad escape', handshake({}, 'GET /ws%zz HTTP/1.1'), 'the path holds a \\"%\\" that starts no escape'],
      ['a NUL', handshake({}, 'GET /ws%00 HTTP/1.1'), 'the path holds a NUL'],
      ['a backslash', handshake({}, 'GET /\\ws HTTP/1.1'), 'the path holds a backslash'],
    ])('%s: 400', async (_, request, detail) => {
      await expectAnswer(request, malformed(detail));
    });

    it.each([
      ['missing', null],
      ['repeated', ['13', '13']],
      ['empty', ''],
      ['013', '013'],
      ['+13', '+13'],
      ['13.0', '13.0'],
      ['0x0D', '0x0D'],
      ['a list', '13, 8'],
    ])('version %s: 400', async (_, version) => {
      const request = handshake({ 'Sec-WebSocket-Version': version });
      await expectAnswer(request, {
        ...malformed('Sec-WebSocket-Version must be there once, as a number: 13'),
        fields: ['Sec-WebSocket-Version: 13'],
      });
    });
  });

  describe('version', () => {
    it.each([
      ['/ws', '12', '13'],
      ['/ws', '8', '13'],
      ['/ws', '0', '13'],
      ['/both', '7', '13, 8'],
    ])('%s, version %s: 426 that names %s', async (path, version, spoken) => {
      await expectAnswer(handshake({ 'Sec-WebSocket-Version': version }, `GET ${path} HTTP/1.1`), {
        status: '426 Upgrade Required',
        reason: 'version',
        detail: 'this WebSocket version is not supported',
        fields: ['Upgrade: websocket', `Sec-WebSocket-Version: ${spoken}`],
        connection: 'Upgrade, close',
      });
    });
  });

  describe('address', () => {
    const refusal = { status: '403 Forbidden', reason: 'address', detail: 'this address may not connect here' };
    it('a handshake of a client that is not in allow: 403', async () =>
      expectAnswer(handshake({}, 'GET /kept HTTP/1.1'), refusal));
    it('a plain request: 403', async () =>
      expectAnswer('GET /kept HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n', refusal));
  });

  describe('origin', () => {
    it.each([
      ['another host', { Origin: 'https://evil.example.com' }],
      ['another scheme', { Origin: 'http://app.example.com' }],
      ['another port', { Origin: `${ORIGIN}:8443` }],
      ['a suffix', { Origin: `${ORIGIN}.evil.test` }],
      ['a prefix', { Origin: 'https://evilapp.example.com' }],
      ['userinfo', { Origin: 'https://app.example.com@evil.test' }],
      ['two trailing dots', { Origin: `${ORIGIN}..` }],
      ['a path', { Origin: `${ORIGIN}/` }],
      ['a list', { Origin: `${ORIGIN}, https://evil.test` }],
      ['null', { Origin: 'null' }],
      ['empty', { Origin: '' }],
    ])('%s: 403', async (_, changes) => {
      await expectAnswer(handshake(changes), {
        status: '403 Forbidden',
        reason: 'origin',
        detail: 'this Origin may not connect here',
      });
    });

    it('missing where it must be there: 403', async () => {
      await expectAnswer(handshake({}, 'GET /strict HTTP/1.1'), {
        status: '403 Forbidden',
        reason: 'origin',
        detail: 'Origin is missing',
      });
    });
  });

  describe('routes', () => {
    it('a handshake that no route takes, also where a plain one would: 404', async () => {
      for (const path of ['/nowhere', '/ws/', '/WS', '/seen']) {
        await expectAnswer(handshake({}, `GET ${path} HTTP/1.1`), {
          status: '404 Not Found',
          reason: 'no_route',
          detail: 'no route takes a WebSocket here',
        });
      }
    });

    it('a plain request that no route takes: 404', async () => {
      await expectAnswer('GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', {
        status: '404 Not Found',
        reason: 'no_route',
        detail: 'no route takes this request',
      });
    });

    it('a plain request where only a websocket route fits: 426', async () => {
      await expectAnswer('GET /ws HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', {
        status: '426 Upgrade Required',
        reason: 'upgrade_required',
        detail: 'this resource accepts only WebSocket connections',
        fields: ['Upgrade: websocket'],
        connection: 'Upgrade, close',
      });
    });

    it('none of the offered subprotocols, or no offer: 400', async () => {
      for (const offer of ['chat.v3', 'CHAT.V2', null]) {
        await expectAnswer(handshake({ 'Sec-WebSocket-Protocol': offer }, 'GET /sub HTTP/1.1'), {
          status: '400 Bad Request',
          reason: 'subprotocol',
          detail: 'none of the offered subprotocols is supported',
        });
      }
    });
  });

  describe('limits', () => {
    it.each([
      ['connections_per_ip', '/one', '429 Too Many Requests', 'client_limit', 'this client has too many sessions'],
      ['connections', '/full', '503 Service Unavailable', 'limit', 'no capacity for another connection'],
    ])('%s: refused while it is full, taken again after', async (_, path, status, reason, detail) => {
      const request = handshake({}, `GET ${path} HTTP/1.1`);
      const ended = () =>
        gateway
          .logs()
          .filter((line) => line['event'] === 'session_closed' && line['route'] === path.slice(1))
          .filter((line) => line['protocol'] === protocol);
      const closed = (count: number) => expect.poll(() => ended().length, { interval: 5 }).toBe(count);
      const first = await connectRaw(targetOf(gateway, protocol));
      first.write(request);
      await first.until('\r\n\r\n');
      await expectAnswer(request, { status, reason, detail, fields: ['Retry-After: 5'] });
      first.reset();
      await closed(1);
      const next = await connectRaw(targetOf(gateway, protocol));
      next.write(request);
      expect((await next.until('\r\n\r\n')).toString('latin1')).toMatch(/^HTTP\/1\.1 101 /);
      next.reset();
      await closed(2);
    });
  });

  describe('backends', () => {
    const refused = { status: '502 Bad Gateway', reason: 'backend_refused', detail: UNREACHED };
    const late = {
      status: '504 Gateway Timeout',
      reason: 'backend_timeout',
      detail: SLOW,
    };
    const plain = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

    it('refused: 502', async () => {
      await expectAnswer(handshake({}, 'GET /closed HTTP/1.1'), refused);
      await expectAnswer(plain('/dead/x'), refused);
    });

    it('too slow: 504', async () => {
      await expectAnswer(handshake({}, 'GET /silent HTTP/1.1'), late);
      await expectAnswer(plain('/silent'), late);
    });

    it.each(Object.keys(BAD_ACCEPTS))('a 101 with %s: 502', async (name) => {
      await expectAnswer(handshake({ 'Sec-WebSocket-Protocol': 'chat' }, `GET ${slug(name)} HTTP/1.1`), {
        status: '502 Bad Gateway',
        reason: 'bad_accept',
        detail: INVALID,
      });
    });
  });
});

describe('any other Upgrade is dropped, and the request goes on as plain HTTP', () => {
  const field = (seen: Seen, name: string) =>
    seen.rawHeaders.filter((_, i) => i % 2 === 1 && seen.rawHeaders[i - 1]!.toLowerCase() === name);

  it.each([
    ['h2c', 'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA'],
    ['a protocol nobody knows', 'Upgrade: foo/2\r\nConnection: Upgrade'],
    ['websocket that Connection does not name', 'Upgrade: websocket\r\nConnection: keep-alive'],
    ['TLS', 'Upgrade: TLS/1.0\r\nConnection: upgrade'],
  ])('%s', async (_, lines) => {
    const connection = await connectRaw(gateway.port);
    connection.write(`POST /seen HTTP/1.1\r\nHost: a\r\n${lines}\r\nContent-Length: 5\r\n\r\nhello`);
    const bytes = await connection.until((received) => received.includes('"sha256"'));
    const answer = readAnswer(bytes);
    expect(answer.statusLine).toBe('HTTP/1.1 200 OK');
    const seen = JSON.parse(answer.body) as Seen;
    expect(seen).toMatchObject({ method: 'POST', target: '/seen', length: 5 });
    expect([field(seen, 'upgrade'), field(seen, 'http2-settings')]).toEqual([[], []]);
    connection.reset();
  });
});

describe('heads that are no HTTP', () => {
  it.each([
    [
      'Content-Length with Transfer-Encoding',
      'POST /seen HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    ],
    ['two lengths', 'POST /seen HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n'],
    ['a space before the colon', 'GET /seen HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n'],
    ['an empty field name', 'GET /seen HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n'],
    ['a folded line', 'GET /seen HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n'],
    ['HTTP/2.0', 'GET /seen HTTP/2.0\r\nHost: a\r\n\r\n'],
    ['HTTP/0.9', 'GET /seen\r\n\r\n'],
    ['TLS to a plain port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['no Host', 'GET /seen HTTP/1.1\r\nX-A: b\r\n\r\n'],
    ['two Hosts', 'GET /seen HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
  ])('%s: 400, and the connection is closed', async (_, request) => {
    const before = rest.count();
    const bytes = await ask(request);
    const { detail } = JSON.parse(readAnswer(bytes).body) as { detail: string };
    expect(detail.length).toBeGreaterThan(10);
    expectBytes(bytes, malformed(detail));
    expect(rest.count()).toBe(before);
  });

  it.each([
    ['too large', `GET /seen HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(9000)}\r\n\r\n`],
    ['of too many fields', `GET /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${'X-A: b\r\n'.repeat(250)}\r\n`],
    ['of too many fields, a handshake', handshake({ 'X-A': Array.from({ length: 250 }, () => 'b') })],
  ])('%s: 431', async (_, request) => {
    const bytes = await ask(request);
    const { detail } = JSON.parse(readAnswer(bytes).body) as { detail: string };
    expectBytes(bytes, { status: '431 Request Header Fields Too Large', reason: 'head_too_large', detail });
  });

  it('not whole in time: 408', async () => {
    const bytes = await ask('GET /seen HTTP/1.1\r\nHost: a\r\nX-Dri');
    expectBytes(bytes, {
      status: '408 Request Timeout',
      reason: 'head_timeout',
      detail: 'the request head did not arrive in time',
    });
  });
});

describe('draining', () => {
  it('handshakes on open connections get 503, plain requests their answer and Connection: close', async () => {
    const draining = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      upstreams: { rest: { servers: [`http://127.0.0.1:${rest.port}`] } },
      routes: [
        { name: 'ws', match: { path: '/ws' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
        { name: 'api', match: { path: '/seen' }, http: { upstream: 'rest' } },
      ],
      drain: { grace: '20s', spread: '20s' },
    });
    try {
      const session = await connectRaw(draining.port);
      session.write(handshake());
      await session.until('\r\n\r\n');
      // Half a head: a connection that is busy, which the closing of the listeners leaves open.
      const [late, plain] = await Promise.all([connectRaw(draining.port), connectRaw(draining.port)]);
      const request = handshake();
      late.write(request.slice(0, 40));
      plain.write('GET /seen HTTP/1.1\r\n');
      // What was let in before this one has been accepted.
      await exchange(draining.port, 'GET /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      expect((await draining.admin('/readyz')).status).toBe(200);
      draining.signal('SIGTERM');
      await draining.log({ event: 'drain', phase: 'listeners_closed' });
      expect((await draining.admin('/readyz')).status).toBe(503);
      expect((await draining.admin('/healthz')).status).toBe(200);
      late.write(request.slice(40));
      expectBytes((await late.closed()).bytes, {
        status: '503 Service Unavailable',
        reason: 'draining',
        detail: 'the gateway is shutting down',
        fields: ['Retry-After: 5'],
      });
      plain.write('Host: a\r\n\r\n');
      const answer = readAnswer((await plain.closed()).bytes);
      expect(answer.statusLine).toBe('HTTP/1.1 200 OK');
      expect(answer.fields.filter(([name]) => name.toLowerCase() === 'connection')).toEqual([['Connection', 'close']]);
      await expect(connectRaw(draining.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      late.socket.destroy();
      plain.socket.destroy();
      session.reset();
      expect(await draining.exited).toBe(0);
    } finally {
      await draining.stop('SIGKILL');
    }
  });
});
