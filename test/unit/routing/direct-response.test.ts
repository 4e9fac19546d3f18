// What a route answers by itself, and what it does with bodies and paths, as decide() says it.
import { describe, expect, it } from 'vitest';
import { attribute, compileTrustedProxies } from '../../../src/http/forwarding/forwarded.ts';
import { requestFields, responsePolicy } from '../../../src/http/policy/policy.ts';
import { decide, type TraceStep, type Verdict } from '../../../src/routing/decide.ts';
import { type Change, handshakeHead, plainHead, splice, tableOf } from '../../support/heads.ts';

const http = { http: { upstream: 'rest' } };

function ask(route: object, change: Change = {}): Verdict {
  return decide(tableOf({ name: 'r', ...route }), plainHead(change), '');
}

function location(route: object, change: Change = {}): string | undefined {
  const verdict = ask({ redirect: route }, change);
  if (verdict.kind !== 'respond') throw new Error(verdict.kind);
  const fields = verdict.fields({ address: '203.0.113.9', viaTrusted: false, id: 'id', connection: 'id' }, null);
  return fields[fields.indexOf('Location') + 1];
}

describe('a redirect', () => {
  it.each([
    [{ host: 'b.example' }, { target: '/x?y' }, 'http://b.example/x?y'],
    [{ host: 'b.example' }, { secure: true, target: '/' }, 'https://b.example/'],
    [{ port: 8443 }, { target: '/x' }, 'http://app.example.com:8443/x'],
    [
      { path: '/moved' },
      { target: '/x?y', fields: { Host: 'app.example.com:81' } },
      'http://app.example.com:81/moved?y',
    ],
    [{ prefix: '/v2' }, { target: '/x/z?y' }, 'http://app.example.com/v2/x/z?y'],
    [{ prefix: '/', host: 'b.example' }, { target: '/' }, 'http://b.example/'],
  ])('%j of %j goes to %s', (redirect, change, to) => expect(location(redirect, change)).toBe(to));

  it('needs a host to lead to', () => {
    const change: Change = { version: '1.0', target: '/', fields: { Host: null } };
    expect(ask({ redirect: { path: '/moved' } }, change)).toMatchObject({ kind: 'reject', rejection: { status: 400 } });
    expect(location({ host: 'b.example' }, change)).toBe('http://b.example/');
  });
});

describe('a handshake', () => {
  const tls = { name: 'tls', match: { scheme: 'http' }, redirect: { scheme: 'https' } };
  const chat = { name: 'chat', match: { path: '/ws/*' }, ...splice({ origins: 'any' }) };
  const of = (routes: object[], change: Change = {}) => decide(tableOf(...routes), handshakeHead(change), '192.0.2.1');
  const nameOf = (verdict: Verdict) => [verdict.kind, verdict.route?.name];

  it('is redirected to TLS as a plain request is, and spliced over TLS', () => {
    const verdict = of([tls, chat], { target: '/ws/a?b' });
    if (verdict.kind !== 'respond') throw new Error(verdict.kind);
    const client = { address: '203.0.113.9', viaTrusted: false, id: 'id', connection: 'id' };
    expect([verdict.status, verdict.fields(client, null)]).toEqual([
      308,
      ['Location', 'https://app.example.com/ws/a?b'],
    ]);
    expect(nameOf(of([tls, chat], { target: '/ws/a', secure: true }))).toEqual(['splice', 'chat']);
  });
  it('gets a fixed answer, whatever kind of route comes behind it, and not what comes before', () => {
    const closed = { name: 'closed', match: { path: '/ws/old/*' }, respond: { status: 410 } };
    const both = { name: 'both', match: { path: '/ws/*' }, respond: { status: 200 }, ...splice({ origins: 'any' }) };
    expect(nameOf(of([closed, chat], { target: '/ws/old/a' }))).toEqual(['respond', 'closed']);
    expect(nameOf(of([closed, chat], { target: '/ws/new' }))).toEqual(['splice', 'chat']);
    expect(nameOf(of([chat, { ...closed, match: {} }], { target: '/ws/x' }))).toEqual(['splice', 'chat']);
    // A rule of its own for handshakes comes before the answer of the same route.
    expect(nameOf(of([both], { target: '/ws/x' }))).toEqual(['splice', 'both']);
  });
  it('is none that such a route judges: a bad key, version or Origin is answered all the same', () => {
    const fields = { 'Sec-WebSocket-Key': 'x', 'Sec-WebSocket-Version': '7', Origin: 'https://evil.example' };
    expect(nameOf(of([tls, chat], { target: '/ws/a', fields }))).toEqual(['respond', 'tls']);
  });
  it('of an address that the route refuses gets no answer of it', () => {
    const verdict = of([{ name: 'gone', deny: ['192.0.2.0/24'], respond: { status: 410 } }]);
    expect(verdict).toMatchObject({ kind: 'reject', rejection: { status: 403, reason: 'address' } });
  });
  it('is explained like any other', () => {
    const steps: TraceStep[] = [];
    decide(tableOf(tls, chat), handshakeHead({ target: '/ws/a' }), '', (step) => steps.push(step));
    expect(steps.map(({ rule, passed }) => [rule, passed])).toEqual([
      ['kind', true],
      ['route tls', true],
    ]);
  });
});

describe('a fixed answer', () => {
  const client = { address: '203.0.113.9', viaTrusted: false, id: 'id', connection: 'id' };
  const respond = (config: object) => {
    const verdict = ask({ respond: config });
    if (verdict.kind !== 'respond') throw new Error(verdict.kind);
    return { status: verdict.status, body: verdict.body, fields: verdict.fields(client, null) };
  };

  it('has its body, its type and its fields', () => {
    expect(respond({ status: 503, body: 'closed', headers: { 'X-Client': '{client_ip}' } })).toEqual({
      status: 503,
      body: 'closed',
      fields: ['Content-Type', expect.stringContaining('text/plain'), 'X-Client', '203.0.113.9'],
    });
  });
  it('may have an empty one, or none', () => {
    expect(respond({ status: 200 })).toEqual({ status: 200, body: '', fields: [] });
    expect(respond({ status: 204 })).toEqual({ status: 204, body: null, fields: [] });
  });
});

describe('a body', () => {
  const limited = { http: { upstream: 'rest', max_body: '4B' } };
  it('that is announced larger than the route takes is 413, and the trace says so', () => {
    const steps: TraceStep[] = [];
    const head = plainHead({ method: 'POST', fields: { 'Content-Length': '5' } });
    const verdict = decide(tableOf({ name: 'r', ...limited }), head, '', (step) => steps.push(step));
    expect(verdict).toMatchObject({ kind: 'reject', rejection: { status: 413, reason: 'body_too_large' } });
    expect(steps.at(-1)).toMatchObject({ rule: 'body', passed: false });
    expect(decide(tableOf({ name: 'r', ...limited }), head, '').kind).toBe('reject');
  });
  it.each([{ 'Content-Length': '4' }, {}, { 'Transfer-Encoding': 'chunked' }])('%j passes', (fields) =>
    expect(ask(limited, { method: 'POST', fields }).kind).toBe('forward'),
  );
});

describe('a path that is rewritten', () => {
  const rejecting = { ...http, rewrite: { encoded_slashes: 'reject' } };
  it('is refused where it may hold no encoded slash, with and without a trace', () => {
    expect(ask(rejecting, { target: '/a%2fb' })).toMatchObject({ kind: 'reject', rejection: { reason: 'malformed' } });
    const steps: TraceStep[] = [];
    decide(tableOf({ name: 'r', ...rejecting }), plainHead({ target: '/a%2fb' }), '', (step) => steps.push(step));
    expect(steps.at(-1)).toMatchObject({ rule: 'path', passed: false });
  });
  it('is refused for a handshake too', () => {
    const route = {
      name: 'r',
      websocket: { mode: 'splice', upstream: 'chat', origins: 'any' },
      rewrite: { encoded_slashes: 'reject' },
    };
    const fields = {
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version': '13',
    };
    expect(decide(tableOf(route), plainHead({ target: '/a%2fb', fields }), '')).toMatchObject({ kind: 'reject' });
  });
});

describe('fields by a route’s policy', () => {
  const trusted = compileTrustedProxies([]);

  function forwarded(route: object, change: Change = {}) {
    const verdict = ask({ ...http, ...route }, change);
    if (verdict.kind !== 'forward') throw new Error(verdict.kind);
    const { request, route: compiled, sent, params } = verdict;
    const facts = {
      request,
      client: attribute(request.head, trusted, () => 'id').client,
      route: 'r',
      params,
      claims: null,
      granted: [],
    };
    return {
      request: requestFields(facts, new Set(), compiled.policy, 'backend:9002'),
      answer: responsePolicy(compiled.policy, { facts, sent, own: 'backend:9002' }),
    };
  }

  it('sets, removes and appends', () => {
    const { request } = forwarded(
      {
        headers: {
          request: { set: { 'X-A': '{host}' }, remove: ['X-Forwarded-Host', 'Cookie'], append: { 'X-B': '2' } },
        },
      },
      { fields: { 'X-A': 'forged', x_a: 'forged', Cookie: 'a', 'X-B': '1' } },
    );
    expect(request).not.toContain('forged');
    expect(request).not.toContain('X-Forwarded-Host');
    expect(request.slice(-4)).toEqual(['X-A', 'app.example.com', 'X-B', '2']);
  });

  it('gives the server’s own Host, or another, or none', () => {
    expect(forwarded({ rewrite: { host: 'upstream' } }).request.slice(0, 2)).toEqual(['Host', 'backend:9002']);
    expect(forwarded({ rewrite: { host: 'b.example' } }).request.slice(0, 2)).toEqual(['Host', 'b.example']);
  });

  it('shows a Location of the backend’s own under the client’s address', () => {
    const { answer } = forwarded({ rewrite: { host: 'upstream' } });
    expect(answer(['Location', 'http://backend:9002/x', 'Content-Location', '/y', 'X', '1'])).toEqual([
      'Location',
      'http://app.example.com/x',
      'Content-Location',
      '/y',
      'X',
      '1',
    ]);
    const secure = forwarded({ rewrite: { host: 'upstream' } }, { secure: true });
    expect(secure.answer(['Location', 'http://backend:9002/x'])).toEqual(['Location', 'https://app.example.com/x']);
  });

  it('leaves a Location alone where an HTTP/1.0 client named no host', () => {
    const { answer } = forwarded({ rewrite: { host: 'upstream' } }, { version: '1.0', fields: { Host: null } });
    expect(answer(['Location', 'http://backend:9002/x'])).toEqual(['Location', 'http://backend:9002/x']);
  });
});

describe('encoded slashes that are decoded', () => {
  const route = { ...http, match: { path: '/api/*' }, rewrite: { encoded_slashes: 'decode' } };
  it('are sent so where the path stays on the route', () => {
    expect(ask(route, { target: '/api/a%2Fb' })).toMatchObject({ kind: 'forward', sent: { target: '/api/a/b' } });
  });
  it('are refused where it would leave it', () => {
    expect(ask(route, { target: '/api/a%2F..%2F..%2Fadmin' })).toMatchObject({ kind: 'reject' });
  });
});
