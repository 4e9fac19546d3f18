// Whether a request fits a route's match, and why not.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { schema } from '../../../src/config/schema/schema.ts';
import { readRequest } from '../../../src/http/head.ts';
import { covers, fitRoute, type Match, type Route } from '../../../src/routing/route.ts';
import { compileTable } from '../../../src/routing/table.ts';
import { always, matchable, matchConfig } from '../../support/arbitraries.ts';
import { type Change, handshakeHead, http, plainHead, requestOf } from '../../support/heads.ts';

/** The compiled route with nothing but a match in it. */
function routeOf(match: object): Route {
  const config = schema.parse({
    listeners: [{ port: 0 }],
    upstreams: { rest: { servers: ['http://127.0.0.1:1'] } },
    routes: [{ name: 'r', match, ...http }],
  });
  const { table, problems } = compileTable(config);
  expect(problems).toEqual([]);
  let found: Route | undefined;
  table.http.find(requestOf(plainHead()), (route) => {
    found = route;
  });
  return found!;
}
const matchOf = (match: object): Match => routeOf(match).match;
const judge = (match: object, change: Change) => {
  const fit = fitRoute(routeOf(match), requestOf(handshakeHead(change)));
  return typeof fit === 'string' ? fit : fit.params;
};

describe('a request that fits', () => {
  it.each([
    ['everything', {}, {}],
    ['a host', { host: 'APP.example.com' }, { fields: { Host: 'app.EXAMPLE.com:8080' } }],
    ['a path', { path: '/ws/*' }, { target: '/ws/%63hat?x' }],
    ['a path reached by dot segments', { path: '/admin' }, { target: '/ws/../admin' }],
    ['the path of an absolute-form target', { host: 'h', path: '/ws' }, { target: 'http://h/ws' }],
    ['a field', { headers: { 'X-Tenant': 'blue' } }, { fields: { 'x-tenant': ' blue ' } }],
    ['one line of a field', { headers: { 'X-Tenant': 'blue' } }, { fields: { 'X-Tenant': ['red', 'blue'] } }],
    ['any value of a field', { headers: { 'X-Tenant': '*' } }, { fields: { 'X-Tenant': '' } }],
    ['a query', { query: { v: '2' } }, { target: '/?a=b&v=2' }],
    ['a query, escaped', { query: { 'v w': 'é' } }, { target: '/?v+w=%C3%A9' }],
    ['any value of a query', { query: { v: '*' } }, { target: '/?v' }],
    ['one of several hosts', { host: ['a', '*.example.com'] }, {}],
    ['one of several paths', { path: ['/a', '/ws/*'] }, { target: '/ws/x' }],
    ['a host with a final dot', { host: 'b.example' }, { fields: { Host: 'b.example.' } }],
    ['a wildcard with a final dot', { host: '*.example.' }, { fields: { Host: 'b.example.:80' } }],
    ['an address written in another way', { host: '[::1]' }, { fields: { Host: '[0:0::1]' } }],
    ['a path with empty segments', { path: '/admin/*' }, { target: '//admin//x' }],
    ['one of several values', { query: { v: '2' } }, { target: '/?v=1&v=2' }],
  ])('%s', (_, match, change) => expect(judge(match, change)).toEqual({}));
  it('gives its parameters', () => {
    expect(judge({ path: '/rooms/{room}' }, { target: '/rooms/a%20b' })).toEqual({ room: 'a%20b' });
  });
});

describe('a request that does not', () => {
  it.each([
    ['host', { host: 'b.example' }, {}, 'host is not b.example'],
    ['host, for its wildcard', { host: '*.b.example' }, {}, 'host is not *.b.example'],
    ['no host', { host: 'b.example' }, { version: '1.0', fields: { Host: null } }, 'host is not b.example'],
    ['path', { path: '/x' }, {}, 'path is not /x'],
    ['hosts', { host: ['a', '*.b'] }, {}, 'host is not a or *.b'],
    ['paths', { path: ['/x', '/y/*'] }, {}, 'path is not /x or /y/*'],
    ['a second final dot', { host: 'b.example', path: '/x' }, {}, 'host is not b.example'],
    ['no such field', { headers: { 'X-A': '1' } }, {}, 'field x-a is not 1'],
    ['another value', { headers: { 'X-A': '1' } }, { fields: { 'X-A': '2' } }, 'field x-a is not 1'],
    ['another case', { headers: { 'X-A': 'a' } }, { fields: { 'X-A': 'A' } }, 'field x-a is not a'],
    ['no field at all', { headers: { 'X-A': '*' } }, {}, 'field x-a is not there'],
    ['no such query', { query: { v: '1' } }, { target: '/?w=1' }, 'query v is not 1'],
    ['no query at all', { query: { v: '*' } }, {}, 'query v is not there'],
    ['the name of a query in another case', { query: { v: '*' } }, { target: '/?V=1' }, 'query v is not there'],
  ])('%s', (_, match, change, why) => expect(judge(match, change)).toBe(why));
  it('gets the first reason of several', () => {
    expect(judge({ host: 'b.example', path: '/x' }, {})).toBe('host is not b.example');
  });
});

describe('covering', () => {
  it.each([
    [{}, { host: 'a', path: '/b', headers: { x: '1' }, query: { y: '2' } }, true],
    [{ headers: { X: '*' } }, { headers: { x: '1' } }, true],
    [{ headers: { x: '1' } }, { headers: { X: '1', y: '2' } }, true],
    [{ headers: { x: '1' } }, { headers: { x: '*' } }, false],
    [{ headers: { x: '1' } }, { headers: { x: '2' } }, false],
    [{ headers: { x: '*' } }, {}, false],
    [{ query: { x: '1' } }, { headers: { x: '1' } }, false],
    [{ query: { x: '*' } }, { query: { x: '1' } }, true],
    [{ query: { x: '*' } }, {}, false],
    [{ path: '/a' }, { path: '/b' }, false],
    [{ host: 'a' }, {}, false],
    [{ host: ['a', '*.b'] }, { host: ['x.b', 'a'] }, true],
    [{ host: 'a' }, { host: ['a', 'b'] }, false],
    [{ path: ['/a', '/b/*'] }, { path: ['/b/c', '/a'] }, true],
    [{ path: ['/a/*', '/b'] }, { path: ['/a', '/b'] }, false],
  ])('%j over %j: %s', (wide, narrow, expected) => expect(covers(matchOf(wide), matchOf(narrow))).toBe(expected));

  it('a request that fits the covered match fits the covering one', () => {
    let shown = 0;
    const routes = fc.array(matchConfig.map(routeOf), { minLength: 6, maxLength: 6 });
    always(fc.tuple(routes, fc.array(matchable, { minLength: 20, maxLength: 20 })), ([all, changes]) => {
      const requests = changes.map((change) => readRequest(plainHead(change))).filter((one) => 'head' in one);
      for (const [wide, narrow] of all.flatMap((a) =>
        all.filter((b) => b !== a && covers(a.match, b.match)).map((b) => [a, b]),
      )) {
        for (const request of requests) {
          if (typeof fitRoute(narrow!, request) === 'string') continue;
          expect(fitRoute(wide!, request)).not.toBeTypeOf('string');
          shown++;
        }
      }
    });
    expect(shown).toBeGreaterThan(0);
  });
});
