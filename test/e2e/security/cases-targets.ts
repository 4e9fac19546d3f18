// Targets that a router and a backend could take for different resources (RFC 9112 §3.2, RFC 3986 §6): the rules let
// `/public/*` through and nothing else, so whatever reaches the backend must be below `/public/` by every reading.
import type { Case, Outcome } from './attack.ts';
import { HOST, LAST, refused, through } from './cases-framing.ts';

const LAST_ONLY = 'GET /public/last';
const target = (name: string, text: string, want: Outcome): Case => ({
  name,
  bytes: `GET ${text} HTTP/1.1\r\n${HOST}\r\n\r\n${LAST}`,
  want,
});
const none: Outcome = { answers: [404, 200], reached: [LAST_ONLY] };
const as = (text: string): Outcome => through(`GET ${text}`, LAST_ONLY);

export const TARGETS: readonly Case[] = [
  target('/public/../admin', '/public/../admin', none),
  target('/public/%2e%2e/admin', '/public/%2e%2e/admin', none),
  target('/public/.%2E/admin', '/public/.%2E/admin', none),
  target('/public/./../admin', '/public/./../admin', none),
  target('/public/x/../../admin', '/public/x/../../admin', none),
  target('/../public/a above the root', '/../public/a', refused()),
  target('/public/..', '/public/..', none),
  target('/public/../../etc/passwd', '/public/../../etc/passwd', refused()),
  target('//admin', '//admin', none),
  target('/public//../admin', '/public//../admin', refused()),
  target('/public//../../admin', '/public//../../admin', refused()),
  target('/public/..;/admin', '/public/..;/admin', refused()),
  target('/public/..;x=1/admin', '/public/..;x=1/admin', refused()),
  target('/public/;/../admin', '/public/;/../admin', refused()),
  target('/public;/../admin', '/public;/../admin', none),
  target('/public/..%2fadmin', '/public/..%2fadmin', refused()),
  target('/public/..%2Fadmin', '/public/..%2Fadmin', refused()),
  target('/public/%2e%2e%2fadmin', '/public/%2e%2e%2fadmin', refused()),
  target('/public/x%2f..%2f..%2fadmin', '/public/x%2f..%2f..%2fadmin', refused()),
  target('/public/x%2f../../admin', '/public/x%2f../../admin', refused()),
  target('/public/x%2fy/../../admin', '/public/x%2fy/../../admin', refused()),
  target('/public/..%5cadmin', '/public/..%5cadmin', refused()),
  target('/public/..%252fadmin', '/public/..%252fadmin', as('/public/..%252fadmin')),
  target('/public/%252e%252e/admin', '/public/%252e%252e/admin', as('/public/%252e%252e/admin')),
  target('/public%2fa', '/public%2fa', none),
  target('/public\\..\\admin', '/public\\..\\admin', refused()),
  target('/public/..\\admin', '/public/..\\admin', refused()),
  target('/public/a#/../admin', '/public/a#/../admin', refused()),
  target('/public/a%23/b', '/public/a%23/b', as('/public/a%23/b')),
  target('/public/a?/../admin', '/public/a?/../admin', as('/public/a?/../admin')),
  target('/public/a??b=?', '/public/a??b=?', as('/public/a??b=?')),
  target('/public/a%3f/../../admin', '/public/a%3f/../../admin', none),
  target('/public/a%00', '/public/a%00', refused()),
  target('/public/a%', '/public/a%', refused()),
  target('/public/a%zz', '/public/a%zz', refused()),
  target('/public/%0d%0aX:y', '/public/%0d%0aX:y', as('/public/%0d%0aX:y')),
  target('/public/ with raw octets beyond ASCII', '/public/\xc3\xa9', refused()),
  target('/public/ with an overlong dot', '/public/%c0%ae%c0%ae/admin', as('/public/%c0%ae%c0%ae/admin')),
  target('/public/ with a fullwidth dot', '/public/%ef%bc%8e%ef%bc%8e/admin', as('/public/%ef%bc%8e%ef%bc%8e/admin')),
  target('/public/ and 20 KiB of path', `/public/${'a'.repeat(20 * 1024)}`, as(`/public/${'a'.repeat(20 * 1024)}`)),
  target('/public/ and 70 KiB of path', `/public/${'a'.repeat(70 * 1024)}`, refused(431)),
  target('/PUBLIC/a', '/PUBLIC/a', none),
  target('an absolute-form target', 'http://gateway.test/public/a', as('/public/a')),
  target('an absolute-form target of another scheme', 'ftp://gateway.test/public/a', refused()),
  target('an absolute-form target without a path', 'http://gateway.test?/public/a', none),
  target('an absolute-form target that climbs', 'http://gateway.test/public/../admin', none),
  target('an absolute-form target without an authority', 'http:///public/a', refused()),
  target('an authority-form target', 'gateway.test:80', refused()),
  target('a target without a slash', 'public/a', refused()),
  target('the target *', '*', refused()),
  { name: 'CONNECT', bytes: `CONNECT gateway.test:80 HTTP/1.1\r\n${HOST}\r\n\r\n${LAST}`, want: refused(405) },
  { name: 'CONNECT of a path', bytes: `CONNECT /public/a HTTP/1.1\r\n${HOST}\r\n\r\n${LAST}`, want: refused(405) },
];
