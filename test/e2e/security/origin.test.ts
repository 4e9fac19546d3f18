// Origin tricks through the built gateway, for each kind of rule: what a page of another site could send, or whoever
// hopes that the gateway reads it as something else. Refused means that the backend heard nothing.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayFile } from '../../support/gateway.ts';
import { handshake } from '../../support/raw.ts';
import { attack } from './attack.ts';
import type { Script } from './canary.ts';
import { type ProxyUnderTest, startUpgate } from './proxies.ts';

type Rule = 'exact' | 'wildcard' | 'same-host' | 'null' | 'text' | 'draft' | 'required';
const RULES: Readonly<Record<Rule, object>> = {
  exact: { origins: ['https://app.test', 'http://local.test:8080'] },
  wildcard: { origins: ['https://*.app.test'] },
  'same-host': {},
  null: { origins: ['null'] },
  text: { origins: ['file://', 'app://local/index'] },
  draft: { origins: ['https://app.test'], versions: [13, 8] },
  required: { origins: ['https://app.test'], missing_origin: 'reject' },
};

const open: Script = {
  tunnel: true,
  answer: (_, accept) =>
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
};

let proxy: ProxyUnderTest;
beforeAll(async () => {
  const routes = Object.entries(RULES).map(([name, rule]) => ({
    name,
    match: { path: `/rule/${name}` },
    websocket: { mode: 'splice', upstream: 'canary', ...rule },
  })) as unknown as GatewayFile['routes'];
  const scripts = Object.fromEntries(Object.keys(RULES).map((name) => [`/rule/${name}`, open]));
  proxy = await startUpgate(scripts, 'auto', { routes });
});
afterAll(() => proxy.stop());

type Changes = Parameters<typeof handshake>[0];
const ask = (rule: Rule, changes: Changes) =>
  attack(proxy, { bytes: handshake({ Host: 'app.test', ...changes }, `GET /rule/${rule} HTTP/1.1`) });
const opened = (rule: Rule) => ({ answers: [101], reached: [`GET /rule/${rule}`] });
const refused = (status: number) => ({ answers: [status], reached: [] });

/** Origins that no rule for https://app.test or its names lets in. */
const TRICKS: readonly (readonly [name: string, origin: string])[] = [
  ['another site', 'https://evil.test'],
  ['a longer suffix', 'https://app.test.evil.test'],
  ['a longer suffix without a dot', 'https://app.testevil'],
  ['a prefix', 'https://evilapp.test'],
  ['a prefix with a hyphen', 'https://evil-app.test'],
  ['userinfo', 'https://app.test@evil.test'],
  ['userinfo with a password', 'https://app.test:443@evil.test'],
  ['userinfo before the right host', 'https://evil.test@app.test'],
  ['another port', 'https://app.test:8443'],
  ['port 0', 'https://app.test:0'],
  ['an empty port', 'https://app.test:'],
  ['a port out of range', 'https://app.test:65979'],
  ['a port with a sign', 'https://app.test:+443'],
  ['two ports', 'https://app.test:443:443'],
  ['two trailing dots', 'https://app.test..'],
  ['a path', 'https://app.test/'],
  ['a path to another site', 'https://evil.test/https://app.test'],
  ['a query', 'https://evil.test?https://app.test'],
  ['a fragment', 'https://evil.test#https://app.test'],
  ['a backslash', 'https://evil.test\\.app.test'],
  ['an escaped dot', 'https://app%2etest'],
  ['an escaped letter', 'https://%61pp.test'],
  ['an escaped slash', 'https://evil.test%2f.app.test'],
  ['an escaped NUL', 'https://app.test%00.evil.test'],
  ['IDN in UTF-8', 'https://\xd0\xb0pp.test'],
  ['IDN in punycode', 'https://xn--pp-7kc.test'],
  ['a fullwidth letter', 'https://\xef\xbd\x81pp.test'],
  ['an ideographic full stop', 'https://app\xe3\x80\x82test'],
  ['a soft hyphen', 'https://app\xc2\xad.test'],
  ['an overlong dot', 'https://app\xc0\xaetest'],
  ['a byte order mark', '\xef\xbb\xbfhttps://app.test'],
  ['a no-break space behind', 'https://app.test\xa0'],
  ['a space within', 'https://app.test https://evil.test'],
  ['a tab within', 'https://app.test\thttps://evil.test'],
  ['a list', 'https://app.test, https://evil.test'],
  ['a list without a space', 'https://evil.test,https://app.test'],
  ['quotes', '"https://app.test"'],
  ['brackets', 'https://[app.test]'],
  ['the scheme http', 'http://app.test'],
  ['the scheme wss', 'wss://app.test'],
  ['no scheme', 'app.test'],
  ['a relative scheme', '//app.test'],
  ['one slash', 'https:/app.test'],
  ['three slashes', 'https:///app.test'],
  ['a scheme in a scheme', 'blob:https://app.test'],
  ['javascript', 'javascript://app.test'],
  ['a file', 'file://'],
  ['an extension', 'chrome-extension://app.test'],
  ['null', 'null'],
  ['Null', 'Null'],
  ['undefined', 'undefined'],
  ['a star', '*'],
  ['the pattern itself', 'https://*.app.test'],
  ['nothing', ''],
];
/** Bytes that node's parser refuses before anything is judged. */
const UNREADABLE: readonly (readonly [name: string, origin: string])[] = [
  ['a NUL', 'https://app.test\0'],
  ['UTF-16', [...'https://app.test'].map((char) => `\0${char}`).join('')],
  ['a bare CR', 'https://app.test\rhttps://evil.test'],
  ['a bare LF', 'https://evil.test\nOrigin: https://app.test'],
  ['a folded line', 'https://evil.test\r\n https://app.test'],
  ['a control character', 'https://app.test\x1f'],
  ['a DEL', 'https://app.test\x7f'],
];
/** A rule by host alone does not look at the scheme: TLS may have ended before us, and apps have schemes of their own. */
const SAME_HOST_FINE = new Set([
  'http://app.test',
  'wss://app.test',
  'javascript://app.test',
  'chrome-extension://app.test',
]);

describe.each(['exact', 'wildcard', 'same-host', 'draft', 'required'] as const)('%s', (rule) => {
  const tricks = rule === 'same-host' ? TRICKS.filter(([, origin]) => !SAME_HOST_FINE.has(origin)) : TRICKS;
  it.each(tricks)('refuses %s', async (_, Origin) => expect(await ask(rule, { Origin })).toEqual(refused(403)));
  it.each(UNREADABLE)('can not read %s', async (_, Origin) =>
    expect(await ask(rule, { Origin })).toEqual(refused(400)),
  );
  it.each([
    ['two alike', ['https://app.test', 'https://app.test']],
    ['two, the first good', ['https://app.test', 'https://evil.test']],
    ['two, the second good', ['https://evil.test', 'https://app.test']],
    ['two, one empty', ['https://app.test', '']],
  ])('refuses two Origin fields: %s', async (_, Origin) => expect(await ask(rule, { Origin })).toEqual(refused(400)));
  it('refuses Origin named in Connection', async () => {
    const changes = { Origin: 'https://evil.test', Connection: 'Upgrade, Origin' };
    expect(await ask(rule, changes)).toEqual(refused(400));
  });
  it('takes no alias for Origin', async () => {
    const changes = { Origin: 'https://evil.test', O_rigin: 'https://app.test', 'X-Origin': 'https://app.test' };
    expect(await ask(rule, changes)).toEqual(refused(403));
  });
});

describe('what is admitted', () => {
  it.each([
    ['exact', 'https://app.test'],
    ['exact', 'HTTPS://APP.TEST'],
    ['exact', 'https://app.test:443'],
    ['exact', 'http://local.test:8080'],
    ['exact', '  https://app.test\t'],
    ['exact', 'https://app.test.'],
    ['wildcard', 'https://a.app.test.'],
    ['same-host', 'https://app.test.'],
    ['text', 'file://'],
    ['text', 'app://local/index'],
    ['wildcard', 'https://a.app.test'],
    ['wildcard', 'https://A.App.test:443'],
    ['same-host', 'https://app.test'],
    ['same-host', 'http://app.test'],
    ['null', 'null'],
    ['required', 'https://app.test'],
  ] as const)('%s: %j', async (rule, Origin) => expect(await ask(rule, { Origin })).toEqual(opened(rule)));
  it('no Origin at all, which no browser leaves out, unless it is required', async () => {
    expect(await ask('exact', {})).toEqual(opened('exact'));
    expect(await ask('required', {})).toEqual(refused(403));
  });
});

describe('wildcard: one label', () => {
  it.each([
    'https://app.test',
    'https://a.b.app.test',
    'https://.app.test',
    'https://a..app.test',
    'https://*.app.test',
  ])('not %s', async (Origin) => expect(await ask('wildcard', { Origin })).toEqual(refused(403)));
});

describe('null: only where it is listed, and nothing but it', () => {
  it.each(['https://app.test', 'NULL', 'null:80', 'https://null', 'http://null', ''])('not %j', async (Origin) =>
    expect(await ask('null', { Origin })).toEqual(refused(403)),
  );
});

describe('text that is no origin of the web: compared as it is', () => {
  it.each(['FILE://', 'file:///', 'file://x', 'app://local', 'app://local/index/', 'null', 'https://app.test', ''])(
    'not %j',
    async (Origin) => expect(await ask('text', { Origin })).toEqual(refused(403)),
  );
});

describe('same-host: against the Host that the request is routed by', () => {
  it.each([
    ['another port', 'app.test:8443', 'https://app.test'],
    ['the port of the other scheme', 'app.test:80', 'https://app.test'],
    ['a name below', 'a.app.test', 'https://app.test'],
  ])('not with %s', async (_, Host, Origin) => expect(await ask('same-host', { Host, Origin })).toEqual(refused(403)));
  it.each([
    ['app.test.', 'https://app.test'],
    ['app.test.:443', 'https://app.test.'],
    ['APP.TEST', 'https://app.test.'],
  ])('a final dot counts for nothing: Host %s, Origin %s', async (Host, Origin) =>
    expect(await ask('same-host', { Host, Origin })).toEqual(opened('same-host')),
  );
  it('not with X-Forwarded-Host', async () => {
    const changes = { Origin: 'https://evil.test', 'X-Forwarded-Host': 'evil.test', Forwarded: 'host=evil.test' };
    expect(await ask('same-host', changes)).toEqual(refused(403));
  });
  it('an absolute-form target is the Host', async () => {
    const to = (Origin: string) =>
      attack(proxy, {
        bytes: handshake({ Host: 'app.test', Origin }, 'GET http://other.test/rule/same-host HTTP/1.1'),
      });
    expect(await to('https://app.test')).toEqual(refused(403));
    expect(await to('https://other.test')).toEqual(opened('same-host'));
  });
});

describe('version 8 names its field Sec-WebSocket-Origin', () => {
  const draft = (changes: Changes) => ask('draft', { 'Sec-WebSocket-Version': '8', ...changes });
  it('which is judged', async () => {
    expect(await draft({ 'Sec-WebSocket-Origin': 'https://app.test' })).toEqual(opened('draft'));
    expect(await draft({ 'Sec-WebSocket-Origin': 'https://evil.test' })).toEqual(refused(403));
  });
  it('and no other: a good Origin beside it does not help', async () => {
    const changes = { 'Sec-WebSocket-Origin': 'https://evil.test', Origin: 'https://app.test' };
    expect(await draft(changes)).toEqual(refused(403));
  });
  it('and version 13 does not look at it', async () => {
    const changes = { 'Sec-WebSocket-Origin': 'https://app.test', Origin: 'https://evil.test' };
    expect(await ask('draft', changes)).toEqual(refused(403));
  });
  it('and no browser of today speaks it: Origin says nothing there', async () => {
    const changes = { 'Sec-WebSocket-Origin': 'https://app.test', Origin: 'https://evil.test' };
    expect(await draft(changes)).toEqual(opened('draft'));
  });
  it('two of them are refused', async () => {
    const both = ['https://app.test', 'https://evil.test'];
    expect(await draft({ 'Sec-WebSocket-Origin': both })).toEqual(refused(400));
  });
});
