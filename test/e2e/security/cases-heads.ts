// Heads that are none, or that two readers could take apart differently: lines, names, versions, methods, hosts, fields
// that speak for somebody else (RFC 9112 §2, §3, §5).
import type { Case, Outcome } from './attack.ts';
import { HOST, LAST, refused, SMUGGLED, through } from './cases-framing.ts';

const LAST_ONLY = 'GET /public/last';
const get = (fields: string): string => `GET /public/a HTTP/1.1\r\n${HOST}\r\n${fields}\r\n\r\n${LAST}`;
const field = (name: string, fields: string, want: Outcome = refused()): Case => ({ name, bytes: get(fields), want });
const start = (name: string, line: string, want: Outcome = refused()): Case => ({
  name,
  bytes: `${line}\r\n${HOST}\r\n\r\n${LAST}`,
  want,
});
const seen = (...watched: readonly string[]): Outcome =>
  through(`GET /public/a ${watched[0]}`, `${LAST_ONLY} ${watched[1]}`);

export const LINES: readonly Case[] = [
  field('obs-fold', 'X: y\r\n z'),
  field('obs-fold with a tab', 'X: y\r\n\tz'),
  {
    name: 'obs-fold in the first field',
    bytes: `GET /public/a HTTP/1.1\r\n X: y\r\n${HOST}\r\n\r\n${LAST}`,
    want: refused(),
  },
  { name: 'bare LF for every line end', bytes: get('X: y').replaceAll('\r\n', '\n'), want: refused() },
  { name: 'bare LF behind the start line', bytes: `GET /public/a HTTP/1.1\n${HOST}\r\n\r\n${LAST}`, want: refused() },
  field('bare LF between fields', 'X: y\nZ: w'),
  {
    name: 'bare LF before the end of the head',
    bytes: `GET /public/a HTTP/1.1\r\n${HOST}\r\n\n${LAST}`,
    want: refused(),
  },
  field('bare CR in a value', 'X: y\rz'),
  field('bare CR in a name', 'X\rY: z'),
  { name: 'bare CR for every line end', bytes: get('X: y').replaceAll('\r\n', '\r'), want: refused() },
  field('whitespace before the colon', 'X : y'),
  field('a tab before the colon', 'X\t: y'),
  field('NUL in a value', 'X: y\0z'),
  field('NUL in a name', 'X\0: y'),
  start('NUL in the target', 'GET /public/a\0b HTTP/1.1'),
  field('an empty field name', ': y'),
  field('an empty field name before framing', ': y\r\nContent-Length: 5'),
  field('a line without a colon', 'Content-Length'),
  field('a name with a space', 'X Y: z'),
  field('a name in quotes', '"X": y'),
  field('a name beyond ASCII', 'X\xe9: y'),
  field('a control character in a value', 'X: y\x01z'),
  field('a DEL in a value', 'X: y\x7fz'),
  field('octets beyond ASCII in a value', 'X: y\xe9z', through('GET /public/a', LAST_ONLY)),
  {
    name: 'an empty line before the request',
    bytes: `\r\n\r\n${get('X: y')}`,
    want: refused(),
    byNode: through('GET /public/a', LAST_ONLY),
  },
  field('a head of 300 fields', Array.from({ length: 300 }, (_, i) => `X-${i}: y`).join('\r\n'), refused(431)),
  field('a head of 70 KiB', `X: ${'y'.repeat(70 * 1024)}`, refused(431)),
  field('__proto__ as a name', '__proto__: y\r\nconstructor: z', through('GET /public/a', LAST_ONLY)),
];

export const STARTS: readonly Case[] = [
  { name: 'HTTP/0.9', bytes: `GET /public/a\r\n\r\n`, want: refused() },
  { name: 'HTTP/0.9 by its number', bytes: `GET /public/a HTTP/0.9\r\n${HOST}\r\n\r\n${LAST}`, want: refused() },
  start('HTTP/1.2', 'GET /public/a HTTP/1.2'),
  start('HTTP/2.0 as text', 'GET /public/a HTTP/2.0'),
  start('HTTP/1.10', 'GET /public/a HTTP/1.10'),
  start('HTTP/1', 'GET /public/a HTTP/1'),
  start('http/1.1 in lower case', 'GET /public/a http/1.1'),
  {
    ...start('two spaces in the start line', 'GET  /public/a HTTP/1.1'),
    byNode: through('GET /public/a', LAST_ONLY),
  },
  start('a tab in the start line', 'GET\t/public/a HTTP/1.1'),
  start('a space in the target', 'GET /public/a /b HTTP/1.1'),
  start('a space before the method', ' GET /public/a HTTP/1.1'),
  start('a space behind the version', 'GET /public/a HTTP/1.1 '),
  {
    ...start('a method in lower case', 'get /public/a HTTP/1.1', through('get /public/a', LAST_ONLY)),
    // http-proxy makes it upper case.
    or: [through('GET /public/a', LAST_ONLY)],
    byNode: refused(501),
  },
  {
    ...start('a method of its own', 'SMUGGLE /public/a HTTP/1.1', through('SMUGGLE /public/a', LAST_ONLY)),
    byNode: refused(501),
  },
  start('TRACE', 'TRACE /public/a HTTP/1.1', { answers: [405, 200], reached: [LAST_ONLY] }),
  { name: 'the preface of HTTP/2', bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', want: refused() },
];

const hosts = (name: string, line: string, want: Outcome = refused()): Case => ({
  name,
  bytes: `GET /public/a HTTP/1.1\r\n${line}\r\n\r\n${LAST}`,
  want,
  watch: ['host'],
});
const asHost = (host: string): Outcome => seen(`{host: ${host}}`, '{host: gateway.test}');

export const HOSTS: readonly Case[] = [
  hosts('no Host', 'X: y'),
  hosts('two Hosts', `${HOST}\r\nHost: evil.test`),
  hosts('two Hosts, the same', `${HOST}\r\n${HOST}`),
  hosts('Host with userinfo', 'Host: gateway.test@evil.test'),
  hosts('Host with a word for a port', 'Host: gateway.test:evil'),
  hosts('Host with a port too large', 'Host: gateway.test:99999'),
  hosts('Host with a negative port', 'Host: gateway.test:-80'),
  hosts('Host with two ports', 'Host: gateway.test:80:81'),
  hosts('Host empty', 'Host:'),
  hosts('Host as a list', 'Host: gateway.test, evil.test'),
  hosts('Host with a path', 'Host: gateway.test/evil'),
  hosts('Host with a query', 'Host: gateway.test?evil'),
  hosts('Host with a fragment', 'Host: gateway.test#evil'),
  hosts('Host with a backslash', 'Host: gateway.test\\evil'),
  hosts('Host as a URL', 'Host: http://gateway.test'),
  hosts('Host with a space within', 'Host: gateway.test evil.test'),
  hosts('Host with a zone', 'Host: [fe80::1%25eth0]'),
  hosts('Host with an unclosed bracket', 'Host: [::1'),
  hosts('Host beyond ASCII', 'Host: g\xc3\xa4teway.test'),
  hosts('Host escaped', 'Host: gateway%2etest'),
  hosts('Host with a space before the colon', 'Host : gateway.test'),
  hosts('Host folded', 'Host: gateway.test\r\n .evil.test'),
  hosts('Host with a trailing dot', 'Host: gateway.test.', asHost('gateway.test.')),
  hosts('Host in upper case', 'HOST: GATEWAY.TEST', asHost('GATEWAY.TEST')),
  hosts('Host under an alias', `${HOST}\r\nH_OST: evil.test\r\nX-Host: evil.test`, asHost('gateway.test')),
  hosts('Host named in Connection', `${HOST}\r\nConnection: Host`),
  {
    name: 'Host against an absolute-form target',
    bytes: `GET http://other.test/public/a HTTP/1.1\r\n${HOST}\r\n\r\n${LAST}`,
    want: asHost('other.test'),
    watch: ['host'],
  },
  {
    name: 'an absolute-form target with userinfo',
    bytes: `GET http://gateway.test@evil.test/public/a HTTP/1.1\r\n${HOST}\r\n\r\n${LAST}`,
    want: refused(),
    watch: ['host'],
  },
];

const claims = (name: string, watched: string, fields: string, shown: readonly [string, string]): Case => ({
  name,
  bytes: get(fields),
  want: seen(`{${watched}: ${shown[0]}}`, `{${watched}: ${shown[1]}}`),
  watch: [watched],
});

export const CLAIMS: readonly Case[] = [
  claims('X-Forwarded-For from nobody we trust', 'x-forwarded-for', 'X-Forwarded-For: 6.6.6.6', [
    '127.0.0.1',
    '127.0.0.1',
  ]),
  claims('X_Forwarded_For', 'x_forwarded_for', 'X_Forwarded_For: 6.6.6.6', ['none', 'none']),
  claims('X-Forwarded_For', 'x-forwarded_for', 'X-Forwarded_For: 6.6.6.6', ['none', 'none']),
  claims('X_Real_IP', 'x_real_ip', 'X_Real_IP: 6.6.6.6', ['none', 'none']),
  claims('Forwarded from nobody we trust', 'forwarded', 'Forwarded: for=6.6.6.6', ['none', 'none']),
  claims('Connection: close, X-Forwarded-For', 'x-forwarded-for', 'Connection: keep-alive, X-Forwarded-For', [
    '127.0.0.1',
    '127.0.0.1',
  ]),
  claims('Connection: X-Real-IP, X-Forwarded-Proto', 'x-forwarded-proto', 'Connection: X-Forwarded-Proto', [
    'http',
    'http',
  ]),
  claims('Connection names a field of the client', 'x-secret', 'Connection: X-Secret\r\nX-Secret: 1', ['none', 'none']),
  claims('Keep-Alive, TE, Proxy-Connection', 'proxy-connection', 'Proxy-Connection: keep-alive\r\nTE: trailers', [
    'none',
    'none',
  ]),
  field('Connection: Host, Cookie', 'Connection: Host, Cookie\r\nCookie: a=b'),
  field('Connection: Cookie', 'Connection: Cookie\r\nCookie: a=b'),
  field('Connection: Authorization', 'Connection: Authorization\r\nAuthorization: Basic YTpi'),
  field('Connection: Origin', 'Connection: Origin\r\nOrigin: https://evil.test'),
  {
    name: 'a request behind one that closes',
    bytes: `GET /public/a HTTP/1.1\r\n${HOST}\r\nConnection: close\r\n\r\n${SMUGGLED}`,
    want: through('GET /public/a'),
  },
];
