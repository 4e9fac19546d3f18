// What `explain` says: whole texts, and that it says what decide() does.
import { describe, expect, it } from 'vitest';
import { compileTrustedProxies } from '../../../../src/http/forwarding/forwarded.ts';
import { decide, type Forward } from '../../../../src/routing/decide.ts';
import { explain, formatAccess, formatOutcome, type Verified } from '../../../../src/routing/explain/explain.ts';
import { type ExplainOptions, parseExplainRequest } from '../../../../src/routing/explain/explain-request.ts';
import { configOf, http, plainHead, splice, tableOf, terminate } from '../../../support/heads.ts';

const routes = [
  {
    name: 'chat',
    match: { host: 'app.example.com', path: '/ws/*' },
    ...splice({ origins: ['https://app.example.com', 'https://*.example.com'], subprotocols: ['chat.v2', 'chat.v1'] }),
  },
  { name: 'echo', match: { path: '/local/echo' }, ...terminate() },
  { name: 'api', match: { path: '/*' }, ...http },
];
const table = tableOf(...routes);
const { upstreams } = configOf(routes);
const trusted = compileTrustedProxies(['10.0.0.0/8']);

function ask(url: string, options: ExplainOptions = {}) {
  const question = parseExplainRequest(url, options);
  if (typeof question === 'string') throw new Error(question);
  return explain(table, question, { trusted, upstreams });
}

describe('a route that asks for credentials', () => {
  const from = ['header', { cookie: 'session' }, { query: 'access_token' }, { subprotocol: 'bearer.' }];
  const auth = { jwt: { from, algorithms: ['RS256'], jwks: 'https://login.example.com/jwks' } };
  const limits = { connections: 9, connections_per_ip: 3 };
  const guarded = tableOf({ name: 'chat', auth, ...splice({ origins: 'any', limits }), ...http });
  const askFor = (url: string, judged: Verified | null = null, options: ExplainOptions = {}) => {
    const question = parseExplainRequest(url, options);
    if (typeof question === 'string') throw new Error(question);
    return explain(guarded, question, { trusted, upstreams, verified: judged });
  };
  const WHERE = '(jwt from header, cookie session, query access_token, subprotocol bearer.…)';

  it('shows the steps of the way in, and never the token', () => {
    const protocol = 'chat, bearer.S3CRET';
    const { lines, credentials } = askFor('ws://a/ws?access_token=S3CRET&x=1', null, { protocol });
    expect(lines).toEqual([
      'GET /ws?x=1, Host a, no TLS, from 127.0.0.1',
      '  yes  kind: a WebSocket handshake',
      '  yes  route chat: fits',
      '  yes  handshake: version 13',
      '  yes  origin: none (missing_origin: allow)',
      '  yes  subprotocol: chat (subprotocols: any)',
      '  ?    limits: connections_per_ip 3',
      `  ?    auth: not looked at: --token shows one ${WHERE}`,
      '  ?    limits: connections 9',
      '-> 101 if the backend agrees: splice to upstream chat (ws://127.0.0.1:9001)',
    ]);
    expect(credentials).toEqual({ route: 'chat', token: 'S3CRET' });
  });
  it('says what came of them', () => {
    const good = askFor('ws://a/ws', { refused: null, detail: 'ada, for ever' });
    expect(good).toMatchObject({ status: 101, reason: null });
    expect(good.lines).toContain(`  yes  auth: ada, for ever ${WHERE}`);
    const bad = askFor('http://a/', { refused: { status: 401, reason: 'auth' }, detail: 'the token has expired' });
    expect(bad).toMatchObject({ status: 401, reason: 'auth' });
    expect(bad.lines.slice(-2)).toEqual([
      `  no   auth: the token has expired ${WHERE}`,
      '-> 401 auth: the token has expired',
    ]);
  });
  it('asks for none where the request does not get that far', () => {
    const { lines, credentials } = askFor('ws://a/ws?access_token=S3CRET', null, { version: '7' });
    expect(credentials).toBeNull();
    expect(lines.join()).not.toContain('S3CRET');
  });
  it('of another kind than tokens says which', () => {
    const { route, ...verdict } = decide(guarded, plainHead(), '') as Forward;
    expect(
      formatAccess(
        { ...verdict, route: { ...route, auth: { kind: 'basic', token: null, preflight: 'check', recheckMs: null } } },
        null,
      ),
    ).toEqual(['  ?    auth: not looked at (basic)']);
  });
  it('shows a target that no one can read as it is', () => {
    expect(askFor('ws://a/%zz').lines[0]).toContain('/%zz');
  });
});
it('says that somebody comes over a unix socket', () =>
  expect(ask('http://localhost/', { from: 'unix' }).lines[0]).toBe(
    'GET /, Host localhost, no TLS, from a unix socket',
  ));

describe('a request that is admitted', () => {
  it('to be spliced', () => {
    const options = { origin: 'https://a.example.com', protocol: 'chat.v1, other', from: '203.0.113.9' };
    expect(ask('wss://app.example.com/ws/1?token=x', options)).toEqual({
      lines: [
        'GET /ws/1?token=x, Host app.example.com, TLS, from 203.0.113.9',
        '  yes  kind: a WebSocket handshake',
        '  yes  route chat: fits',
        '  yes  handshake: version 13',
        '  yes  origin: https://a.example.com (origins: https://app.example.com, https://*.example.com)',
        '  yes  subprotocol: chat.v1, other (subprotocols: chat.v2, chat.v1)',
        '-> 101 if the backend agrees: splice to upstream chat (ws://127.0.0.1:9001)',
      ],
      status: 101,
      reason: null,
      credentials: null,
    });
  });
  it('to be terminated', () => {
    expect(ask('ws://localhost:8080/local/echo', { from: '10.1.2.3' })).toEqual({
      lines: [
        'GET /local/echo, Host localhost:8080, no TLS, from 10.1.2.3, a trusted proxy',
        '  yes  kind: a WebSocket handshake',
        '  no   route chat: host is not app.example.com',
        '  yes  route echo: fits',
        '  yes  handshake: version 13',
        '  yes  origin: none (missing_origin: allow)',
        '  yes  subprotocol: none (subprotocols: any)',
        '-> 101, terminated here by handler echo',
      ],
      status: 101,
      reason: null,
      credentials: null,
    });
  });
  it('to be forwarded', () => {
    expect(ask('http://app.example.com/x')).toEqual({
      lines: [
        'GET /x, Host app.example.com, no TLS, from 127.0.0.1',
        '  yes  kind: plain HTTP',
        '  yes  route api: fits',
        '-> forwarded to upstream rest (http://127.0.0.1:9002, http://127.0.0.1:9003)',
      ],
      status: null,
      reason: null,
      credentials: null,
    });
  });
});

describe('whom a trusted proxy speaks for', () => {
  const header = ['X-Forwarded-For: [2001:db8::9]:4711', 'X-Forwarded-Proto: https'];
  it('is shown with the scheme that the proxy says', () => {
    expect(ask('http://app.example.com/x', { from: '10.1.2.3', header }).lines[0]).toBe(
      'GET /x, Host app.example.com, TLS, from 10.1.2.3, a trusted proxy that speaks for 2001:db8::9',
    );
  });
  it('is nobody where the proxy is not trusted', () => {
    expect(ask('http://app.example.com/x', { from: '11.1.2.3', header }).lines[0]).toBe(
      'GET /x, Host app.example.com, no TLS, from 11.1.2.3',
    );
  });
});

describe('a request that is refused', () => {
  const chat = 'wss://app.example.com/ws/1';
  it.each([
    [chat, { origin: 'https://evil.example', protocol: 'chat.v1' }, 403, 'origin'],
    [chat, { origin: 'https://app.example.com@evil.example', protocol: 'chat.v1' }, 403, 'origin'],
    [chat, { protocol: 'other' }, 400, 'subprotocol'],
    [chat, { protocol: 'a b' }, 400, 'malformed'],
    [chat, { version: '8' }, 426, 'version'],
    [chat, { version: 'x' }, 400, 'malformed'],
    ['wss://other.example/ws/1', {}, 404, 'no_route'],
    ['wss://app.example.com/ws/%00', {}, 400, 'malformed'],
    ['wss://app.example.com/ws/a b', {}, 400, 'malformed'],
  ])('%s with %j is %d %s', (url, options, status, reason) => {
    const answer = ask(url, options);
    expect(answer).toMatchObject({ status, reason });
    expect(answer.lines.at(-1)).toMatch(new RegExp(`^-> ${status} ${reason}: \\w`));
    expect(answer.lines.at(-2)).toMatch(/^ {2}no {3}/);
  });
  it('names the plain route that a handshake cannot have', () => {
    expect(ask('wss://app.example.com/wsx').lines.slice(1)).toEqual([
      '  yes  kind: a WebSocket handshake',
      '  no   route chat: path is not /ws/*',
      '  no   route echo: path is not /local/echo',
      '  no   route api: fits, but takes only plain HTTP',
      '-> 404 no_route: no route takes a WebSocket here',
    ]);
  });
  it('names the websocket route that a plain request cannot have', () => {
    const question = parseExplainRequest('http://h/local/echo', {});
    if (typeof question === 'string') throw new Error(question);
    const { lines } = explain(tableOf({ name: 'echo', ...terminate() }), question, { trusted, upstreams: {} });
    expect(lines.slice(2)).toEqual([
      '  no   route echo: fits, but takes only WebSockets',
      '-> 426 upgrade_required: this resource accepts only WebSocket connections',
    ]);
  });
});

const nobody = { address: '203.0.113.9', viaTrusted: false, id: '', connection: '' };

describe('outcomes', () => {
  it('a redirect says where to', () => {
    const routes = tableOf({ name: 'tls', match: { scheme: 'http' }, redirect: { scheme: 'https' } });
    const question = parseExplainRequest('http://h:8080/a?b', {});
    if (typeof question === 'string') throw new Error(question);
    const { lines, status } = explain(routes, question, { trusted, upstreams: {} });
    expect({ last: lines.at(-1), status }).toEqual({
      last: '-> 308 to https://h/a?b, answered by the gateway itself',
      status: 308,
    });
  });
  it('a rewritten path is shown', () => {
    const routes = tableOf({ name: 'api', match: { path: '/api/*' }, ...http, rewrite: { prefix: '/' } });
    const { lines } = explain(routes, { head: plainHead({ target: '/api/x?y' }) }, { trusted, upstreams: {} });
    expect(lines.slice(-2)).toEqual(['  yes  path: sent as /x?y', '-> forwarded to upstream rest as /x?y']);
  });
  it('the gateway may answer by itself', () => {
    expect(formatOutcome(decide(table, plainHead({ method: 'OPTIONS', target: '*' }), ''), upstreams, nobody)).toEqual({
      line: '-> 204, answered by the gateway itself',
      status: 204,
      reason: null,
    });
  });
  it('an upstream of which nothing is known is only named', () => {
    expect(formatOutcome(decide(table, plainHead(), ''), {}, nobody).line).toBe('-> forwarded to upstream rest');
  });
});
