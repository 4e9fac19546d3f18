// What comes of TLS, HTTP/2, tokens, certificates, an authority, Redis, operators and other proxies' configs takes linear time to
// read, as parsers.test.ts has it for HTTP and the config.

import { problemError } from '../../../src/acme/acme-error.ts';
import { certificateId } from '../../../src/acme/certificate-id.ts';
import { readRetryAfter } from '../../../src/acme/client.ts';
import { presentsPassword, presentsToken } from '../../../src/admin/bearer.ts';
import { parseObject } from '../../../src/admin/body.ts';
import { readOnce } from '../../../src/admin/read/paging.ts';
import { readConditions } from '../../../src/admin/session-filter.ts';
import { importCaddy } from '../../../src/app/import/caddy.ts';
import { importNginx } from '../../../src/app/import/nginx.ts';
import { readKeyText } from '../../../src/auth/key-text.ts';
import { parseHash } from '../../../src/auth/password.ts';
import { readDocument } from '../../../src/config/yaml/document.ts';
import { nestsDeeper } from '../../../src/http/claims.ts';
import { answersConnectionAuth, authenticatesConnection } from '../../../src/http/connection-auth.ts';
import { lowerNames } from '../../../src/http/fields.ts';
import { foreignStart } from '../../../src/http/foreign.ts';
import { readTraceParent } from '../../../src/http/trace.ts';
import { http2Answer } from '../../../src/listen/http2/answer-fields.ts';
import { FrameCheck } from '../../../src/listen/http2/frame-check.ts';
import { readHttp2Head } from '../../../src/listen/http2/head.ts';
import { parseTicketKeys } from '../../../src/net/ticket-keys.ts';
import { readResponse } from '../../../src/runtime/tls/ocsp.ts';
import { parseChain, parseKey } from '../../../src/runtime/tls/pem.ts';
import { readHosts, readSearch } from '../../../src/upstream/system-names.ts';
import { readMembers } from '../../../src/websocket/broker/redis-wire.ts';
import { Fragments } from '../../../src/websocket/connection/fragments.ts';
import { JsonRoomProtocol } from '../../../src/websocket/rooms/rooms-json.ts';
import { textRoomProtocol } from '../../../src/websocket/rooms/rooms-text.ts';
import { type Parser, sweep } from '../../support/linear.ts';

const section = (...fields: string[]) => ({ fields, names: lowerNames(fields) });
/** What it gives, or that it threw: either is an end. */
const tried = (read: () => unknown): unknown => {
  try {
    return read();
  } catch (error) {
    return error;
  }
};
/** Its words as names and values. */
function pairs(text: string): string[] {
  const words = text.split(' ').filter((word) => word !== '');
  return words.length % 2 === 0 ? words : words.slice(1);
}

const http2 = (...raw: string[]) => readHttp2Head({ raw, ended: false, key: () => 'key' });
const PSEUDO = [':method', 'GET', ':scheme', 'https', ':path', '/'];

const member = {
  ...{ room: 'r', user: 'u', may: { publish: true, subscribe: true }, read: () => ({}), users: () => [] },
  connection: { send: () => {}, close: () => {} },
  joined: { position: '0-0', users: () => [], publish: () => ({ id: '1-0', at: 1 }) },
  mailbox: { hold: () => true, release: () => {} },
  requests: { begin: (_: number, run: () => unknown) => run(), enqueue: (_: number, run: () => unknown) => run() },
} as never;
const roomJson = new JsonRoomProtocol(member, false);
const roomText = textRoomProtocol(member);

const PARSERS: readonly Parser[] = [
  // HTTP/2
  {
    name: 'the pseudo-fields of HTTP/2',
    pieces: ['/', '%2e', ' ', ':', '?', 'a'],
    read: (text) => http2(':method', text, ':scheme', 'https', ':authority', text, ':path', text, ':protocol', text),
  },
  {
    name: 'a field of HTTP/2',
    pieces: [' ', '\t', ',', 'a'],
    read: (text) => http2(...PSEUDO, 'x', text, 'host', text),
  },
  {
    name: 'many fields of HTTP/2',
    pieces: ['cookie a ', 'x b ', 'host c '],
    read: (text) => http2(...PSEUDO, ...pairs(text)),
  },
  {
    name: 'an answer over HTTP/2',
    pieces: ['set-cookie a ', 'vary b ', 'age 1 ', 'etag c '],
    read: (text) => http2Answer(200, pairs(text)),
  },
  {
    name: 'frames of HTTP/2 in single octets',
    pieces: ['\0\0\0\x04\0\0\0\0\0', '\0\0\x01\0\0\0\0\0\x01x', '\0\0\0\x4d\0\0\0\0\0', '\xff'],
    read(text) {
      const check = new FrameCheck();
      for (const octet of Buffer.from(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${text}`, 'latin1'))
        if (check.next(Buffer.of(octet), 0) === 0 || check.fault !== null) return;
    },
  },
  // Fields beside those of parsers.test.ts
  {
    name: 'traceparent',
    pieces: ['-', '0', 'a', '00-'],
    read: (text) => readTraceParent(section('traceparent', text)),
  },
  {
    name: 'Negotiate',
    pieces: [' ', '\t', 'NTLM', 'Negotiate'],
    read: (text) => authenticatesConnection(['Authorization', text]),
  },
  {
    name: 'a challenge of Negotiate',
    pieces: [',', ' ', '\t', 'NTLM', 'Negotiate'],
    read: (text) =>
      answersConnectionAuth({ version: '1.1', status: 401, phrase: '', ...section('WWW-Authenticate', text) }),
  },
  {
    name: 'the start of what is no HTTP',
    pieces: ['\r', '\n', 'SSH-', '\0'],
    read: (text) => foreignStart(Buffer.from(text)),
  },
  // Operators
  {
    name: 'the token of the admin API',
    pieces: [' ', '=', 'Bearer ', 'Basic ', 'a'],
    read: (text) => [
      presentsToken(text, 't'),
      presentsToken(`Bearer ${text}`, 't'),
      presentsPassword(`Basic ${text}`, 't'),
    ],
  },
  { name: 'a body of the admin API', pieces: ['{', '[', ',', '"', ':', '1'], read: parseObject },
  {
    name: 'a query of the admin API',
    pieces: ['&', '=', '%', '+', 'a'],
    read: (text) => readOnce(new URLSearchParams(text)),
  },
  {
    name: 'a criterion of the admin API',
    pieces: ['.', ':', '/', '0'],
    read: (text) => ['address', 'user'].map((name) => readConditions({ [name]: text }, [])),
  },
  // Files
  {
    name: 'a file of ticket keys',
    pieces: ['\n', '=', 'A', ' '],
    read: (text) => parseTicketKeys(Buffer.from(text)),
  },
  {
    name: 'a response of OCSP',
    pieces: ['\x30\x80', '\x30\x82', '\x0a\x01\0', '\xa0\x02', '\0'],
    read: (text) => readResponse(Buffer.from(text, 'latin1')),
  },
  {
    name: 'the extensions of a certificate',
    pieces: ['\x30\x02', '\x30\0', '\xa3\x02', '\x02\x01\0', '\0'],
    read: (text) => certificateId({ raw: Buffer.from(text, 'latin1') }),
  },
  {
    name: 'a file of certificates',
    pieces: ['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----', '\n', '-', 'A'],
    read: (text) => tried(() => parseChain(text, 'f', [])),
  },
  {
    name: 'a file of a private key',
    pieces: ['-----BEGIN ', 'PRIVATE KEY-----', '\n', ' ', 'A'],
    read: (text) => tried(() => parseKey(text, 'f', [])),
  },
  { name: 'a key of tokens', pieces: ['{', '[', ',', '"', '-'], read: (text) => readKeyText(`{${text}`, ['RS256']) },
  {
    name: 'a hash of a password',
    pieces: ['$', '=', ',', '0', 'A'],
    read: (text) => [parseHash(text), parseHash(`$scrypt$${text}`)],
  },
  { name: 'a file of hosts', pieces: ['\n', ' ', '\t', '#', 'a', '1.1.1.1'], read: (text) => readHosts(text, 'a') },
  { name: 'a file of resolvers', pieces: ['\n', ' ', 'search', 'options', 'ndots:'], read: readSearch },
  {
    name: 'a document of YAML',
    pieces: ['[', '\n'],
    read: (text) => tried(() => readDocument(text, 'f', {})),
  },
  {
    name: 'a config of nginx',
    pieces: ['{', '"', '\n', ';', 'server ', 'server { location / { return 200; } } '],
    read: (text) => tried(() => importNginx(text, 'f')),
  },
  {
    name: 'a config of Caddy',
    pieces: ['{', '"', '\n', 'import ', 'a.test {\n respond 200\n}\n'],
    read: (text) => tried(() => importCaddy(text, 'f')),
  },
  // Others
  {
    name: 'a problem of an authority',
    pieces: ['\r', '\n', 'a', ': '],
    read: (text) => problemError({ type: text, detail: text, subproblems: [text] }, text),
  },
  { name: 'Retry-After', pieces: ['0', ' ', ',', 'Mon, ', ' GMT'], read: (text) => readRetryAfter(text, 0) },
  { name: 'members of a room in Redis', pieces: ['[', '"', ',', '\\', '{'], read: (text) => readMembers(['m', text]) },
  {
    name: 'claims that are nested',
    pieces: ['[', '{"a":', '1,'],
    read: (text) =>
      tried(() => nestsDeeper(JSON.parse(text.includes('[') ? `${text}${']'.repeat(text.length)}` : `[${text}1]`), 64)),
  },
  {
    name: 'a message to a room in JSON',
    pieces: ['{', '[', '"', '\\', ',', '{"type":"publish","data":'],
    read: (text) => roomJson.message('text', Buffer.from(text)),
  },
  {
    name: 'a message to a room in text',
    pieces: ['\r', '\n', '\u2028', 'a'],
    read: (text) => roomText.message('text', Buffer.from(text)),
  },
  {
    name: 'fragments of a message in single octets',
    pieces: ['\x01\x80\0\0\0\0', '\0\x80\0\0\0\0', '\0\x81\0\0\0\0a', '\x89\x80\0\0\0\0'],
    read(text) {
      const fragments = new Fragments();
      for (const octet of Buffer.from(text, 'latin1')) fragments.read(Buffer.of(octet));
    },
  },
];

sweep(PARSERS);
