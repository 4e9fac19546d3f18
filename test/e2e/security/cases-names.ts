// One reading of a name: the same host, path, origin or method written in other ways. The rules guard `guarded.test`,
// `[2001:db8::1]` and `/public/guarded/*` with 403, and list the origins of `/origin`; whatever is let past them must be
// another name to the backend too (RFC 9110 §4.2.3 and §9.1, RFC 3986 §6.2, RFC 6454 §4).
import { handshake } from '../../support/raw.ts';
import type { Case, Outcome } from './attack.ts';
import type { Script } from './canary.ts';
import { HOST, LAST, refused, through } from './cases-framing.ts';
import { UPGRADE_SCRIPTS } from './cases-upgrades.ts';

const LAST_ONLY = 'GET /public/last';
/** The guard's own answer, which leaves the connection open. */
const guarded: Outcome = { answers: [403, 200], reached: [LAST_ONLY] };
const none: Outcome = { answers: [404, 200], reached: [LAST_ONLY] };

const SHOWN = `${LAST_ONLY} {host: gateway.test}`;
const hostGuarded: Outcome = { answers: [403, 200], reached: [SHOWN] };
const hostAs = (host: string): Outcome => through(`GET /public/a {host: ${host}}`, SHOWN);
const host = (text: string, want: Outcome = hostGuarded): Case => ({
  name: `Host: ${text}`,
  bytes: `GET /public/a HTTP/1.1\r\nHost: ${text}\r\n\r\n${LAST}`,
  want,
  watch: ['host'],
});

export const GUARDED_HOSTS: readonly Case[] = [
  host('guarded.test'),
  host('GUARDED.Test'),
  host('guarded.test.'),
  host('guarded.test..', refused()),
  host('.guarded.test', hostAs('.guarded.test')),
  host('guarded.test:80'),
  host('guarded.test:8080'),
  host('guarded.test:'),
  host('guarded.test.:80'),
  host('GUARDED.TEST.:8080'),
  host('guarded%2etest', refused()),
  host('other.guarded.test', hostAs('other.guarded.test')),
  host('[2001:db8::1]'),
  host('[2001:db8::1]:8080'),
  host('[2001:DB8::1]'),
  host('[2001:db8:0:0:0:0:0:1]'),
  host('[2001:0db8::0001]'),
  host('[2001:db8::0.0.0.1]'),
  host('[2001:db8::1].', refused()),
  host('[2001:db8::1%25lo]', refused()),
  host('2001:db8::1', refused()),
  {
    name: 'http://guarded.test/public/a, Host: gateway.test',
    bytes: `GET http://guarded.test/public/a HTTP/1.1\r\n${HOST}\r\n\r\n${LAST}`,
    want: hostGuarded,
    watch: ['host'],
  },
  {
    name: 'http://GUARDED.test.:8080/public/a, Host: gateway.test',
    bytes: `GET http://GUARDED.test.:8080/public/a HTTP/1.1\r\n${HOST}\r\n\r\n${LAST}`,
    want: hostGuarded,
    watch: ['host'],
  },
];

const path = (text: string, want: Outcome = guarded): Case => ({
  name: text,
  bytes: `GET ${text} HTTP/1.1\r\n${HOST}\r\n\r\n${LAST}`,
  want,
});
const pathAs = (text: string): Case => path(text, through(`GET ${text}`, LAST_ONLY));

export const GUARDED_PATHS: readonly Case[] = [
  path('/public/guarded/x'),
  path('/public/guarded/'),
  pathAs('/public/guarded'),
  path('//public/guarded/x'),
  path('/public//guarded/x'),
  path('/public///guarded/x'),
  path('/public/guarded//x'),
  path('/public/%67uarded/x'),
  path('/%70ublic/guarded/x'),
  path('/public/./guarded/x'),
  path('/public/%2e/guarded/x'),
  path('/public/x/../guarded/x'),
  path('/public/x/%2E%2e/guarded/x'),
  path('/public/x//../guarded/x', refused()),
  path('/public/guarded/./x'),
  path('/public/guarded/../guarded/x'),
  pathAs('/public/guarded/../x'),
  pathAs('/public/guarded%2fx'),
  pathAs('/public/guarded%2Fx'),
  path('/public%2fguarded/x', none),
  path('/public/x%2f../guarded/x', refused()),
  path('/public/x/..%2fguarded/x', refused()),
  path('/public/guarded\\x', refused()),
  pathAs('/public/guarded%5cx'),
  pathAs('/public/guarded;a/x'),
  pathAs('/public/GUARDED/x'),
  pathAs('/public/%2567uarded/x'),
  path('http://gateway.test/public/guarded/x'),
  path('http://gateway.test//public/guarded/x'),
];

/** What the proxies list for `/origin`. */
export const LISTED_ORIGINS = ['https://app.test', 'file://', 'app://local', 'app://local/index'] as const;

const opened: Outcome = { answers: [101], reached: ['GET /origin'] };
const origin = (text: string, want: Outcome = refused(403)): Case => ({
  name: `Origin: ${text}`,
  bytes: handshake({ Origin: text }, 'GET /origin HTTP/1.1'),
  want,
});

export const ORIGINS: readonly Case[] = [
  { name: 'no Origin', bytes: handshake({}, 'GET /origin HTTP/1.1'), want: opened },
  origin('https://app.test', opened),
  origin('HTTPS://App.Test', opened),
  origin('https://app.test.', opened),
  origin('https://app.test..'),
  origin('https://app.test:443', opened),
  origin('https://app.test:8443'),
  origin('https://app.test/'),
  origin('http://app.test'),
  origin('https://app.test.evil.test'),
  origin('file://', opened),
  origin('FILE://'),
  origin('file:///'),
  origin('file://x'),
  origin('app://local', opened),
  origin('APP://Local', opened),
  origin('app://local.', opened),
  origin('app://local:1'),
  origin('app://local/index', opened),
  origin('app://local/INDEX'),
  origin('app://local/index/'),
  origin('null'),
  origin('NULL'),
  { ...origin(''), name: 'an empty Origin' },
  origin('https://evil.test, https://app.test'),
  {
    name: 'two Origins, the first listed',
    bytes: handshake({ Origin: ['https://app.test', 'https://evil.test'] }, 'GET /origin HTTP/1.1'),
    want: refused(),
  },
  {
    name: 'two Origins, the second listed',
    bytes: handshake({ Origin: ['https://evil.test', 'https://app.test'] }, 'GET /origin HTTP/1.1'),
    want: refused(),
  },
];

/** What nginx and HAProxy are told to let through below `/methods/`; Upgate has no rule by method. */
export const LISTED_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

const method = (token: string, want: Outcome): Case => ({
  name: `${token} /methods/a`,
  bytes: `${token} /methods/a HTTP/1.1\r\n${HOST}\r\n\r\n${LAST}`,
  want,
});
/** One that node's parser does not know: it is the backend's to judge. */
const unknown = (token: string): Case => ({
  ...method(token, through(`${token} /methods/a`, LAST_ONLY)),
  // http-proxy makes it upper case.
  or: [through(`${token.toUpperCase()} /methods/a`, LAST_ONLY)],
  byNode: refused(501),
});
const upgrade = (token: string, want: Outcome): Case => ({
  name: `${token} /origin, a handshake`,
  bytes: handshake({ Origin: 'https://app.test' }, `${token} /origin HTTP/1.1`),
  want,
});

export const METHODS: readonly Case[] = [
  method('DELETE', through('DELETE /methods/a', LAST_ONLY)),
  unknown('get'),
  unknown('Get'),
  unknown('GETX'),
  unknown('G'),
  unknown('SMUGGLE'),
  method('PURGE', through('PURGE /methods/a', LAST_ONLY)),
  method('TRACE', { answers: [405, 200], reached: [LAST_ONLY] }),
  { ...method('trace', { answers: [405, 200], reached: [LAST_ONLY] }), byNode: refused(501) },
  method('CONNECT', refused(405)),
  { ...method('connect', { answers: [405, 200], reached: [LAST_ONLY] }), byNode: refused(501) },
  method('G@T', refused()),
  upgrade('HEAD', refused(405)),
  upgrade('POST', refused(405)),
  { ...upgrade('get', refused(405)), byNode: refused(501) },
  upgrade('TRACE', refused(405)),
  upgrade('CONNECT', refused(405)),
  { ...upgrade('SMUGGLE', refused(405)), byNode: refused(501) },
];

export const NAME_SCRIPTS: Readonly<Record<string, Script>> = { '/origin': UPGRADE_SCRIPTS['/ws'] as Script };
