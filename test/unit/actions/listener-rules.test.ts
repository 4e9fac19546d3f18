// What a listener refuses by its own rules; that it does, over every protocol, is e2e/https.test.ts.
import { describe, expect, it } from 'vitest';
import { type CertificateChoice, ListenerRules } from '../../../src/actions/listener-rules.ts';
import { schema } from '../../../src/config/schema/schema.ts';
import type { StreamConnection } from '../../../src/net/fd-connection.ts';
import { type Change, plainHead } from '../../support/heads.ts';

const configOf = (listener: object) =>
  schema.parse({ listeners: [{ port: 0, ...listener }], routes: [{ name: 'a', respond: {} }] }).listeners[0]!;

const [FIRST, OTHER] = [{ name: 'first' }, { name: 'other' }];
/** `*.first.test` is the first one's, which is the default; `other.test` the other's. */
const certificates: CertificateChoice = {
  namedContext: (name) => (name === 'other.test' ? OTHER : /^(\w+\.)?first\.test$/i.test(name) ? FIRST : null),
  contextFor: (name) => certificates.namedContext(name) ?? FIRST,
};
const plain = ({ host, ...change }: Change & { host?: string }) =>
  plainHead({ ...change, ...(host === undefined ? {} : { fields: { Host: host } }) });
/** A connection whose client has asked for this name; false: for none, as node has it; undefined: it is no TLS. */
const over = (servername?: string | false) => ({ servername }) as unknown as StreamConnection;

describe('redirect_to_https', () => {
  const rules = new ListenerRules(configOf({ redirect_to_https: true }), null);
  const refused = (change: Change & { host?: string }, by = rules) =>
    by.refuse(plain({ secure: false, ...change }), over(), false);

  it.each([
    [{ target: '/a?b=c', host: 'app.test' }, 'https://app.test/a?b=c'],
    [{ target: '/', host: 'APP.test:8080' }, 'https://app.test/'],
    [{ target: '/x', host: '[::1]:80' }, 'https://[::1]/x'],
    [{ target: 'http://other.test/x', host: 'app.test' }, 'https://other.test/x'],
    [{ target: '/.well-known/acme-challenge', host: 'app.test' }, 'https://app.test/.well-known/acme-challenge'],
    [
      { target: '/.well-known/acme-challenge/../../x', host: 'app.test' },
      'https://app.test/.well-known/acme-challenge/../../x',
    ],
  ])('%j goes to %s', (change, location) => {
    expect(refused(change)).toMatchObject({ reason: 'https_required', status: 308, fields: ['Location', location] });
  });

  it('may go to another port', () => {
    const other = new ListenerRules(configOf({ redirect_to_https: 8443 }), null);
    expect(refused({ target: '/a', host: 'app.test:80' }, other)?.fields[1]).toBe('https://app.test:8443/a');
  });

  it.each([
    ['a challenge', { target: '/.well-known/acme-challenge/token', host: 'app.test' }],
    ['what came over TLS to a trusted proxy', { secure: true }],
    ['OPTIONS *', { method: 'OPTIONS', target: '*' }],
    ['what is malformed', { target: '/a', host: 'a b' }],
  ])('leaves %s alone', (_, change) => {
    expect(refused(change)).toBeNull();
  });

  it('holds from the reload on that sets it, and no longer than that', () => {
    const changing = new ListenerRules(configOf({}), null);
    expect(refused({}, changing)).toBeNull();
    changing.configure(configOf({ redirect_to_https: true }), null);
    expect(refused({}, changing)?.reason).toBe('https_required');
    changing.configure(configOf({ redirect_to_https: false }), null);
    expect(refused({}, changing)).toBeNull();
  });
});

describe('a connection for another name', () => {
  const rules = new ListenerRules(configOf({ tls: { self_signed: ['a.test'] } }), certificates);
  const refused = (host: string, servername?: string | false, trusted = false) =>
    rules.refuse(plain({ secure: true, host }), over(servername), trusted)?.reason ?? null;

  it.each([
    ['other.test', 'a.first.test'],
    ['first.test', 'other.test'],
    ['first.test:8443', 'other.test'],
    ['other.test', 'unknown.test'],
  ])('is misdirected: %s over one for %s', (host, servername) => {
    expect(refused(host, servername)).toBe('misdirected');
  });

  it.each([
    ['the same name', 'other.test', 'OTHER.test'],
    ['a name of the same certificate', 'a.first.test', 'b.first.test'],
    ['the name of the default certificate, over one for nobody', 'first.test', 'unknown.test'],
    ['a name that is nobody’s', 'unknown.test', 'other.test'],
    ['an address', '127.0.0.1', 'other.test'],
    ['a client that named no server', 'other.test', false],
    ['one without TLS', 'other.test', undefined],
  ] as const)('is not: %s', (_, host, servername) => {
    expect(refused(host, servername)).toBeNull();
  });

  it('is not, where a trusted proxy made it for all of its clients', () => {
    expect(refused('other.test', 'first.test', true)).toBeNull();
  });
});

describe('a connection of another scheme', () => {
  const refused = (change: Change, listener: object = {}, trusted = false) =>
    new ListenerRules(configOf(listener), null).refuse(plain(change), over(), trusted)?.reason ?? null;

  it.each<[string, Change]>([
    ['http over TLS', { secure: true, http2: { scheme: 'http' } }],
    ['https without it', { secure: false, http2: { scheme: 'https' } }],
    ['http over TLS by an absolute target', { secure: true, target: 'http://app.example.com/' }],
    ['https without it, so', { secure: false, target: 'HTTPS://app.example.com/' }],
    ['wss without it, so', { secure: false, target: 'wss://app.example.com/' }],
  ])('is misdirected: %s', (_, change) => {
    expect(refused(change)).toBe('misdirected');
    expect(refused(change, {}, true)).toBeNull();
    expect(refused(change, { proxy_protocol: { from: ['10.0.0.1'] } })).toBeNull();
    expect(refused(change, { port: undefined, unix: '/run/x.sock' })).toBeNull();
  });

  it.each<[string, Change]>([
    ['http without TLS', { secure: false, http2: { scheme: 'http' } }],
    ['https over it', { secure: true, http2: { scheme: 'https' } }],
    ['none', { secure: true, http2: { scheme: null } }],
    ['none of HTTP/1.1', { secure: true, target: '/http://x' }],
    ['http without TLS by an absolute target', { secure: false, target: 'http://app.example.com/' }],
    ['ws without it', { secure: false, target: 'ws://app.example.com/' }],
    ['https over TLS, so', { secure: true, target: 'https://app.example.com/' }],
  ])('is not: %s', (_, change) => {
    expect(refused(change)).toBeNull();
  });

  it('is said before a redirect to https', () => {
    expect(refused({ secure: false, http2: { scheme: 'https' } }, { redirect_to_https: true })).toBe('misdirected');
  });
});

it('hsts is the value of its field', () => {
  const of = (hsts: unknown) =>
    new ListenerRules(configOf({ tls: { self_signed: ['a.test'] }, hsts }), certificates).hsts;
  expect(of('180d')).toBe('max-age=15552000');
  expect(of('0s')).toBe('max-age=0');
  expect(of({ max_age: '730d', include_subdomains: true, preload: true })).toBe(
    'max-age=63072000; includeSubDomains; preload',
  );
  expect(of(undefined)).toBeNull();
  expect(new ListenerRules(configOf({ hsts: '180d' }), null).hsts).toBeNull();
});
