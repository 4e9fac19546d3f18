// Origins by tuple, and every way known to trick a comparison of text.
import { describe, expect, it } from 'vitest';
import {
  isUnusualText,
  type OriginRule,
  originAllowed,
  parseOrigin,
  parseOriginPattern,
} from '../../../src/handshake/origin.ts';
import { parseAuthority } from '../../../src/http/target.ts';

function listed(...texts: string[]): OriginRule {
  const patterns = texts.map((text) => parseOriginPattern(text)!);
  expect(patterns).not.toContain(null);
  return { kind: 'listed', patterns };
}
const authority = parseAuthority('app.example.com');

describe('an origin as a tuple (RFC 6454)', () => {
  it.each([
    ['https://app.example.com', { scheme: 'https', host: 'app.example.com', port: 443 }],
    ['https://App.example.com.', { scheme: 'https', host: 'app.example.com', port: 443 }],
    ['HTTP://App.Example.COM', { scheme: 'http', host: 'app.example.com', port: 80 }],
    ['wss://a', { scheme: 'wss', host: 'a', port: 443 }],
    ['ws://a:81', { scheme: 'ws', host: 'a', port: 81 }],
    ['https://[::1]:8443', { scheme: 'https', host: '[::1]', port: 8443 }],
    ['chrome-extension://abc', { scheme: 'chrome-extension', host: 'abc', port: null }],
    ['app://abc:5', { scheme: 'app', host: 'abc', port: 5 }],
    ['http://127.0.0.1', { scheme: 'http', host: '127.0.0.1', port: 80 }],
    ['http://a.1b', { scheme: 'http', host: 'a.1b', port: 80 }],
  ])('%s', (text, tuple) => expect(parseOrigin(text)).toEqual(tuple));
  // Browsers write an address in one way only, and read these as another host, or as none.
  it.each([
    'http://127.1',
    'http://0x7f.0.0.1',
    'http://127.0.0.1.',
    'http://1.2.3.256',
    'http://[0:0::1]',
    'http://[1]',
    'http://a.1',
    'http://a..b',
    'http://a..',
    'http://.',
  ])('%s is none', (text) => expect(parseOrigin(text)).toBeNull());
});

describe('a list of exact origins', () => {
  const rule = listed('https://app.example.com', 'http://localhost:8080', 'https://[2001:db8::1]');
  const allowed = (origin: string) => originAllowed(rule, origin, authority);
  it.each([
    'https://app.example.com',
    'https://app.example.com:443',
    'HTTPS://APP.EXAMPLE.COM',
    'http://localhost:8080',
    'https://[2001:DB8::1]',
    'https://app.example.com.',
  ])('%s is in it', (origin) => expect(allowed(origin)).toBe(true));
  it.each([
    ['another scheme', 'http://app.example.com'],
    ['another scheme on the port of the first', 'http://app.example.com:443'],
    ['wss for https', 'wss://app.example.com'],
    ['another port', 'https://app.example.com:8443'],
    ['port 0', 'https://app.example.com:0'],
    ['a port beyond all', 'https://app.example.com:65979'],
    ['an empty port', 'https://app.example.com:'],
    ['no port where one is listed', 'http://localhost'],
    ['a suffix', 'https://app.example.com.evil.example'],
    ['a suffix without a dot', 'https://app.example.comevil'],
    ['a prefix', 'https://evilapp.example.com'],
    ['a subdomain', 'https://a.app.example.com'],
    ['a parent', 'https://example.com'],
    ['userinfo', 'https://app.example.com@evil.example'],
    ['userinfo with a password', 'https://app.example.com:443@evil.example'],
    ['userinfo before it', 'https://user@app.example.com'],
    ['two trailing dots', 'https://app.example.com..'],
    ['a trailing slash', 'https://app.example.com/'],
    ['a path', 'https://app.example.com/ws'],
    ['a query', 'https://app.example.com?https://evil.example'],
    ['a fragment', 'https://app.example.com#evil'],
    ['a backslash', 'https://app.example.com\\.evil.example'],
    ['an escaped dot', 'https://app%2eexample.com'],
    ['an escaped letter', 'https://%61pp.example.com'],
    ['an escaped at sign', 'https://app.example.com%40evil.example'],
    ['an escaped NUL', 'https://app.example.com%00.evil.example'],
    ['a NUL', 'https://app.example.com\0'],
    ['a line end', 'https://app.example.com\n'],
    ['another line', 'https://evil.example\nhttps://app.example.com'],
    ['a space', 'https://app.example.com .evil.example'],
    ['two origins', 'https://evil.example https://app.example.com'],
    ['two origins with a comma', 'https://app.example.com, https://evil.example'],
    ['Cyrillic a, as octets', 'https://\u00d0\u00b0pp.example.com'],
    ['Cyrillic a', 'https://\u0430pp.example.com'],
    ['its punycode', 'https://xn--pp-6kc.example.com'],
    ['a full stop of another script', 'https://app\u3002example\u3002com'],
    ['a long s for s, folded', 'http\u017f://app.example.com'],
    ['a Kelvin sign', 'http://\u212aocalhost:8080'],
    ['an underscore for a dot', 'https://app_example.com'],
    ['no scheme', 'app.example.com'],
    ['an empty scheme', '://app.example.com'],
    ['a relative scheme', '//app.example.com'],
    ['one slash', 'https:/app.example.com'],
    ['three slashes', 'https:///app.example.com'],
    ['no slashes', 'https:app.example.com'],
    ['a scheme in a scheme', 'blob:https://app.example.com'],
    ['a script', 'javascript://app.example.com'],
    ['null', 'null'],
    ['Null', 'Null'],
    ['empty', ''],
    ['a wildcard', 'https://*.example.com'],
    ['a star', '*'],
    ['an unclosed bracket', 'https://[2001:db8::1'],
  ])('%s is not', (_, origin) => expect(allowed(origin)).toBe(false));
});

describe('a wildcard is exactly one label', () => {
  const rule = listed('https://*.example.com', 'http://*.dev.example:8080');
  const allowed = (origin: string) => originAllowed(rule, origin, authority);
  it.each([
    'https://app.example.com',
    'https://APP.example.com:443',
    'https://a-b_c.example.com',
    'https://app.example.com.',
    'http://x.dev.example:8080',
  ])('%s fits', (origin) => expect(allowed(origin)).toBe(true));
  it.each([
    ['the apex', 'https://example.com'],
    ['two labels', 'https://a.b.example.com'],
    ['an empty label', 'https://.example.com'],
    ['an empty second label', 'https://a..example.com'],
    ['another scheme', 'http://app.example.com'],
    ['another port', 'https://app.example.com:444'],
    ['no port where one is listed', 'http://x.dev.example'],
    ['a name that ends so without a dot', 'https://evilexample.com'],
    ['a longer suffix', 'https://app.example.com.evil.example'],
    ['two trailing dots', 'https://app.example.com..'],
    ['userinfo', 'https://app.example.com@evil.example'],
    ['userinfo whose host is a label', 'https://evil.example#.example.com'],
    ['a slash in the label', 'https://evil.example/.example.com'],
    ['an escaped dot', 'https://a%2e.example.com'],
    ['octets beyond ASCII in the label', 'https://\u00c3\u00a9.example.com'],
    ['the wildcard itself', 'https://*.example.com'],
    ['null', 'null'],
  ])('%s does not fit', (_, origin) => expect(allowed(origin)).toBe(false));
});

describe('null', () => {
  it('fits where it is listed', () => expect(originAllowed(listed('null'), 'null', authority)).toBe(true));
  it.each(['NULL', ' null', 'https://null', ''])('%j does not fit it', (origin) =>
    expect(originAllowed(listed('null'), origin, authority)).toBe(false),
  );
  it('is not of the same host, even of a host of that name', () =>
    expect(originAllowed({ kind: 'same-host' }, 'null', parseAuthority('null'))).toBe(false));
});

describe('any', () => {
  it.each(['https://evil.example', 'null', '', 'junk'])('lets %j in', (origin) =>
    expect(originAllowed({ kind: 'any' }, origin, null)).toBe(true),
  );
});

describe('same-host', () => {
  const allowed = (origin: string, host: string) => originAllowed({ kind: 'same-host' }, origin, parseAuthority(host));
  it.each([
    ['https://app.example.com', 'app.example.com'],
    ['http://app.example.com', 'app.example.com'],
    ['https://APP.example.com', 'app.EXAMPLE.com'],
    ['https://app.example.com', 'app.example.com:443'],
    ['http://app.example.com', 'app.example.com:80'],
    ['https://app.example.com:443', 'app.example.com'],
    ['http://app.example.com:8080', 'app.example.com:8080'],
    ['https://[::1]:8443', '[::1]:8443'],
    ['capacitor://localhost', 'localhost'],
    ['https://app.example.com.', 'app.example.com'],
    ['https://app.example.com', 'app.example.com.'],
    ['https://app.example.com.', 'app.example.com.:443'],
    ['https://[2001:db8::1]', '[2001:DB8:0::1]'],
  ])('%s to Host %s', (origin, host) => expect(allowed(origin, host)).toBe(true));
  it.each([
    ['https://evil.example', 'app.example.com'],
    ['https://app.example.com:8443', 'app.example.com'],
    ['https://app.example.com', 'app.example.com:8443'],
    ['https://app.example.com', 'app.example.com:80'],
    ['http://app.example.com', 'app.example.com:443'],
    ['http://app.example.com:8080', 'app.example.com:8081'],
    ['capacitor://localhost', 'localhost:80'],
    ['capacitor://localhost:80', 'localhost'],
    ['https://app.example.com..', 'app.example.com'],
    ['https://a.app.example.com', 'app.example.com'],
    ['https://app.example.com@evil.example', 'app.example.com'],
    ['https://app.example.com/', 'app.example.com'],
    ['app.example.com', 'app.example.com'],
    ['', 'app.example.com'],
  ])('not %j to Host %s', (origin, host) => expect(allowed(origin, host)).toBe(false));
  it('nothing where there is no host', () =>
    expect(originAllowed({ kind: 'same-host' }, 'https://a', null)).toBe(false));
});

describe('what can be listed', () => {
  it.each([
    'https://app.example.com',
    'https://*.example.com:8443',
    'http://[::1]',
    'null',
    'app://local',
    'file://',
    'file:///android_asset/index.html',
    'app://',
    'https://app.example.com/path',
  ])('%s', (text) => expect(parseOriginPattern(text)).not.toBeNull());
  it.each([
    '',
    '*',
    'any',
    'same-host',
    'a b',
    'file://\n',
    'https://*',
    'https://*.',
    'https://*example.com',
    'https://a.*.example.com',
    'https://*.*.example.com',
    'https://app.*',
    '*://app.example.com',
    'https://*.example.com:99999',
    'https://b\u00fccher.example',
    'https://app.example.com,https://b.example',
  ])('not %j', (text) => expect(parseOriginPattern(text)).toBeNull());
});

describe('a text that is no origin of the web', () => {
  const rule = listed('file://', 'app://', 'coap+tcp:device', 'https://app.example.com/path');
  const allowed = (origin: string) => originAllowed(rule, origin, authority);
  it.each(['file://', 'app://', 'coap+tcp:device', 'https://app.example.com/path'])(
    '%s is admitted as it is',
    (origin) => expect(allowed(origin)).toBe(true),
  );
  it.each([
    'FILE://',
    'file:///',
    'file:',
    'file://x',
    'app://a',
    'https://app.example.com',
    'https://app.example.com/path/',
    'null',
    '',
  ])('%j is another one', (origin) => expect(allowed(origin)).toBe(false));
  it('is never the same host', () =>
    expect(originAllowed({ kind: 'same-host' }, 'file://', parseAuthority('file'))).toBe(false));
  it.each(['https://app.example.com/', 'http://', 'WSS://a/b', 'app.example.com', 'Null'])(
    '%s is most likely a mistake',
    (text) => expect(isUnusualText(text)).toBe(true),
  );
  it.each(['null', 'file://', 'app://x/y', 'capacitor:'])('%s is none', (text) =>
    expect(isUnusualText(text)).toBe(false),
  );
});
