import { describe, expect, it } from 'vitest';
import { type Http2Head, readHttp2Head } from '../../../../src/listen/http2/head.ts';

const KEY = 'AAAAAAAAAAAAAAAAAAAAAA==';
const GET = [':method', 'GET', ':scheme', 'https', ':authority', 'a.test', ':path', '/p?q'];
const CONNECT = [
  ':method',
  'CONNECT',
  ':protocol',
  'websocket',
  ':scheme',
  'https',
  ':authority',
  'a.test',
  ':path',
  '/ws',
];

const read = (raw: readonly string[], ended = true) => readHttp2Head({ raw, ended, key: () => KEY });

/** The head as it would be written, or the refusal. */
function shown(raw: readonly string[], ended = true): string {
  const head = read(raw, ended);
  if ('reason' in head) return `${head.status} ${head.reason}: ${head.detail}`;
  const { method, url, rawHeaders } = head.message;
  const fields: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) fields.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  return [`${method} ${url}`, ...fields].join(' | ');
}

type Case = [name: string, raw: readonly string[], ended: boolean, shown: string];

const CASES: Case[] = [
  ['a GET', GET, true, 'GET /p?q | host: a.test'],
  [
    'fields in their order, repeated ones apart',
    [...GET, 'x-a', '1', 'x-b', '2', 'x-a', '3'],
    true,
    'GET /p?q | host: a.test | x-a: 1 | x-b: 2 | x-a: 3',
  ],
  ['a method of its own', [':method', 'LIST', ...GET.slice(2)], true, 'LIST /p?q | host: a.test'],
  [
    'an octet beyond ASCII in the target',
    [...GET.slice(0, -1), '/\xc3\xa9'],
    true,
    '400 malformed: the target holds an octet that must be percent-encoded, such as one beyond ASCII or a blank',
  ],
  ['a method in lower case', [':method', 'get', ...GET.slice(2)], true, 'get /p?q | host: a.test'],
  [
    'every octet of a token',
    [':method', "!#$%&'*+-.^_`|~09", ...GET.slice(2)],
    true,
    "!#$%&'*+-.^_`|~09 /p?q | host: a.test",
  ],
  [
    'a very long method',
    [':method', 'X'.repeat(1000), ...GET.slice(2)],
    true,
    `${'X'.repeat(1000)} /p?q | host: a.test`,
  ],
  ...['', 'G@T', 'GET /evil', 'GET\r\nx: y', 'G\xc9T', 'GET:'].map(
    (method): Case => [
      `a method that is no token: ${JSON.stringify(method)}`,
      [':method', method, ...GET.slice(2)],
      true,
      '400 malformed: the method is no token',
    ],
  ),
  [
    'Host in place of :authority',
    [':method', 'GET', ':scheme', 'https', ':path', '/', 'host', 'b.test'],
    true,
    'GET / | host: b.test',
  ],
  ['Host beside an equal :authority', [...GET, 'host', 'a.test'], true, 'GET /p?q | host: a.test'],
  ['Host that differs', [...GET, 'host', 'b.test'], true, '400 malformed: :authority and Host differ'],
  ['Host that differs in a port', [...GET, 'host', 'a.test:443'], true, '400 malformed: :authority and Host differ'],
  [
    'two Hosts of which one differs',
    [...GET, 'host', 'a.test', 'host', 'b.test'],
    true,
    '400 malformed: :authority and Host differ',
  ],
  ['blanks around a value', [...GET, 'x-a', ' 1\t'], true, 'GET /p?q | host: a.test | x-a: 1'],
  [
    'crumbs of a cookie',
    [...GET, 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2'],
    true,
    'GET /p?q | host: a.test | x: y | cookie: a=1; b=2',
  ],
  ['HTTP2-Settings', [...GET, 'http2-settings', 'AAMAAABk'], true, 'GET /p?q | host: a.test'],
  ['a body of a length', [...GET, 'content-length', '3'], false, 'GET /p?q | host: a.test | content-length: 3'],
  ['a body without a length', GET, false, 'GET /p?q | host: a.test | transfer-encoding: chunked'],
  [
    'another scheme',
    [':method', 'GET', ':scheme', 'ftp', ':authority', 'a', ':path', '/'],
    true,
    '400 malformed: the scheme is not http or https',
  ],
  ['CONNECT', [':method', 'CONNECT', ':authority', 'a.test:22'], false, 'CONNECT a.test:22 | host: a.test:22'],
  [
    'a WebSocket',
    [...CONNECT, 'origin', 'https://a.test', 'sec-websocket-version', '13'],
    false,
    `GET /ws | host: a.test | upgrade: websocket | connection: Upgrade | sec-websocket-key: ${KEY} | origin: https://a.test | sec-websocket-version: 13`,
  ],
  ['a WebSocket that has ended', CONNECT, true, '400 malformed: a WebSocket has no content, and its stream is open'],
  [
    'a WebSocket with a length',
    [...CONNECT, 'content-length', '0'],
    false,
    '400 malformed: a WebSocket has no content, and its stream is open',
  ],
  [
    'a WebSocket with a key',
    [...CONNECT, 'sec-websocket-key', KEY],
    false,
    '400 malformed: HTTP/2 has no Sec-WebSocket-Key',
  ],
  [
    'another protocol',
    [...CONNECT.slice(0, 3), 'connect-udp', ...CONNECT.slice(4)],
    false,
    '501 method: the only :protocol that is spoken is websocket',
  ],
];

describe('the head of an HTTP/2 request', () => {
  it.each(CASES)('%s', (_name, raw, ended, expected) => {
    expect(shown(raw, ended)).toBe(expected);
  });

  it('says what its client takes the connection for', () => {
    const schemeOf = (raw: readonly string[]) => (read(raw, false) as Http2Head).message.http2;
    expect([schemeOf(GET), schemeOf(CONNECT)]).toEqual([{ scheme: 'https' }, { scheme: 'https' }]);
    expect(schemeOf([':method', 'GET', ':scheme', 'http', ':path', '/'])).toEqual({ scheme: 'http' });
    expect(schemeOf([':method', 'CONNECT', ':authority', 'a.test:22'])).toEqual({ scheme: null });
  });

  it('says whether it is a WebSocket', () => {
    expect(read(GET)).toMatchObject({ websocket: false });
    expect(read(CONNECT, false)).toMatchObject({ websocket: true });
  });

  it('takes a value that names the key for no key', () => {
    expect(shown([...CONNECT, 'x', 'sec-websocket-key'], false)).toContain('| x: sec-websocket-key');
  });
});
