// What the gateway reads of peers, of operators and of Redis, each by its own function, takes linear time for 30 KB built
// of what that function separates by. A single expression is expressions.test.ts; here stands how expressions and loops are
// put together. Whatever reads text of a peer belongs into the list.
import { describe, expect, it } from 'vitest';
import { readUsers } from '../../../src/auth/users.ts';
import { isHostName, isResolver, parseRange } from '../../../src/config/address.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { parseServerUrl } from '../../../src/config/server-url.ts';
import { substitute } from '../../../src/config/yaml/env.ts';
import { parseTemplate } from '../../../src/config/yaml/template.ts';
import { parseDuration, parseSize } from '../../../src/config/yaml/units.ts';
import { checkUpgradeResponse } from '../../../src/handshake/accept.ts';
import { readHandshake, wantsWebSocket } from '../../../src/handshake/handshake.ts';
import { originAllowed, parseOriginPattern } from '../../../src/handshake/origin.ts';
import { answerFraming, followBody, parseAnswerHead } from '../../../src/http/answer.ts';
import { AnswerReader } from '../../../src/http/answer-reader.ts';
import { claimHas, formatClaim } from '../../../src/http/claims.ts';
import { cookieOf } from '../../../src/http/cookies.ts';
import { lowerNames } from '../../../src/http/fields.ts';
import { attribute, compileTrustedProxies, forwardingFields } from '../../../src/http/forwarding/forwarded.ts';
import { type RequestHead, readRequest } from '../../../src/http/head.ts';
import { requestFields, responseFields } from '../../../src/http/policy/policy.ts';
import { rewriteTarget, showCookie, showLocation } from '../../../src/http/policy/rewrite.ts';
import { compileTemplate } from '../../../src/http/policy/template.ts';
import { readPreamble } from '../../../src/http/proxy-protocol.ts';
import { RequestReader } from '../../../src/http/request-reader.ts';
import { loggedPath, parseAuthority, parseTarget } from '../../../src/http/target.ts';
import { type TokenSource, takeToken } from '../../../src/http/token.ts';
import { passingTrailers } from '../../../src/http/trailers.ts';
import { headWithoutUpgrade } from '../../../src/listen/node/downgrade.ts';
import { ClientHelloReader } from '../../../src/net/client-hello.ts';
import { prefersOpenMetrics } from '../../../src/observe/exposition.ts';
import { decide } from '../../../src/routing/decide.ts';
import { parseExplainRequest } from '../../../src/routing/explain/explain-request.ts';
import { compileHost, compilePath, matchPath } from '../../../src/routing/pattern.ts';
import { compileTable } from '../../../src/routing/table.ts';
import { compileKey } from '../../../src/upstream/balance/key.ts';
import { readEvent } from '../../../src/websocket/broker/redis-wire.ts';
import { RoomNames } from '../../../src/websocket/rooms/room-names.ts';
import { readConnectAnswer, readMessageAnswer } from '../../../src/websocket/webhook/cloud-event.ts';
import { handshakeHead, http, plainHead, requestOf, splice, tableOf } from '../../support/heads.ts';
import { faultOf, growthOf, type Parser, sweep } from '../../support/linear.ts';

/** A head with one field of the text, or one field a line of it. */
const withField = (name: string, value: string): RequestHead =>
  plainHead({ peer: '10.0.0.1', fields: { [name]: value } });
const ofHandshake = (name: string) => (value: string) =>
  readHandshake(handshakeHead({ fields: { [name]: value } }), [13, 8]);
const section = (...fields: string[]) => ({ fields, names: lowerNames(fields) });

const X_FORWARDED = compileTrustedProxies(['10.0.0.0/8', '::/0']);
const FORWARDED = compileTrustedProxies(['10.0.0.0/8', '::/0'], 'forwarded');
const attributed = (name: string, trusted: typeof FORWARDED) => (value: string) => {
  const { head, client } = attribute(withField(name, value), trusted, () => 'id');
  return forwardingFields(head, client, 'a', 'both');
};
const facts = (request: ReturnType<typeof requestOf>) => ({
  request,
  client: { address: '192.0.2.1', viaTrusted: false, id: 'id', connection: 'id' },
  route: 'r',
  params: {},
  claims: null,
  granted: [],
});
const token = (from: TokenSource, name: string) => (value: string) =>
  takeToken({ from: [from], keep: false }, requestOf(withField(name, value)));

const table = tableOf(
  { name: 'rooms', match: { host: '*.example.com', path: ['/{a}/{b}/*', '/x'] }, ...splice({ origins: 'any' }) },
  { name: 'query', match: { query: { a: 'b' } }, ...http },
  { name: 'rest', ...http },
);
const LISTED = ['https://app.example.com', 'https://*.example.com', 'file://'].map((text) => parseOriginPattern(text)!);
const pattern = compilePath('/{a}/{b}/*') as Exclude<ReturnType<typeof compilePath>, string>;
const VIEW = { shown: '/a', sent: '/b', own: ['rest:80'], origin: 'https://a' };
const NAMES = new RoomNames({ room: '{query.room}', names: { charset: 'unicode', length: 64 } } as never);
const reply = (body: string) =>
  ({ status: 200, fields: ['Content-Type', 'application/json'], body: Buffer.from(body) }) as never;
const yaml = (value: string) =>
  `listeners: [{ port: 1 }]\nroutes:\n  - name: a\n    respond: { body: ${JSON.stringify(value)} }\n`;

const PARSERS: readonly Parser[] = [
  { name: 'a request target', pieces: ['/', '.', '..', '%2e', '%2F', ';'], read: (text) => parseTarget(`/${text}`) },
  {
    name: 'an absolute-form target',
    pieces: ['/', ':', '@', '?', '#', 'http:'],
    read: (text) => parseTarget(`http://${text}`),
  },
  { name: 'the path for the log', pieces: ['/', ':', '?', '#', '://'], read: loggedPath },
  { name: 'Host', pieces: ['.', ':', '[', ']', 'a', '0'], read: parseAuthority },
  { name: 'an IPv6 Host', pieces: [':', '0', '.', '%', 'f'], read: (text) => parseAuthority(`[${text}]`) },
  {
    name: 'the decision of a path',
    pieces: ['/', '%2F', '.', 'x', '{a}'],
    read: (text) => decide(table, plainHead({ target: `/${text}`, fields: { Host: 'a.example.com' } }), ''),
  },
  {
    name: 'the decision of a query',
    pieces: ['&', '=', '%', '+', 'a'],
    read: (text) => decide(table, plainHead({ target: `/?${text}` }), ''),
  },
  { name: 'the match of a path', pieces: ['/', 'a', '%2F'], read: (text) => matchPath(pattern, `/${text}`) },
  {
    name: 'a rewritten path',
    pieces: ['/', '%2F', '.', 'a'],
    read: (text) => {
      const target = parseTarget(`/${text}`);
      if ('fault' in target) return target;
      const rule = { prefix: '', path: null, encodedSlashes: 'decode' } as const;
      return rewriteTarget(rule, { segments: 2, fits: () => true }, target);
    },
  },
  {
    name: 'Connection',
    pieces: [',', ' ', '\t', 'a', 'upgrade'],
    read: (text) => readRequest(withField('Connection', text)),
  },
  {
    name: 'fields named in Connection',
    pieces: [',', ' ', 'a', 'x-a'],
    read: (text) => requestFields(facts(requestOf(withField('Connection', text))), new Set()),
  },
  {
    name: 'fields named in Connection of an answer',
    pieces: [',', ' ', 'a', 'x-a'],
    read: (text) => responseFields(['Connection', text]),
  },
  {
    name: 'Upgrade',
    pieces: [',', ' ', '\t', '/', 'websocket'],
    read: (text) => wantsWebSocket(section('Upgrade', text, 'Connection', text)),
  },
  {
    name: 'TE',
    pieces: [',', ' ', ';', 'q=', 'trailers'],
    read: (text) => requestFields(facts(requestOf(withField('TE', text))), new Set()),
  },
  {
    name: 'Content-Length',
    pieces: [',', ' ', '0', '1', '+'],
    read: (text) => readRequest(withField('Content-Length', text)),
  },
  {
    name: 'Transfer-Encoding',
    pieces: [',', ' ', ';', 'chunked'],
    read: (text) => readRequest(withField('Transfer-Encoding', text)),
  },
  {
    name: 'Expect',
    pieces: [',', ' ', '-', '100-continue'],
    read: (text) => requestFields(facts(requestOf(withField('Expect', text))), new Set()),
  },
  {
    name: 'X-Forwarded-For',
    pieces: [',', ' ', '[', '10.0.0.1'],
    read: attributed('X-Forwarded-For', X_FORWARDED),
  },
  { name: 'X-Forwarded-Proto', pieces: [',', ' ', 'https'], read: attributed('X-Forwarded-Proto', X_FORWARDED) },
  { name: 'X-Forwarded-Host', pieces: [',', ' ', '"', '\\', 'a'], read: attributed('X-Forwarded-Host', X_FORWARDED) },
  { name: 'X-Request-Id', pieces: ['.', '-', ' ', 'a'], read: attributed('X-Request-Id', X_FORWARDED) },
  {
    name: 'Forwarded',
    pieces: [',', ';', ' ', '"', '\\', '=', 'for=10.0.0.1'],
    read: attributed('Forwarded', FORWARDED),
  },
  {
    name: 'a hop of Forwarded',
    pieces: [' ', '\t', ';', '\\', 'x'],
    read: (text) => attributed('Forwarded', FORWARDED)(`for=1.2.3.4;${text}x`),
  },
  {
    name: 'a value of Forwarded',
    pieces: ['\\', '"', '[', ':', 'a'],
    read: (text) => attributed('Forwarded', FORWARDED)(`for="${text}"`),
  },
  {
    name: 'Origin',
    pieces: ['.', ':', '/', '[', 'a', 'https://'],
    read: (text) => originAllowed({ kind: 'listed', patterns: LISTED }, text, null),
  },
  {
    name: 'the host of an Origin',
    pieces: ['.', ':', '0', 'a', '-'],
    read: (text) => originAllowed({ kind: 'same-host' }, `https://${text}`, { host: 'a', port: null }),
  },
  { name: 'Sec-WebSocket-Key', pieces: ['=', 'A', '/', ' '], read: ofHandshake('Sec-WebSocket-Key') },
  { name: 'Sec-WebSocket-Version', pieces: ['0', '1', ',', ' '], read: ofHandshake('Sec-WebSocket-Version') },
  { name: 'Sec-WebSocket-Protocol', pieces: [',', ' ', '\t', 'a', '"'], read: ofHandshake('Sec-WebSocket-Protocol') },
  {
    name: 'Sec-WebSocket-Extensions',
    pieces: [',', ';', '=', '"', '\\', ' '],
    read: ofHandshake('Sec-WebSocket-Extensions'),
  },
  {
    name: 'the subprotocol of a 101',
    pieces: [',', ' ', 'a'],
    read: (text) =>
      checkUpgradeResponse(
        {
          version: '1.1',
          status: 101,
          phrase: '',
          ...section('Upgrade', 'websocket', 'Connection', 'upgrade', 'Sec-WebSocket-Protocol', text),
        },
        { key: 'key', offer: [], extensions: [] },
      ),
  },
  { name: 'a cookie', pieces: [';', '=', ' ', ',', 'a'], read: (text) => cookieOf(section('Cookie', text), 'name') },
  { name: 'a token in a cookie', pieces: [';', '=', ' ', 'a=b'], read: token({ kind: 'cookie', name: 'a' }, 'Cookie') },
  {
    name: 'a token in Authorization',
    pieces: [' ', '\t', '=', '.', 'Bearer '],
    read: token({ kind: 'header' }, 'Authorization'),
  },
  {
    name: 'a token behind Bearer',
    pieces: [' ', '\t', '=', '.', 'a'],
    read: (text) => token({ kind: 'header' }, 'Authorization')(`Bearer ${text}`),
  },
  {
    name: 'a token in a subprotocol',
    pieces: [',', ' ', 'a.', 'b'],
    read: token({ kind: 'subprotocol', prefix: 'a.' }, 'Sec-WebSocket-Protocol'),
  },
  {
    name: 'a token in a query',
    pieces: ['&', '=', '%', 'a=b'],
    read: (text) =>
      takeToken({ from: [{ kind: 'query', name: 'a' }], keep: false }, requestOf(plainHead({ target: `/?${text}` }))),
  },
  {
    name: 'a head that is put back',
    pieces: [',', ' ', 'upgrade', 'x'],
    read: (text) => headWithoutUpgrade(plainHead({ fields: { Connection: text, Upgrade: text } })),
  },
  {
    name: 'the key of a balancer',
    pieces: ['&', '=', '%', 'k'],
    read: (text) =>
      compileKey({ query: 'k' })({ request: requestOf(plainHead({ target: `/?${text}` })), client: '' } as never),
  },
  {
    name: 'a head of an answer',
    pieces: ['\r\n', ':', ' ', 'a: b'],
    read: (text) => parseAnswerHead(`HTTP/1.1 200 OK\r\n${text}`),
  },
  {
    name: 'a status line',
    pieces: [' ', '2', 'HTTP/1.1', '\t'],
    read: (text) => parseAnswerHead(`HTTP/1.1 200 ${text}`),
  },
  {
    name: 'the framing of an answer',
    pieces: [',', ' ', '0', 'chunked'],
    read: (text) =>
      answerFraming({
        version: '1.1',
        status: 200,
        phrase: '',
        ...section('Content-Length', text, 'Transfer-Encoding', text),
      }),
  },
  {
    name: 'the head of a request',
    pieces: ['\r\n', 'X:', ' ', '\t', 'a', '\r'],
    read: (text) => new RequestReader(1e6).take(Buffer.from(`GET / HTTP/1.1\r\n${text}`)),
  },
  {
    name: 'the head of a request, octet by octet',
    pieces: ['\r\n', 'X:', ' ', 'a'],
    read: (text) => {
      const reader = new RequestReader(1e6);
      for (const octet of Buffer.from(`GET / HTTP/1.1\r\nA: ${text}`))
        if (reader.take(Buffer.of(octet)) !== null) return;
    },
  },
  {
    name: 'a body in chunks',
    pieces: ['1\r\na\r\n', ';', ' ', '0', '\r\n'],
    read: (text) => followBody({ kind: 'chunked' }).take(Buffer.from(text)),
  },
  {
    name: 'a body in chunks, byte by byte',
    pieces: ['1\r\na\r\n', ';', '0'],
    read: (text) => {
      const cursor = followBody({ kind: 'chunked' });
      for (const byte of Buffer.from(text)) if (typeof cursor.take(Buffer.of(byte)) !== 'number') return;
    },
  },
  { name: 'trailers', pieces: ['a', 'if-', '_', '-'], read: (text) => passingTrailers([text, text]) },
  { name: 'Location', pieces: ['/', '\\', '\t', '?', ':', '/b'], read: (text) => showLocation(text, VIEW) },
  {
    name: 'a Location of the backend',
    pieces: ['/', '\\', '\t', '.'],
    read: (text) => showLocation(`/b${text}`, VIEW),
  },
  {
    name: 'an absolute Location',
    pieces: ['/', ':', '?', '@', 'a'],
    read: (text) => showLocation(`http://${text}`, VIEW),
  },
  { name: 'Set-Cookie', pieces: [';', '=', ' ', 'Path=/b', 'Domain=.'], read: (text) => showCookie(text, VIEW) },
  {
    name: 'the Domain of a cookie',
    pieces: ['.', ':', ' ', 'rest'],
    read: (text) => showCookie(`a=b; Domain=${text}`, VIEW),
  },
  {
    name: 'a PROXY line',
    pieces: [' ', '.', ':', '\r', 'TCP4'],
    read: (text) => readPreamble(Buffer.from(`PROXY ${text}`)),
  },
  {
    name: 'a PROXY block',
    pieces: ['\x03\x00\x04', '\x04\x00\x00', '\xff'],
    read: (text) => readPreamble(Buffer.from(`\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xf0${text}`, 'latin1')),
  },
  {
    name: 'a ClientHello in single octets',
    pieces: ['\x16\x03\x01\0\x01', '\0\0\0', '\0\x10\0\x03\0\x01\0', '\xff'],
    read: (text) => {
      const reader = new ClientHelloReader();
      // In records of one octet, which a message takes as many of as may come.
      const message = Buffer.from(`\x01\0\x3f\xff\x03\x03${text}`, 'latin1');
      let read: ReturnType<ClientHelloReader['read']> = null;
      for (let i = 0; i < message.length && read === null; i++)
        read = reader.read(Buffer.of(22, 3, 1, 0, 1, message[i] as number));
      return read;
    },
  },
  { name: 'Accept of a scraper', pieces: [',', ';', ' ', 'q=0.1', '/'], read: prefersOpenMetrics },
  {
    name: 'claims',
    pieces: ['.', ' ', ',', 'a'],
    read: (text) => [
      formatClaim(text),
      formatClaim([text]),
      claimHas({ scope: text }, 'scope', 'x'),
      claimHas({}, text, 'x'),
    ],
  },
  {
    name: 'the name of a room',
    pieces: ['.', '-', '\u0301', 'a', '%'],
    read: (text) =>
      NAMES.resolve({
        request: requestOf(plainHead({ target: `/?room=${encodeURIComponent(text)}` })),
        params: {},
        principal: null,
      } as never),
  },
  {
    name: 'an event of Redis',
    pieces: ['[', ']', ',', '"', '{', '\\'],
    read: (text) => {
      try {
        return readEvent(text);
      } catch {
        return null;
      }
    },
  },
  {
    name: "a webhook's answer",
    pieces: ['{', '[', ',', '"', '\\', '1'],
    read: (text) => [readConnectAnswer(reply(text), []), readMessageAnswer(reply(text))],
  },
  { name: 'a file of users', pieces: ['\n', ':', '$', '#', 'a'], read: readUsers },
  { name: 'a duration', pieces: ['0', '.', 'm', 's'], read: parseDuration },
  { name: 'a size', pieces: ['0', '.', 'B', 'KiB'], read: parseSize },
  { name: 'an address range', pieces: [':', '.', '/', '0', '%'], read: parseRange },
  { name: 'a host of the config', pieces: ['.', '-', '_', 'a', '0'], read: isHostName },
  { name: 'a resolver', pieces: ['[', ']', ':', '.', '0'], read: isResolver },
  {
    name: 'the URL of a server',
    pieces: ['/', ':', '@', '.', '[', 'a'],
    read: (text) => parseServerUrl(`http://${text}`),
  },
  { name: 'a pattern of hosts', pieces: ['.', '*', '-', ':', 'a'], read: compileHost },
  { name: 'a pattern of paths', pieces: ['/', '{', '}', '%', '.', 'a'], read: (text) => compilePath(`/${text}`) },
  {
    name: 'a pattern of origins',
    pieces: ['.', '*', ':', '/', 'a'],
    read: (text) => [parseOriginPattern(text), parseOriginPattern(`https://*.${text}`)],
  },
  { name: 'a template of names', pieces: ['{', '}', '.', 'a', '{a}'], read: parseTemplate },
  {
    name: 'a template of fields',
    pieces: ['{', '}', '{{', 'a', '{host}'],
    read: (text) => compileTemplate(text, { params: [], claims: true }),
  },
  { name: '${VAR}', pieces: ['${', '}', '$', ':-', 'A', '${A}'], read: (text) => substitute(text, { A: 'a' }) },
  {
    name: 'a question of explain',
    pieces: ['/', ':', '?', '#', '@'],
    read: (text) => parseExplainRequest(`ws://${text}`, { header: [text], origin: text }),
  },
  {
    name: 'a value of the config',
    pieces: ['\\', '"', ' '],
    read: (text) => parseConfig(yaml(text), { file: 'f', env: {} }),
  },
];

sweep(PARSERS);

it('the head of an answer that comes octet by octet is read in linear time', () => {
  const read = (size: number): void => {
    const reader = new AnswerReader();
    for (const octet of Buffer.from(`HTTP/1.1 200 OK\r\nA: ${'a'.repeat(size)}`)) {
      if (reader.take(Buffer.of(octet)) !== null) throw new Error('that is no head');
    }
  };
  // Four times the octets; what was held was copied at each, once, and that took nine times as long.
  expect(growthOf(read, [15_000, 60_000], 6.5)).toBeLessThan(6.5);
});

const checkConfig = (text: string): number => {
  const { partial, problems } = parseConfig(text, { file: 'f', env: {} });
  return problems.length + (partial === null ? 0 : compileTable(partial).problems.length);
};

describe('a config of many', () => {
  const of =
    (lines: (at: number) => string, before = '') =>
    (size: number) =>
      `listeners: [{ port: 0 }]\nadmin: { port: 0 }\n${before}${Array.from({ length: Math.ceil(size / 60) }, (_, at) => lines(at)).join('')}`;
  it.each([
    ['routes', of((at) => `  - { name: r${at}, match: { path: "/a${at}/*" }, respond: {} }\n`, 'routes:\n')],
    ['hosts', of((at) => `  - { name: r${at}, match: { host: h${at}.b }, respond: {} }\n`, 'routes:\n')],
    [
      'conditions',
      of((at) => `  - { name: r${at}, match: { headers: { a: b, c: d${at} } }, respond: {} }\n`, 'routes:\n'),
    ],
    [
      'routes that are never reached',
      of((at) => `  - { name: r${at}, match: { path: "/a/*" }, respond: {} }\n`, 'routes:\n'),
    ],
    ['unknown keys', of((at) => `  - { name: r${at}, nonsense${at}: 1, respond: {} }\n`, 'routes:\n')],
    [
      'denied addresses',
      of((at) => `    - 10.${at >> 8}.${at & 255}.0/24\n`, 'routes:\n- name: a\n  respond: {}\n  deny:\n'),
    ],
  ])('%s is checked in linear time', { timeout: 120_000 }, (_, make) => {
    expect(faultOf(make, checkConfig)).toBeNull();
  });
});
