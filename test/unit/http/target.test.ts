// Request targets and paths: what is normalised for matching, what is refused, and that the target itself never changes.
import { describe, expect, it } from 'vitest';
import { loggedPath, normalisePath, parseAuthority, parseTarget } from '../../../src/http/target.ts';

const fault = { fault: expect.any(String) };

describe('forms of a target (RFC 9112 §3.2)', () => {
  it('origin-form', () => {
    expect(parseTarget('/a/b?c=d?e')).toEqual({
      raw: '/a/b?c=d?e',
      path: '/a/b',
      sendable: '/a/b',
      query: 'c=d?e',
      authority: null,
    });
  });
  it('origin-form with an empty query', () => {
    expect(parseTarget('/a?')).toEqual({ raw: '/a?', path: '/a', sendable: '/a', query: '', authority: null });
  });
  it('asterisk-form', () => {
    expect(parseTarget('*')).toEqual({ raw: '*', path: '*', sendable: '*', query: '', authority: null });
  });
  it.each([
    ['http://h.example:81/a?b', { raw: '/a?b', path: '/a', sendable: '/a', query: 'b', authority: 'h.example:81' }],
    ['HTTPS://H.example/', { raw: '/', path: '/', sendable: '/', query: '', authority: 'H.example' }],
    ['ws://h', { raw: '/', path: '/', sendable: '/', query: '', authority: 'h' }],
    ['wss://h?x', { raw: '/?x', path: '/', sendable: '/', query: 'x', authority: 'h' }],
    ['http://h//a', { raw: '//a', path: '/a', sendable: '//a', query: '', authority: 'h' }],
    ['http:///a', { raw: '/a', path: '/a', sendable: '/a', query: '', authority: '' }],
    ['http://u:p@h/a', { raw: '/a', path: '/a', sendable: '/a', query: '', authority: 'u:p@h' }],
  ])('absolute-form %s becomes origin-form', (text, target) => expect(parseTarget(text)).toEqual(target));
  it.each([
    '',
    'a',
    'a/b',
    'app.example.com:443',
    '?a',
    '**',
    'ftp://h/a',
    'http:/h/a',
    'http:h',
    '://h/',
    'javascript:x',
  ])('%j is none of them', (text) => expect(parseTarget(text)).toEqual(fault));
  it('// begins a path, not an authority', () => {
    expect(parseTarget('//evil.example/a')).toMatchObject({ path: '/evil.example/a', authority: null });
  });
});

describe('characters that a target cannot hold', () => {
  it.each([
    ['SP', '/a b'],
    ['HTAB', '/a\tb'],
    ['NUL', '/a\0'],
    ['CR LF', '/a\r\nX: y'],
    ['DEL', '/a\x7f'],
    ['a control character in the query', '/a?\x01'],
    ['a fragment', '/a#b'],
    ['a backslash', '/a\\b'],
    ['a backslash as the root', '\\a'],
    ['a backslash climbing', '/a\\..\\b'],
    ['a backslash in an absolute-form path', 'http://h/a\\b'],
  ])('%s', (_, text) => expect(parseTarget(text)).toEqual(fault));
  it('a backslash in the query passes, as browsers send it', () => {
    expect(parseTarget('/a?b=\\')).toEqual({
      raw: '/a?b=\\',
      path: '/a',
      sendable: '/a',
      query: 'b=\\',
      authority: null,
    });
  });
  it('a "%" in the query that starts no escape passes', () => {
    expect(parseTarget('/a?100%&%00')).toMatchObject({ path: '/a', query: '100%&%00' });
  });
});

describe('normalised for matching', () => {
  it.each([
    ['/', '/'],
    ['/a', '/a'],
    ['/ws/../admin', '/admin'],
    ['/ws/%2e%2e/admin', '/admin'],
    ['/ws/%2E%2e/admin', '/admin'],
    ['/ws/.%2e/admin', '/admin'],
    ['/ws/./a', '/ws/a'],
    ['/ws/%2e/a', '/ws/a'],
    ['/a/..', '/'],
    ['/a/.', '/a/'],
    ['/a/b/..', '/a/'],
    ['/a/b/../', '/a/'],
    ['/a/...', '/a/...'],
    ['/.well-known/x', '/.well-known/x'],
    ['/a/..b/.c', '/a/..b/.c'],
    ['//a', '//a'],
    ['/a//b', '/a//b'],
    ['/a/;x=1/b;y', '/a/;x=1/b;y'],
    ['/a;x/../b', '/b'],
    ['/a/.;/b', '/a/.;/b'],
    ['/a/b../c', '/a/b../c'],
    ['/a/b..%2fc', '/a/b..%2Fc'],
    ['/a/.../..', '/a/'],
    ['/a%2Fb', '/a%2Fb'],
    ['/a%2fb', '/a%2Fb'],
    ['/a%5cb', '/a%5Cb'],
    ['/%61%2D%7E%5f%2e', '/a-~_.'],
    ['/%252e%252e/a', '/%252e%252e/a'],
    ['/a%20b%3f', '/a%20b%3F'],
    ['/\u00c3\u00a9', '/%C3%A9'],
    ['/%c3%a9', '/%C3%A9'],
    ['/\u0080\u00ff', '/%80%FF'],
    ['/{x}', '/{x}'],
  ])('%j is %j', (path, normal) => expect(normalisePath(path)).toBe(normal));

  it.each([
    ['climbs above the root', '/..'],
    ['climbs above the root later', '/a/../../b'],
    ['climbs above the root in escapes', '/%2e%2e/'],
    ['climbs before it descends', '/../a'],
    ['has a NUL', '/a%00'],
    ['has a "%" at its end', '/a%'],
    ['has half an escape', '/a%2'],
    ['has an escape that is not hexadecimal', '/a%zz'],
    ['has an escape of UTF-16', '/a%u0041'],
    ['has a broken escape behind a whole one', '/%41%4'],
  ])('a path that %s is refused', (_, path) => {
    expect(normalisePath(path)).toEqual(fault);
    expect(parseTarget(path)).toEqual(fault);
  });

  it.each([
    ['behind an empty segment', '/a//../b'],
    ['behind an empty segment at the root', '//..'],
    ['behind a segment of parameters only', '/a/;x=1/../b'],
    ['behind a dot with parameters', '/a/.;/../b'],
    ['behind an escaped slash', '/a/b%2fc/../d'],
    ['behind an escaped backslash', '/a/b%5Cc/../d'],
    ['with parameters', '/a/..;/b'],
    ['with named parameters', '/a/..;x=1'],
    ['before an escaped slash', '/ws/..%2fadmin'],
    ['in escapes before an escaped slash', '/ws/%2e%2e%2fadmin'],
    ['before an escaped backslash', '/ws/..%5cadmin'],
    ['between escaped slashes', '/ws/a%2f..%2fb'],
    ['at the end behind an escaped slash', '/ws/a%2f..'],
    ['at the end of a segment behind an escaped slash', '/ws/a%2f../b'],
    ['between an escaped slash and parameters', '/ws/a%2f..;/b'],
  ])('a ".." %s is refused: backends read it differently', (_, path) => {
    expect(normalisePath(path)).toEqual({ fault: expect.stringContaining('read alike') });
  });

  it('what is forwarded stays as it came', () => {
    expect(parseTarget('/ws/%2e%2e/a;%2f//?x')).toMatchObject({ raw: '/ws/%2e%2e/a;%2f//?x', path: '/a;%2F/' });
  });
  it.each([
    ['/a', '/a', '/a'],
    ['//admin/x', '/admin/x', '//admin/x'],
    ['/a///b//', '/a/b/', '/a///b//'],
    ['///', '/', '///'],
    ['/.//a', '/a', '//a'],
    ['/a/%2F/b', '/a/%2F/b', '/a/%2F/b'],
  ])('empty segments of %s count for nothing, and stay in what is sent', (raw, path, sendable) =>
    expect(parseTarget(raw)).toEqual({ raw, path, sendable, query: '', authority: null }),
  );
});

describe('authorities', () => {
  it.each([
    ['example.com', { host: 'example.com', port: null }],
    ['EXAMPLE.com:8080', { host: 'example.com', port: 8080 }],
    ['example.com:', { host: 'example.com', port: null }],
    ['a_b~c-1', { host: 'a_b~c-1', port: null }],
    ['example.com.', { host: 'example.com', port: null }],
    ['EXAMPLE.com.:81', { host: 'example.com', port: 81 }],
    ['[0:0::1]', { host: '[::1]', port: null }],
    ['.a', { host: '.a', port: null }],
    ['192.0.2.1:80', { host: '192.0.2.1', port: 80 }],
    ['[::1]', { host: '[::1]', port: null }],
    ['[2001:DB8::1]:65535', { host: '[2001:db8::1]', port: 65535 }],
    ['[::FFFF:c000:201]:1', { host: '[::ffff:192.0.2.1]', port: 1 }],
  ])('%s', (text, authority) => expect(parseAuthority(text)).toEqual(authority));
  it.each([
    '',
    ' ',
    ':80',
    'a:b',
    'a:65536',
    'a:123456',
    'a:-1',
    'a b',
    'a,b',
    'a/b',
    'a?b',
    'a#b',
    'a\\b',
    'u@a',
    'u:p@a',
    'a%2eb',
    'é.example',
    '::1',
    '[::1',
    '[::1]x',
    '[]',
    '[:::]',
    '[1.2.3.4]',
    '[fe80::1%eth0]',
    'a\n',
    '.',
    '..',
    'a..',
    'a..b',
  ])('%j is none', (text) => expect(parseAuthority(text)).toBeNull());
});

describe('a target in a log', () => {
  it.each([
    ['/a/b?token=x', '/a/b'],
    ['/a#b', '/a'],
    ['/%2e%2e/a', '/%2e%2e/a'],
    ['http://user:secret@h/a?b', '/a'],
    ['WSS://h', ''],
    ['ftp://user:secret@h/a', '/a'],
    ['*', '*'],
  ])('%s is %j', (target, path) => expect(loggedPath(target)).toBe(path));
});
