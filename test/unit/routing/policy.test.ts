// A route's header rules, rewriting, redirects and own answers: what is refused at load, and what crosses.
import { describe, expect, it } from 'vitest';
import { schema } from '../../../src/config/schema/schema.ts';
import { attribute, compileTrustedProxies } from '../../../src/http/forwarding/forwarded.ts';
import { requestFields, responsePolicy } from '../../../src/http/policy/policy.ts';
import { decide, type Forward } from '../../../src/routing/decide.ts';
import { compileTable } from '../../../src/routing/table.ts';
import { type Change, configOf, http, plainHead, tableOf } from '../../support/heads.ts';

const trusted = compileTrustedProxies(['10.0.0.1']);
const problemsOf = (...routes: object[]) =>
  compileTable(configOf(routes)).problems.map(({ path, message }) => `${path.join('.')}: ${message}`);

/** The head decided by one route, as decide.ts has it. */
function forwarded(route: object, change: Change = {}, global: { believe?: 'forwarded'; [key: string]: unknown } = {}) {
  const { believe } = global;
  const { table, problems } = compileTable(
    schema.parse({
      listeners: [{ port: 0 }],
      upstreams: { rest: { servers: ['http://rest:9002'] } },
      routes: [{ name: 'api', ...http, ...route }],
      http: global,
    }),
  );
  expect(problems).toEqual([]);
  const proxies = compileTrustedProxies(['10.0.0.1'], believe);
  const { head, client } = attribute(plainHead({ target: '/', ...change }), proxies, () => 'fresh');
  const verdict = decide(table, head, head.peer) as Forward;
  expect(verdict.kind).toBe('forward');
  const facts = {
    ...verdict,
    client,
    route: 'api',
    claims: null,
    granted: [],
  };
  const { policy } = verdict.route;
  return {
    request: pairs(requestFields(facts, new Set(), policy, 'rest:9002')),
    response: (...fields: string[]) =>
      pairs(responsePolicy(policy, { facts, sent: verdict.sent, own: 'rest:9002' })(fields)),
    target: verdict.sent.target,
  };
}

function pairs(fields: readonly string[]): string[] {
  return fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${fields[i + 1]}`] : []));
}

describe('at load', () => {
  it.each([
    [{ request: { set: { 'a b': 'x' } } }, 'headers.request.set.a b: "a b" is no name of a field'],
    [{ request: { set: { 'X-A': 'x\r\ny' } } }, 'headers.request.set.X-A: a field holds no control characters'],
    [{ request: { set: { 'X-A': '{x}' } } }, 'headers.request.set.X-A: {x} is no variable'],
    [{ request: { set: { host: 'x' } } }, "headers.request.set.host: host is not a route's to change"],
    [{ request: { remove: ['Connection'] } }, "headers.request.remove.0: Connection is not a route's to change"],
    [{ response: { append: { 'Content-Length': '1' } } }, 'headers.response.append.Content-Length: Content-Length'],
    [{ response: { remove: ['Sec-WebSocket-Accept'] } }, 'headers.response.remove.0: Sec-WebSocket-Accept belongs'],
  ])('%j is refused', (headers, message) => {
    expect(problemsOf({ name: 'a', ...http, headers })).toEqual([expect.stringContaining(`routes.0.${message}`)]);
  });

  it.each(['Host', 'Transfer-Encoding', 'Sec-WebSocket-Key'])('%s of whoever is asked who it is, too', (name) => {
    const auth = { forward: { upstream: 'rest', path: '/', headers: ['X-User', name] } };
    expect(problemsOf({ name: 'a', ...http, auth })).toEqual([
      expect.stringContaining(`routes.0.auth.forward.headers.1: ${name}`),
    ]);
  });

  it.each([
    [{ prefix: 'x' }, '/api/*', 'routes.0.rewrite.prefix: "x" is no path'],
    [{ prefix: '/a b' }, '/api/*', 'routes.0.rewrite.prefix: "/a b" is no path'],
    [{ prefix: '/a/../b' }, '/api/*', 'routes.0.rewrite.prefix: "/a/../b" is no path'],
    [{ prefix: '/x' }, '/api', 'routes.0.rewrite.prefix: needs a match.path that ends with "/*"'],
    [{ prefix: '/x' }, ['/api/*', '/a'], 'routes.0.rewrite.prefix: needs a match.path that ends with "/*"'],
    [{ prefix: '/x' }, ['/api/{a}', '/api/{b}/*'], 'routes.0.rewrite.prefix: needs a match.path that ends with "/*"'],
    [{ prefix: '/x', path: '/y' }, '/api/*', 'routes.0.rewrite.prefix: "prefix" beside "path"'],
    [{ path: 'x' }, '/api/*', 'routes.0.rewrite.path: "x" is no path'],
    [{ host: 'http://x' }, '/api/*', 'routes.0.rewrite.host: "http://x" is no host'],
  ])('rewrite %j is refused', (rewrite, path, message) => {
    expect(problemsOf({ name: 'a', match: { path }, ...http, rewrite })).toEqual([message]);
  });

  it('values may name only what every path has', () => {
    const headers = { request: { set: { 'X-A': '{a}', 'X-B': '{b}' } } };
    const match = { path: ['/{a}', '/{a}/{b}'] };
    expect(problemsOf({ name: 'a', match, ...http, headers })).toEqual([
      expect.stringContaining('routes.0.headers.request.set.X-B: {b} is no variable'),
    ]);
  });

  it.each([
    [{}, {}, 'routes.0.redirect: changes nothing'],
    [{ scheme: 'https' }, {}, 'routes.0.redirect.scheme: would redirect to itself'],
    [{ scheme: 'https' }, { scheme: 'https' }, 'routes.0.redirect.scheme: would redirect to itself'],
    [{ scheme: 'http' }, {}, 'routes.0.redirect.scheme: would redirect to itself'],
    [{ host: 'a:1' }, {}, 'routes.0.redirect.host: "a:1" is no host'],
    [{ path: 'x' }, {}, 'routes.0.redirect.path: "x" is no path'],
    [{ path: '/x', prefix: '/y' }, {}, 'routes.0.redirect.prefix: "prefix" beside "path"'],
  ])('redirect %j is refused', (redirect, match, message) => {
    expect(problemsOf({ name: 'a', match, redirect })).toEqual([message]);
  });

  it('an answer without a body has none', () => {
    expect(problemsOf({ name: 'a', respond: { status: 204, body: 'x' } })).toEqual([
      'routes.0.respond.body: an answer with status 204 has no body',
    ]);
  });

  it('routes of all plain kinds shadow each other, by scheme too', () => {
    const redirect = { name: 'tls', match: { scheme: 'http' }, redirect: { scheme: 'https' } };
    const respond = { name: 'gone', match: { path: '/old/*' }, respond: { status: 410 } };
    expect(problemsOf(redirect, respond, { name: 'api', ...http })).toEqual([]);
    const under = { name: 'under', match: { scheme: 'http', path: '/x' }, ...http };
    expect(problemsOf(redirect, under)).toEqual([expect.stringContaining('route under is never reached for http')]);
    expect(problemsOf(respond, { ...respond, name: 'again' })).toHaveLength(1);
  });
});

describe('where a request goes', () => {
  const sentAs = (match: object, rewrite: object, target: string) => forwarded({ match, rewrite }, { target }).target;
  const ws = { path: ['/ws', '/ws/*'] };
  it.each([
    [ws, { prefix: '/' }, '/ws', '/'],
    [ws, { prefix: '/' }, '/ws?a', '/?a'],
    [ws, { prefix: '/' }, '/ws/', '/'],
    [ws, { prefix: '/' }, '/ws/a/b', '/a/b'],
    [ws, { prefix: '/app' }, '/ws', '/app'],
    [ws, { prefix: '/app' }, '//ws//a', '/app/a'],
    [{ path: ['/{t}/*', '/{t}'] }, { prefix: '/app' }, '/x', '/app'],
    [{ path: ['/a/*', '/b/c/*', '/b/c'] }, { prefix: '/' }, '/b/c/d', '/d'],
    [{ path: ['/a/*', '/b/c/*', '/b/c'] }, { prefix: '/' }, '/a/c/d', '/c/d'],
    [{ path: '/ws' }, { path: '/socket' }, '/ws?a', '/socket?a'],
    [ws, { path: '/socket' }, '/ws/a/b', '/socket'],
  ])('%j with %j: %s goes to %s', (match, rewrite, target, sent) => expect(sentAs(match, rewrite, target)).toBe(sent));
  it('a Location comes back under the prefix that the client used', () => {
    const of = (target: string) =>
      forwarded({ match: ws, rewrite: { prefix: '/' } }, { target }).response('Location', '/login');
    expect([of('/ws'), of('//ws//a')]).toEqual([['Location: /ws/login'], ['Location: /ws/login']]);
  });
  it.each(['Location', 'Content-Location'])('%s never leads to another host where the prefix is taken away', (name) => {
    const { target, response } = forwarded(
      { match: { path: '/*' }, rewrite: { prefix: '/app' } },
      { target: '//evil.test' },
    );
    expect(target).toBe('/app/evil.test');
    expect(response(name, '/app//evil.test/')).toEqual([`${name}: /evil.test/`]);
    expect(response(name, '/app/\\evil.test/')).toEqual([`${name}: /evil.test/`]);
  });
});

describe('a request', () => {
  const headers = {
    request: {
      set: { 'X-Client': '{client_ip}', 'X-Forwarded-Host': 'fixed' },
      append: { 'x-tag': '{method}' },
      remove: ['Cookie', 'X-Forwarded-Proto'],
    },
  };
  it('has fields set, appended and removed, ours too, under an alias too', () => {
    const fields = { 'x-client': 'forged', X_CLIENT: 'forged', Cookie: 'a=b', 'X-Tag': 'own' };
    expect(forwarded({ headers }, { fields }).request).toEqual([
      'Host: app.example.com',
      'X-Tag: own',
      'X-Forwarded-For: 203.0.113.9',
      'X-Request-Id: fresh',
      'X-Client: 203.0.113.9',
      'X-Forwarded-Host: fixed',
      'x-tag: GET',
    ]);
  });

  it.each([
    ['keep', 'Host: app.example.com'],
    ['upstream', 'Host: rest:9002'],
    ['other:81', 'Host: other:81'],
  ])('with rewrite.host %s has %s, and X-Forwarded-Host as it was', (host, line) => {
    const { request } = forwarded({ rewrite: { host } });
    expect(request[0]).toBe(line);
    expect(request).toContain('X-Forwarded-Host: app.example.com');
  });

  it('says where it comes from in the words of RFC 7239', () => {
    const plain = forwarded({}, { peer: '2001:db8::1', fields: { Host: 'a:81' } }, { forwarding: 'forwarded' });
    expect(plain.request).toEqual([
      'Host: a:81',
      'Forwarded: for="[2001:db8::1]";host="a:81";proto=http',
      'X-Request-Id: fresh',
    ]);
    const fields = { 'X-Forwarded-For': '1.1.1.1, 2.2.2.2', 'X-Forwarded-Proto': 'https' };
    const chained = forwarded({}, { peer: '10.0.0.1', fields }, { forwarding: 'both' });
    expect(chained.request).toEqual([
      'Host: app.example.com',
      'X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: app.example.com',
      'Forwarded: for=1.1.1.1, for=2.2.2.2, for=10.0.0.1;host=app.example.com;proto=https',
      'X-Request-Id: fresh',
    ]);
  });

  it('appends to the Forwarded of a trusted peer, and drops that of any other', () => {
    const fields = { Forwarded: 'for=1.1.1.1' };
    const global = { forwarding: 'forwarded', believe: 'forwarded' } as const;
    const lines = (peer: string) => forwarded({}, { peer, fields }, global).request.join('\n');
    expect(lines('10.0.0.1')).toContain('Forwarded: for=1.1.1.1, for=10.0.0.1;');
    expect(lines('203.0.113.9')).not.toContain('1.1.1.1');
  });

  it('carries Via where it has a name, behind what was there', () => {
    const { request, response } = forwarded({}, { version: '1.0', fields: { Via: '1.1 cdn' } }, { via: 'edge' });
    expect(request.filter((line) => line.startsWith('Via'))).toEqual(['Via: 1.1 cdn', 'Via: 1.0 edge']);
    expect(response('Server', 'x')).toEqual(['Server: x', 'Via: 1.1 edge']);
    const { request: of2 } = forwarded({}, { http2: { scheme: 'https' } }, { via: 'edge' });
    expect(of2.filter((line) => line.startsWith('Via'))).toEqual(['Via: 2.0 edge']);
  });
});

describe('an answer', () => {
  it('has fields set, appended and removed', () => {
    const headers = {
      response: { set: { Server: 'upgate' }, append: { 'Set-Cookie': 'id={request_id}' }, remove: ['X-Powered-By'] },
    };
    expect(forwarded({ headers }).response('server', 'x', 'x-powered-by', 'y', 'Set-Cookie', 'a=b')).toEqual([
      'Set-Cookie: a=b',
      'Server: upgate',
      'Set-Cookie: id=fresh',
    ]);
  });

  it('shows the client its own paths and host', () => {
    const route = { match: { path: '/api/*' }, rewrite: { prefix: '/', host: 'upstream' } };
    const { response, target } = forwarded(route, { target: '/api/x', secure: true });
    expect(target).toBe('/x');
    expect(response('Location', 'http://rest:9002/y', 'Set-Cookie', 'a=b; Path=/; Domain=rest')).toEqual([
      'Location: https://app.example.com/api/y',
      'Set-Cookie: a=b; Path=/api/',
    ]);
  });
});

describe('an answer of the gateway’s own', () => {
  const client = { address: '203.0.113.9', viaTrusted: false, id: 'fresh', connection: 'fresh' };
  function own(route: object, change: Change = {}) {
    const table = tableOf({ name: 'own', ...route });
    const verdict = decide(table, attribute(plainHead({ target: '/', ...change }), trusted, () => 'fresh').head, '');
    if (verdict.kind !== 'respond') return verdict.kind === 'reject' ? verdict.rejection.reason : verdict.kind;
    return { status: verdict.status, fields: verdict.fields(client, null), body: verdict.body };
  }
  const location = (route: object, change: Change) => {
    const answer = own(route, change);
    return typeof answer === 'string' ? answer : answer.fields[1];
  };
  const tls = { match: { scheme: 'http' }, redirect: { scheme: 'https' } };

  it('redirects to TLS with 308, keeping host, path and query', () => {
    const change = { target: '/a%2fb/x/../c?d=%20&', fields: { Host: 'App.example.com:8080' } };
    expect(own(tls, change)).toEqual({
      status: 308,
      fields: ['Location', 'https://app.example.com/a%2fb/x/../c?d=%20&'],
      body: null,
    });
  });
  it('leaves what came over TLS alone, also where a trusted proxy says so', () => {
    expect(own(tls, { secure: true })).toBe('no_route');
    const fields = { 'X-Forwarded-Proto': 'https' };
    expect(own(tls, { peer: '10.0.0.1', fields })).toBe('no_route');
    expect(own(tls, { fields })).toMatchObject({ status: 308 });
  });
  it.each([
    [{ scheme: 'https', port: 8443 }, 'https://app.example.com:8443/x/y?q'],
    [{ host: 'new.example' }, 'http://new.example/x/y?q'],
    [{ port: 82 }, 'http://app.example.com:82/x/y?q'],
    [{ path: '/new' }, 'http://app.example.com:81/new?q'],
    [{ prefix: '/z', status: 302 }, 'http://app.example.com:81/z/y?q'],
    [{ prefix: '/' }, 'http://app.example.com:81/y?q'],
  ])('redirect %j', (redirect, to) => {
    const match = { path: '/x/*', scheme: 'http' };
    expect(location({ match, redirect }, { target: '/x/y?q', fields: { Host: 'app.example.com:81' } })).toBe(to);
  });
  it('needs a host to redirect to', () => {
    expect(own(tls, { version: '1.0', fields: { Host: null } })).toBe('malformed');
  });
  it('responds with what is written, variables filled in', () => {
    const respond = { status: 503, body: 'back soon', headers: { 'Retry-After': '60', 'X-Id': '{request_id}' } };
    expect(own({ respond })).toEqual({
      status: 503,
      fields: ['Content-Type', 'text/plain; charset=utf-8', 'Retry-After', '60', 'X-Id', 'fresh'],
      body: 'back soon',
    });
  });
});
