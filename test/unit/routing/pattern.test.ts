// Patterns of paths and hosts: what compiles, what fits, and what covers what.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalisePath } from '../../../src/http/target.ts';
import {
  compileHost,
  compilePath,
  coversHost,
  coversPath,
  type HostPattern,
  matchHost,
  matchPath,
  type PathPattern,
  parentOf,
} from '../../../src/routing/pattern.ts';
import { hostPattern, numRuns, pathPattern, requestPath } from '../../support/arbitraries.ts';

function path(text: string): PathPattern {
  const pattern = compilePath(text);
  if (typeof pattern === 'string') throw new Error(`${text}: ${pattern}`);
  return pattern;
}
function host(text: string): HostPattern {
  const pattern = compileHost(text);
  if (typeof pattern === 'string') throw new Error(`${text}: ${pattern}`);
  return pattern;
}
const fits = (pattern: string, of: string) => matchPath(path(pattern), of);

describe('path patterns that do not compile', () => {
  it.each([
    ['', 'starts with'],
    ['a', 'starts with'],
    ['*', 'starts with'],
    ['/a*', '"*"'],
    ['/*/a', '"*"'],
    ['/a/*/*', '"*"'],
    ['/a?b', '"*"'],
    ['/a#b', '"*"'],
    ['/{a}/{a}', 'twice'],
    ['/{a}b', 'whole segment'],
    ['/a{b}', 'whole segment'],
    ['/{}', 'whole segment'],
    ['/{1}', 'whole segment'],
    ['/{a-b}', 'whole segment'],
    ['/{', 'whole segment'],
    ['/a/../b', 'dot segments'],
    ['/.', 'dot segments'],
    ['/%2e%2E/b', 'dot segments'],
    ['/a b', '%20'],
    ['/a\tb', '%20'],
    ['/a\\b', 'backslash'],
    ['/%', 'escape'],
    ['/a//b', 'empty segments'],
    ['//*', 'empty segments'],
    ['/a//*', 'empty segments'],
    ['/a//', 'empty segments'],
    ['//a', 'empty segments'],
    ['/%00', 'NUL'],
  ])('%j', (text, why) => expect(compilePath(text)).toEqual(expect.stringContaining(why)));
});

describe('exact paths', () => {
  it.each([
    ['/', '/'],
    ['/a', '/a'],
    ['/a/', '/a/'],
    ['/a;x', '/a;x'],
    ['/.well-known/x', '/.well-known/x'],
    ['/%61%2f', '/a%2F'],
    ['/é', '/%C3%A9'],
    ['/%c3%a9', '/%C3%A9'],
  ])('%s takes %s', (pattern, of) => expect(fits(pattern, of)).toEqual({}));
  it.each([
    ['/', '//'],
    ['/a', '/a/'],
    ['/a/', '/a'],
    ['/a', '/A'],
    ['/a', '/ab'],
    ['/a', '/'],
    ['/a/b', '/a%2Fb'],
    ['/', '*'],
  ])('%s does not take %s', (pattern, of) => expect(fits(pattern, of)).toBeNull());
});

describe('prefixes', () => {
  it.each([
    ['/a/*', '/a/'],
    ['/a/*', '/a/b'],
    ['/a/*', '/a/b/c'],
    ['/*', '/'],
    ['/*', '/a/b'],
  ])('%s takes %s', (pattern, of) => expect(fits(pattern, of)).toEqual({}));
  it.each([
    ['/a/*', '/a'],
    ['/a/*', '/ab'],
    ['/a/*', '/ab/c'],
    ['/a/*', '/A/b'],
    ['/a/*', '/a%2Fb'],
    ['/*', '*'],
  ])('%s does not take %s', (pattern, of) => expect(fits(pattern, of)).toBeNull());
});

describe('parameters', () => {
  it.each([
    ['/rooms/{room}/{user}', '/rooms/1/ann', { room: '1', user: 'ann' }],
    ['/{a}', '/b', { a: 'b' }],
    ['/{a}', '/b%2Fc;d', { a: 'b%2Fc;d' }],
    ['/{a}/*', '/b/', { a: 'b' }],
    ['/{a}/*', '/b/c/d', { a: 'b' }],
    ['/x/{a}/', '/x/b/', { a: 'b' }],
  ])('%s takes %s', (pattern, of, params) => expect(fits(pattern, of)).toEqual(params));
  it.each([
    ['/rooms/{room}', '/rooms/'],
    ['/rooms/{room}', '/rooms'],
    ['/rooms/{room}', '/rooms/1/2'],
    ['/rooms/{room}', '/rooms/1/'],
    ['/{a}', '/'],
    ['/{a}', '*'],
    ['/{a}/*', '/b'],
    ['/{a}/*', '//b'],
    ['/x/{a}', '/y/b'],
  ])('%s does not take %s', (pattern, of) => expect(fits(pattern, of)).toBeNull());
  it('may have a name that objects have by themselves', () => {
    const params = fits('/{__proto__}/{constructor}', '/a/b');
    expect(Object.entries(params ?? {})).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });
});

describe('hosts that do not compile', () => {
  it.each([
    ['', 'a host is'],
    ['*', 'a host is'],
    ['*.', 'a host is'],
    ['a.*', 'a host is'],
    ['*.*.a', 'a host is'],
    ['a*', 'a host is'],
    ['a..b', 'a host is'],
    ['.a', 'a host is'],
    ['.', 'a host is'],
    ['a..', 'a host is'],
    ['[::g]', 'a host is'],
    ['[1.2.3.4]', 'a host is'],
    ['a/b', 'a host is'],
    ['u@a', 'a host is'],
    ['https://a', 'a host is'],
    ['*.[::1]', 'a host is'],
    ['::1', 'no port'],
    ['a:80', 'no port'],
    ['[::1]:80', 'a host is'],
    ['bücher.example', 'ASCII'],
    ['a b', 'a host is'],
    ['a\nb', 'ASCII'],
  ])('%j', (text, why) => expect(compileHost(text)).toEqual(expect.stringContaining(why)));
});

describe('hosts', () => {
  it.each([
    ['app.example.com', 'app.example.com'],
    ['APP.example.com', 'app.example.com'],
    ['192.0.2.1', '192.0.2.1'],
    ['[::1]', '[::1]'],
    ['[0:0::0001]', '[::1]'],
    ['app.example.com.', 'app.example.com'],
    ['*.example.com.', 'app.example.com'],
    ['*.example.com', 'app.example.com'],
    ['*.EXAMPLE.com', 'a-b.example.com'],
    ['localhost', 'localhost'],
  ])('%s takes %s', (pattern, of) => expect(matchHost(host(pattern), of)).toBe(true));
  it.each([
    ['app.example.com', 'example.com'],
    ['app.example.com', 'app.example.com.'],
    ['app.example.com', 'app.example.com.evil'],
    ['*.example.com', 'example.com'],
    ['*.example.com', 'a.b.example.com'],
    ['*.example.com', '.example.com'],
    ['*.example.com', 'a..example.com'],
    ['*.example.com', 'evilexample.com'],
    ['*.example.com', 'a.example.com.'],
    ['*.com', 'com'],
  ])('%s does not take %s', (pattern, of) => expect(matchHost(host(pattern), of)).toBe(false));
  it('an absent host fits no pattern', () => expect(matchHost(host('a'), null)).toBe(false));
  it.each([
    ['a.b.c', 'b.c'],
    ['a', null],
    ['.a', null],
    ['', null],
    ['a.', ''],
  ])('the parent of %j is %j', (of, parent) => expect(parentOf(of)).toBe(parent));
});

describe('covering', () => {
  it.each([
    ['/*', '/a'],
    ['/*', '/a/*'],
    ['/*', '/*'],
    ['/*', '/'],
    ['/a/*', '/a/'],
    ['/a/*', '/a/b/*'],
    ['/a/*', '/a/{x}'],
    ['/{x}', '/a'],
    ['/{x}', '/{y}'],
    ['/{x}/*', '/a/*'],
    ['/{x}/*', '/a/b'],
    ['/a', '/%61'],
  ])('%s covers %s', (wide, narrow) => expect(coversPath(path(wide), path(narrow))).toBe(true));
  it.each([
    ['/a', '/*'],
    ['/a/*', '/*'],
    ['/a/*', '/a'],
    ['/a/b/*', '/a/*'],
    ['/{x}', '/'],
    ['/{x}', '/{x}/*'],
    ['/{x}', '/a/b'],
    ['/{x}/*', '/a'],
    ['/a', '/{x}'],
    ['/a', '/b'],
  ])('%s does not cover %s', (wide, narrow) => expect(coversPath(path(wide), path(narrow))).toBe(false));
  it.each([
    ['a.b', 'A.b', true],
    ['a.b', 'c.b', false],
    ['*.b', 'a.b', true],
    ['*.b', 'b', false],
    ['*.b', '*.b', true],
    ['*.b', '*.a.b', false],
    ['a.b', '*.b', false],
  ])('host %s over %s: %s', (wide, narrow, expected) => expect(coversHost(host(wide), host(narrow))).toBe(expected));

  it('a path that fits the covered pattern fits the covering one', () => {
    fc.assert(
      fc.property(pathPattern, pathPattern, fc.array(requestPath, { minLength: 20, maxLength: 20 }), (a, b, paths) => {
        const [wide, narrow] = [path(a), path(b)];
        fc.pre(coversPath(wide, narrow));
        for (const one of paths.map(normalisePath)) {
          if (typeof one === 'string' && matchPath(narrow, one)) expect(matchPath(wide, one)).not.toBeNull();
        }
      }),
      { numRuns },
    );
  });
  it('where it says no, some path shows why', () => {
    const parts = ['', 'x', 'y', 'a', 'b', 'ws'];
    const all = [0, 1, 2].reduce(
      (paths) => [...paths, ...paths.flatMap((of) => parts.map((part) => `${of}/${part}`))],
      [''],
    );
    const paths = [...new Set(all)].slice(1);
    const small = fc
      .tuple(fc.array(fc.constantFrom('a', 'b', '{}', ''), { minLength: 1, maxLength: 2 }), fc.boolean())
      .map(
        ([of, prefix]) =>
          `${of.map((part, i) => `/${part === '{}' ? `{p${i}}` : part}`).join('')}${prefix ? '/*' : ''}`,
      )
      .filter((text) => !text.includes('//'));
    fc.assert(
      fc.property(small, small, (a, b) => {
        const [wide, narrow] = [path(a), path(b)];
        const shown = paths.some((one) => matchPath(narrow, one) && !matchPath(wide, one));
        expect(coversPath(wide, narrow)).toBe(!shown);
      }),
      { numRuns },
    );
  });
  it('covering of hosts is what matching says', () => {
    const hosts = ['example.com', 'a.example.com', 'z.example.com', 'b.a.example.com', 'z.a.example.com', 'other'];
    fc.assert(
      fc.property(hostPattern, hostPattern, (a, b) => {
        fc.pre(a !== undefined && b !== undefined);
        const [wide, narrow] = [host(a!), host(b!)];
        const shown = hosts.some((one) => matchHost(narrow, one) && !matchHost(wide, one));
        expect(coversHost(wide, narrow)).toBe(!shown);
      }),
      { numRuns },
    );
  });
});
