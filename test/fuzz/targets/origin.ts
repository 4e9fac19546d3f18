// Origins. The input is an Origin, an entry of `origins` and a Host, a line each. Who passes is, for the URL standard that
// browsers follow, exactly the origin that the entry or the Host names.
import { originAllowed, parseOrigin, parseOriginPattern } from '../../../src/handshake/origin.ts';
import { comparedHost, parseAuthority } from '../../../src/http/target.ts';
import { promise, type Target } from '../target.ts';

const SPECIAL = /^(https?|wss?):$/;
const PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'ws:': '80', 'https:': '443', 'wss:': '443' };

/** As a browser reads it; null where it can't, or where there is more to it than an origin. */
function readUrl(text: string): { scheme: string; host: string; port: string } | null {
  if (!URL.canParse(text)) return null;
  const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text);
  if (username + password + search + hash !== '' || !['', '/'].includes(pathname)) return null;
  // The standard lowers the host only of schemes that it knows; RFC 6454 §4 does of all. A final dot counts for nothing.
  return {
    scheme: protocol,
    host: readHost(hostname),
    port: port === '' ? (PORTS[protocol] ?? '') : port,
  };
}

/** Two writings of one IPv6 address are one: node's has dots in the last 32 bits where the standard's has none. */
function readHost(hostname: string): string {
  if (hostname.startsWith('[')) return comparedHost(hostname) ?? hostname;
  return hostname.toLowerCase().replace(/\.$/, '');
}

function checkTuple(origin: string): string {
  const tuple = parseOrigin(origin);
  if (tuple === null) return 'no tuple';
  promise(!/[\s@/?#\\%,]/.test(origin.slice(origin.indexOf('://') + 3)), 'a tuple was read out of more than an origin');
  const url = readUrl(origin);
  // A host that the standard can't read is nobody's: no page can come from there.
  if (url === null || !SPECIAL.test(url.scheme)) return `a tuple only here`;
  const same = url.scheme === `${tuple.scheme}:` && url.host === tuple.host && url.port === String(tuple.port);
  promise(same, `the URL standard reads another origin: ${JSON.stringify([url, tuple])}`);
  return 'a tuple';
}

function checkListed(origin: string, entry: string): string {
  const pattern = parseOriginPattern(entry);
  if (pattern === null) return 'no entry';
  if (!originAllowed({ kind: 'listed', patterns: [pattern] }, origin, null)) return `${pattern.kind} refuses`;
  if (pattern.kind === 'text') promise(origin === entry, 'another text passes');
  else {
    const wildcard = pattern.kind === 'wildcard';
    const [url, named] = [readUrl(origin), readUrl(wildcard ? entry.replace('*.', 'label.') : entry)];
    if (url === null || named === null) {
      promise(
        wildcard || origin.toLowerCase() === entry.toLowerCase() || parseOrigin(origin)?.host === pattern.origin.host,
        'an origin that nobody can read passes',
      );
      return `${pattern.kind} passes an unreadable one`;
    }
    promise(url.scheme === named.scheme && url.port === named.port, 'another scheme or port passes');
    const host = wildcard ? url.host.replace(/^[^.]+\./, 'label.') : url.host;
    promise(host === named.host, `another host passes: ${JSON.stringify([url, named])}`);
  }
  return `${pattern.kind} passes`;
}

function checkSameHost(origin: string, host: string): string {
  const authority = parseAuthority(host);
  if (!originAllowed({ kind: 'same-host' }, origin, authority)) return authority === null ? 'no host' : 'another host';
  promise(authority !== null, 'an origin passes without a Host');
  const url = readUrl(origin);
  if (url === null) return 'the same unreadable host';
  const named = readUrl(`${url.scheme}//${host}`);
  promise(
    named !== null && named.host === url.host && named.port === url.port,
    `another host is taken for the same: ${JSON.stringify([url, named])}`,
  );
  return 'the same host';
}

export const origin: Target = {
  name: 'origin',
  words: [
    'https://',
    'http://',
    'wss://',
    'chrome-extension://',
    'null',
    '*.',
    'example.com',
    'app.',
    '.',
    ':443',
    ':80',
    ':',
    '@',
    '/',
    '\\',
    '?',
    '#',
    '%2e',
    ' ',
    '\t',
    ',',
    '[::1]',
    '[',
    ']',
    '127.0.0.1',
    '0x7f',
    '127.1',
    'xn--',
    '\x80',
    '\0',
    '\n',
  ],
  longest: 512,
  open: () => ({
    close() {},
    check(input) {
      const [from = '', entry = '', host = ''] = input.toString('latin1').split('\n');
      return [checkTuple(from), checkListed(from, entry), checkSameHost(from, host)].join(', ');
    },
  }),
};
