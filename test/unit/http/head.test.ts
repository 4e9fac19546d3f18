// What every request must be, plain or handshake, before a route is looked for.
import { describe, expect, it } from 'vitest';
import { plainAddress } from '../../../src/http/forwarding/addresses.ts';
import { isPreflight, readHead, readRequest } from '../../../src/http/head.ts';
import { type Change, plainHead } from '../../support/heads.ts';

const read = (change: Change) => readRequest(plainHead(change));
const fault = (text: string) => ({ fault: expect.stringContaining(text) });

describe('taking the head out of a message', () => {
  const message = { method: 'GET', url: '/a?b', httpVersion: '1.1', rawHeaders: ['HoSt', 'h', 'X', '1', 'x', '2'] };
  it('keeps names, order and repetitions', () => {
    expect(readHead(message, true, '::ffff:192.0.2.7')).toEqual({
      method: 'GET',
      target: '/a?b',
      version: '1.1',
      fields: ['HoSt', 'h', 'X', '1', 'x', '2'],
      names: ['host', 'x', 'x'],
      secure: true,
      peer: '192.0.2.7',
    });
  });
  it('has empty texts where node tells nothing', () => {
    expect(readHead({ httpVersion: '1.1', rawHeaders: [] }, false, '')).toMatchObject({
      method: '',
      target: '',
      peer: '',
    });
  });
});

describe('addresses', () => {
  it.each([
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['192.0.2.1', '192.0.2.1'],
    ['::1', '::1'],
    ['::ffff:c000:201', '::ffff:c000:201'],
    ['64:ff9b::192.0.2.1', '64:ff9b::192.0.2.1'],
    ['', ''],
  ])('%j is written %j', (address, plain) => expect(plainAddress(address)).toBe(plain));
});

describe('a valid request', () => {
  it('has its target taken apart and its authority known', () => {
    const head = plainHead({ target: '/a/../b?c', fields: { Host: 'Example.COM:8080' } });
    expect(readRequest(head)).toEqual({
      head,
      target: { raw: '/a/../b?c', path: '/b', sendable: '/b', query: 'c', authority: null },
      authority: { host: 'example.com', port: 8080 },
      host: 'Example.COM:8080',
    });
  });
  it('takes the authority of an absolute-form target in place of Host (RFC 9112 §3.2.2)', () => {
    expect(read({ target: 'http://Real.example:81/a', fields: { Host: 'other.example' } })).toMatchObject({
      target: { raw: '/a' },
      authority: { host: 'real.example', port: 81 },
      host: 'Real.example:81',
    });
  });
  it('may be of HTTP/1.0 and name no host', () => {
    expect(read({ version: '1.0', fields: { Host: null } })).toMatchObject({ authority: null, host: '' });
  });
  it('may be of HTTP/1.0 and have its host in the target', () => {
    expect(read({ version: '1.0', target: 'http://h/', fields: { Host: null } })).toMatchObject({
      authority: { host: 'h', port: null },
      host: 'h',
    });
  });
  it.each([
    ['a length', { 'Content-Length': '12' }],
    ['chunks', { 'Transfer-Encoding': 'Chunked' }],
  ])('may have a body of %s', (_, fields) => expect(read({ method: 'POST', fields })).not.toHaveProperty('fault'));
});

describe('HTTP version', () => {
  it.each(['0.9', '1.2', '2.0', '', '1.10'])('%j is refused', (version) =>
    expect(read({ version })).toEqual(fault('version')),
  );
});

describe('Host', () => {
  it('missing', () => expect(read({ fields: { Host: null } })).toEqual(fault('Host is missing')));
  it('missing beside an absolute-form target', () =>
    expect(read({ target: 'http://h/', fields: { Host: null } })).toEqual(fault('Host is missing')));
  it('twice', () => expect(read({ fields: { Host: ['a', 'b'] } })).toEqual(fault('more than one Host')));
  it('twice the same', () => expect(read({ fields: { Host: ['a', 'a'] } })).toEqual(fault('more than one Host')));
  it('twice in HTTP/1.0', () =>
    expect(read({ version: '1.0', fields: { Host: ['a', 'a'] } })).toEqual(fault('more than one Host')));
  it.each(['', 'a, b', 'a b', 'user@a', 'a/b', 'http://a', 'a:99999', 'a:port', '[::1', '::1', 'b\u00fccher.example'])(
    '%j',
    (Host) => expect(read({ fields: { Host } })).toEqual(fault('Host is not valid')),
  );
  it('not valid in HTTP/1.0', () =>
    expect(read({ version: '1.0', fields: { Host: '' } })).toEqual(fault('Host is not valid')));
  it('not valid beside an absolute-form target', () =>
    expect(read({ target: 'http://h/', fields: { Host: 'a b' } })).toEqual(fault('Host is not valid')));
  it.each(['http:///a', 'http://user@h/a', 'http://h:99999/a', 'https://?a'])(
    'not valid in the target %s',
    (target) => {
      expect(read({ target })).toEqual(fault('Host is not valid'));
      expect(read({ target, version: '1.0', fields: { Host: null } })).toEqual(fault('Host is not valid'));
    },
  );
});

describe('target', () => {
  it.each(['/..', '/%', '/%00', '/a\\b', 'a'])('%s', (target) => expect(read({ target })).toEqual(fault('')));
});

describe('framing (RFC 9112 §6)', () => {
  it.each([
    ['two lengths', { 'Content-Length': ['1', '2'] }, 'more than one Content-Length'],
    ['two equal lengths', { 'Content-Length': ['1', '1'] }, 'more than one Content-Length'],
    ['a list of lengths', { 'Content-Length': '1, 1' }, 'not a number'],
    ['an empty length', { 'Content-Length': '' }, 'not a number'],
    ['a length with a sign', { 'Content-Length': '+1' }, 'not a number'],
    ['a hexadecimal length', { 'Content-Length': '0x1' }, 'not a number'],
    ['a length and chunks', { 'Content-Length': '1', 'Transfer-Encoding': 'chunked' }, 'exclude'],
    ['an unknown coding', { 'Transfer-Encoding': 'gzip' }, 'only Transfer-Encoding'],
    ['chunked over two lines', { 'Transfer-Encoding': ['chunked', 'chunked'] }, 'more than one Transfer-Encoding'],
    ['chunked twice', { 'Transfer-Encoding': 'chunked, chunked' }, 'only Transfer-Encoding'],
    ['chunked before a coding', { 'Transfer-Encoding': 'chunked, gzip' }, 'only Transfer-Encoding'],
    ['a coding alone', { 'Transfer-Encoding': 'gzip' }, 'only Transfer-Encoding'],
    ['an empty coding', { 'Transfer-Encoding': '' }, 'only Transfer-Encoding'],
    ['a coding behind a vertical tab', { 'Transfer-Encoding': '\vchunked' }, 'only Transfer-Encoding'],
  ])('%s', (_, fields, text) => expect(read({ method: 'POST', fields })).toEqual(fault(text)));
  it.each(['gzip, chunked', 'GZIP ,Chunked', 'deflate, gzip, chunked'])(
    '%s is not understood (RFC 9112 §6.1)',
    (coding) =>
      expect(read({ method: 'POST', fields: { 'Transfer-Encoding': coding } })).toEqual({
        fault: 'the only supported Transfer-Encoding is chunked',
        unknownCoding: true,
      }),
  );
  it('chunks in HTTP/1.0', () =>
    expect(read({ version: '1.0', fields: { 'Transfer-Encoding': 'chunked' } })).toEqual(fault('HTTP/1.0')));
});

describe('Connection', () => {
  it.each([
    'Host',
    'origin',
    'Content-Length',
    'Authorization',
    'Cookie',
    'Sec-WebSocket-Key',
    'sec-websocket-protocol',
  ])('may not name %s, which is meant for every recipient (RFC 9110 §7.6.1)', (name) => {
    const Connection = `keep-alive,\t${name}`;
    expect(read({ fields: { Connection } })).toEqual(fault(name.toLowerCase()));
  });
  it.each(['close', 'Upgrade, HTTP2-Settings', 'X-Forwarded-For', '', ',', 'a b'])('may say %j', (Connection) =>
    expect(read({ fields: { Connection } })).not.toHaveProperty('fault'),
  );
});

it('a preflight is an OPTIONS with both fields of a browser', () => {
  const fields = { Origin: 'https://a.example', 'Access-Control-Request-Method': 'PUT' };
  expect(isPreflight(plainHead({ method: 'OPTIONS', fields }))).toBe(true);
  expect(isPreflight(plainHead({ method: 'GET', fields }))).toBe(false);
  for (const name of Object.keys(fields))
    expect(isPreflight(plainHead({ method: 'OPTIONS', fields: { ...fields, [name]: null } }))).toBe(false);
});

describe('a field that a request has one of', () => {
  it.each(['Authorization', 'Origin', 'Sec-WebSocket-Origin'])('%s twice, even the same, is refused', (name) => {
    expect(read({ fields: { [name]: ['a', 'a'] } })).toEqual(fault(`there is more than one ${name}`));
    expect(read({ fields: { [name]: 'a' } })).not.toHaveProperty('fault');
  });
  it.each(['Cookie', 'Accept', 'X-Forwarded-For'])('%s twice passes', (name) =>
    expect(read({ fields: { [name]: ['a', 'b'] } })).not.toHaveProperty('fault'),
  );
});
