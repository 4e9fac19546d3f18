// From a head to a verdict: the table of answers, row by row, the order of the rules, and what the trace is told.
import { describe, expect, it } from 'vitest';
import { decide, type TraceStep } from '../../../src/routing/decide.ts';
import { type Change, handshakeHead, http, plainHead, splice, tableOf, terminate } from '../../support/heads.ts';

const table = tableOf(
  {
    name: 'chat',
    match: { host: 'app.example.com', path: '/ws/*' },
    ...splice({
      origins: ['https://app.example.com'],
      subprotocols: ['chat.v2', 'chat.v1'],
      subprotocol_required: false,
    }),
  },
  { name: 'echo', match: { path: '/local/echo' }, ...terminate({ versions: [13, 8] }) },
  { name: 'strict', match: { path: '/strict' }, ...terminate({ missing_origin: 'reject', subprotocols: ['a'] }) },
  { name: 'open', match: { path: '/open/{room}' }, ...terminate({ origins: 'any' }), ...http },
  { name: 'api', match: { path: '/api/*' }, ...http },
);
/** Whose address no rule but those of `address` looks at. */
const CLIENT = '192.0.2.1';
const handshake = (change: Change = {}) => decide(table, handshakeHead(change), CLIENT);
const plain = (change: Change = {}) => decide(table, plainHead(change), CLIENT);
const refused = (status: number, reason: string, route: string | null) => ({
  kind: 'reject',
  route: route === null ? null : expect.objectContaining({ name: route }),
  rejection: expect.objectContaining({ status, reason }),
});
const letIn = (kind: string, route: string) =>
  expect.objectContaining({ kind, route: expect.objectContaining({ name: route }) });

describe('a handshake that is admitted', () => {
  it('is spliced where its route splices', () => {
    expect(handshake()).toEqual(letIn('splice', 'chat'));
    expect(handshake()).toMatchObject({
      handshake: { key: 'dGhlIHNhbXBsZSBub25jZQ==', version: 13, origin: 'https://app.example.com', offer: [] },
      request: { target: { raw: '/ws/chat' } },
      params: {},
    });
  });
  it('is terminated where its route terminates', () => {
    expect(handshake({ target: '/local/echo' })).toEqual(letIn('terminate', 'echo'));
  });
  it('has the parameters of its path', () => {
    expect(handshake({ target: '/open/lobby' })).toMatchObject({ params: { room: 'lobby' } });
  });
  it('has its offer cut to what may pass', () => {
    const fields = { 'Sec-WebSocket-Protocol': 'other, chat.v1' };
    expect(handshake({ fields })).toMatchObject({ handshake: { offer: ['chat.v1'] } });
    expect(handshake({ fields: { 'Sec-WebSocket-Protocol': 'other' } })).toMatchObject({ handshake: { offer: [] } });
  });
  it('may be without Origin where that is allowed', () =>
    expect(handshake({ fields: { Origin: null } })).toEqual(letIn('splice', 'chat')));
  it('may be of version 8 where that is listed, with its Origin in Sec-WebSocket-Origin', () => {
    const old = { Origin: null, 'Sec-WebSocket-Version': '8' };
    const from = (origin: string) =>
      handshake({ target: '/local/echo', fields: { ...old, 'Sec-WebSocket-Origin': origin } });
    expect(from('http://app.example.com')).toEqual(letIn('terminate', 'echo'));
    expect(from('http://evil.example')).toEqual(refused(403, 'origin', 'echo'));
  });
  it('may name its host in an absolute-form target', () => {
    const change = { target: 'http://app.example.com/ws/chat', fields: { Host: 'other.example' } };
    expect(handshake(change)).toEqual(letIn('splice', 'chat'));
  });
  it('may name another protocol beside websocket', () =>
    expect(handshake({ fields: { Upgrade: 'h2c, websocket' } })).toEqual(letIn('splice', 'chat')));
});

describe('the table of answers: handshakes', () => {
  it.each([
    ['not GET', { method: 'POST' }, 405, 'method'],
    ['not HTTP/1.1', { version: '1.0' }, 400, 'malformed'],
    ['a bad key', { fields: { 'Sec-WebSocket-Key': 'x' } }, 400, 'key'],
    ['a body', { fields: { 'Content-Length': '5' } }, 400, 'malformed'],
    ['no version', { fields: { 'Sec-WebSocket-Version': null } }, 400, 'malformed'],
    ['a version not listed', { fields: { 'Sec-WebSocket-Version': '8' } }, 426, 'version'],
    ['Origin not listed', { fields: { Origin: 'https://evil.example' } }, 403, 'origin'],
    ['Origin null', { fields: { Origin: 'null' } }, 403, 'origin'],
    ['Origin empty', { fields: { Origin: '' } }, 403, 'origin'],
  ])('%s', (_, change, status, reason) => expect(handshake(change)).toEqual(refused(status, reason, 'chat')));
  it.each([
    ['no Host', { fields: { Host: null } }],
    ['two Hosts', { fields: { Host: ['app.example.com', 'app.example.com'] } }],
    ['a bad Host', { fields: { Host: 'a b' } }],
    ['an unknown HTTP version', { version: '3.0' }],
    ['two Origins', { fields: { Origin: ['https://app.example.com', 'https://evil.example'] } }],
    ['two Authorizations', { fields: { Authorization: ['Bearer a', 'Basic b'] } }],
    ['two ways of framing', { fields: { 'Content-Length': '0', 'Transfer-Encoding': 'chunked' } }],
    ['Origin named by Connection', { fields: { Connection: 'Upgrade, Origin' } }],
    ['a path above the root', { target: '/../ws' }],
    ['an escaped NUL', { target: '/ws/%00' }],
  ])('%s: 400 before any route', (_, change) => expect(handshake(change)).toEqual(refused(400, 'malformed', null)));
  it.each([
    ['a path of none', { target: '/nowhere' }],
    ['a prefix without its slash', { target: '/ws' }],
    ['a path that climbs out of the route', { target: '/ws/../admin' }],
    ['a path that climbs out of it in escapes', { target: '/ws/%2e%2e/admin' }],
    ['the path of an http route', { target: '/api/x' }],
    ['another host', { fields: { Host: 'other.example' } }],
    ['the target *', { target: '*' }],
  ])('%s: 404', (_, change) => expect(handshake(change)).toEqual(refused(404, 'no_route', null)));
  it.each(['/ws/..%2fadmin', '/ws/..;/admin', '/ws//../admin'])('%s, which climbs only for some: 400', (target) => {
    expect(handshake({ target })).toEqual(refused(400, 'malformed', null));
  });
  it('no Origin where one must be there', () => {
    const change = { target: '/strict', fields: { Origin: null } };
    expect(handshake(change)).toEqual(refused(403, 'origin', 'strict'));
    expect(handshake(change)).toMatchObject({ rejection: { detail: 'Origin is missing' } });
  });
  it('no subprotocol where one is required', () => {
    expect(handshake({ target: '/strict' })).toEqual(refused(400, 'subprotocol', 'strict'));
    expect(handshake({ target: '/strict', fields: { 'Sec-WebSocket-Protocol': 'a' } })).toEqual(
      letIn('terminate', 'strict'),
    );
  });
  it('426 tells the versions, newest first', () => {
    const change = { target: '/local/echo', fields: { 'Sec-WebSocket-Version': '7' } };
    expect(handshake(change)).toMatchObject({
      rejection: { fields: ['Upgrade', 'websocket', 'Sec-WebSocket-Version', '13, 8'] },
    });
  });
  it('a refusal says nothing of what would have been admitted', () => {
    const change = { fields: { Origin: 'https://evil.example' } };
    expect(JSON.stringify(handshake(change), ['kind', 'rejection', 'detail', 'fields'])).not.toContain('app.example');
  });
});

describe('the order of the rules', () => {
  it('a route is found before the handshake is read', () =>
    expect(handshake({ target: '/nowhere', method: 'POST' })).toEqual(refused(404, 'no_route', null)));
  it('the handshake is read before Origin is judged', () => {
    const fields = { Origin: 'https://evil.example', 'Sec-WebSocket-Key': 'x' };
    expect(handshake({ fields })).toEqual(refused(400, 'key', 'chat'));
  });
  it('Origin is judged before the subprotocol', () => {
    const change = { target: '/strict', fields: { Origin: 'https://evil.example' } };
    expect(handshake(change)).toEqual(refused(403, 'origin', 'strict'));
  });
});

describe('same-host is the default', () => {
  const from = (Origin: string, Host: string) => handshake({ target: '/local/echo', fields: { Origin, Host } });
  it.each([
    ['http://h.example', 'h.example'],
    ['https://H.example', 'h.example'],
    ['http://h.example:8080', 'h.example:8080'],
    ['https://h.example', 'h.example:443'],
  ])('%s to %s', (origin, host) => expect(from(origin, host)).toEqual(letIn('terminate', 'echo')));
  it.each([
    ['http://evil.example', 'h.example'],
    ['http://h.example:8081', 'h.example:8080'],
    ['null', 'null'],
  ])('not %s to %s', (origin, host) => expect(from(origin, host)).toEqual(refused(403, 'origin', 'echo')));
});

describe('plain requests', () => {
  it.each(['GET', 'POST', 'DELETE', 'OPTIONS', 'PROPFIND'])('%s is forwarded', (method) => {
    expect(plain({ method, target: '/api/x?y' })).toEqual(letIn('forward', 'api'));
    expect(plain({ method, target: '/api/x?y' })).toMatchObject({ request: { target: { raw: '/api/x?y' } } });
  });
  it('have the parameters of their path', () =>
    expect(plain({ target: '/open/lobby' })).toMatchObject({ kind: 'forward', params: { room: 'lobby' } }));
  it.each([
    ['HTTP/1.0', { version: '1.0' }],
    ['HTTP/1.0 without Host', { version: '1.0', fields: { Host: null } }],
    ['with a body', { method: 'POST', fields: { 'Transfer-Encoding': 'chunked' } }],
    ['h2c', { fields: { Upgrade: 'h2c', Connection: 'Upgrade, HTTP2-Settings', 'HTTP2-Settings': 'AAMAAABk' } }],
    ['websocket without Connection', { fields: { Upgrade: 'websocket' } }],
    ['Connection without websocket', { fields: { Connection: 'upgrade' } }],
    ['a backslash in the query', { target: '/api/x?q=\\' }],
  ])('%s is forwarded too', (_, change) =>
    expect(plain({ target: '/api/x', ...change })).toEqual(letIn('forward', 'api')),
  );
  it('where only a websocket route fits: 426 with Upgrade', () => {
    const verdict = plain({ target: '/local/echo' });
    expect(verdict).toEqual(refused(426, 'upgrade_required', 'echo'));
    expect(verdict).toMatchObject({ rejection: { fields: ['Upgrade', 'websocket'] } });
  });
  it('where nothing fits: 404', () => expect(plain({ target: '/nowhere' })).toEqual(refused(404, 'no_route', null)));
  it.each([
    ['a backslash', { target: '/api/..\\admin' }],
    ['no Host', { fields: { Host: null } }],
    ['both ways of framing', { method: 'POST', fields: { 'Content-Length': '1', 'Transfer-Encoding': 'chunked' } }],
  ])('%s: 400', (_, change) => expect(plain({ target: '/api/x', ...change })).toEqual(refused(400, 'malformed', null)));
});

describe('targets that name no resource', () => {
  it('OPTIONS * is answered here', () => {
    expect(plain({ method: 'OPTIONS', target: '*' })).toEqual({
      kind: 'respond',
      route: null,
      request: expect.objectContaining({ host: 'app.example.com' }),
      token: null,
      status: 204,
      fields: expect.any(Function),
      body: null,
    });
  });
  it('GET * is 400', () => expect(plain({ target: '*' })).toEqual(refused(400, 'malformed', null)));
  it.each(['app.example.com:443', '/api/x', '*'])('CONNECT %s is 405 with Allow', (target) => {
    expect(plain({ method: 'CONNECT', target })).toEqual(refused(405, 'method', null));
    expect(plain({ method: 'CONNECT', target })).toMatchObject({
      rejection: { fields: ['Allow', expect.any(String)] },
    });
    expect(handshake({ method: 'CONNECT', target })).toEqual(refused(405, 'method', null));
  });
});

describe('the client address', () => {
  const lists = { deny: ['10.9.0.0/16', 'unix'], allow: ['10.0.0.0/8', '2001:db8::/32'] };
  const route = { ...terminate({ origins: 'any' }), ...http };
  const guarded = tableOf(
    { name: 'both', match: { path: '/both' }, ...lists, ...route },
    { name: 'deny', match: { path: '/deny' }, deny: lists.deny, ...route },
    { name: 'allow', match: { path: '/allow' }, allow: lists.allow, ...route },
    { name: 'own', match: { path: '/own' }, allow: lists.allow, respond: { body: 'x' } },
    { name: 'ws', match: { path: '/ws' }, allow: lists.allow, ...terminate() },
    { name: 'all', match: { path: '/*' }, ...http },
  );
  const refusal = (route: string) => refused(403, 'address', route);

  it.each([
    ['/both', '10.1.0.1', true],
    ['/both', '::ffff:10.1.0.1', true],
    ['/both', '10.9.0.1', false],
    ['/both', '192.0.2.1', false],
    ['/both', '2001:db8::1', true],
    ['/both', '', false],
    ['/deny', '10.9.0.1', false],
    ['/deny', '10.1.0.1', true],
    ['/deny', '192.0.2.1', true],
    ['/deny', '', false],
    ['/allow', '10.9.0.1', true],
    ['/allow', '192.0.2.1', false],
    ['/allow', '', false],
    ['/allow', 'unknown', false],
  ])('at %s from %j: %s', (target, client, passes) => {
    const name = target.slice(1);
    for (const [head, kind] of [
      [plainHead({ target }), 'forward'] as const,
      [handshakeHead({ target }), 'terminate'] as const,
    ])
      expect(decide(guarded, head, client)).toEqual(passes ? letIn(kind, name) : refusal(name));
  });
  it('comes before what else is wrong with a handshake', () => {
    const head = handshakeHead({ target: '/both', method: 'POST', fields: { 'Sec-WebSocket-Key': 'x' } });
    expect(decide(guarded, head, '192.0.2.1')).toEqual(refusal('both'));
    expect(decide(guarded, head, '10.1.0.1')).toEqual(refused(405, 'method', 'both'));
  });
  it("comes before the gateway's own answers", () => {
    expect(decide(guarded, plainHead({ target: '/own' }), '192.0.2.1')).toEqual(refusal('own'));
    expect(decide(guarded, plainHead({ target: '/own' }), '10.1.0.1')).toEqual(letIn('respond', 'own'));
  });
  it('no other route steps in', () =>
    expect(decide(guarded, plainHead({ target: '/both' }), '192.0.2.1')).toEqual(refusal('both')));
  it('comes before 426, where only a WebSocket would fit', () => {
    const only = tableOf({ name: 'ws', match: { path: '/ws' }, allow: lists.allow, ...terminate() });
    expect(decide(only, plainHead({ target: '/ws' }), '192.0.2.1')).toEqual(refusal('ws'));
    expect(decide(only, plainHead({ target: '/ws' }), '10.1.0.1')).toEqual(refused(426, 'upgrade_required', 'ws'));
  });
  it.each([
    ['/both', '10.9.0.1', '- address: 10.9.0.1 (deny: 10.9.0.0/16, unix)'],
    ['/both', '10.1.0.1', '+ address: 10.1.0.1 (allow: 10.0.0.0/8, 2001:db8::/32)'],
    ['/both', '192.0.2.1', '- address: 192.0.2.1 (allow: 10.0.0.0/8, 2001:db8::/32)'],
    ['/deny', '192.0.2.1', '+ address: 192.0.2.1 (deny: 10.9.0.0/16, unix)'],
    ['/deny', '', '- address: a unix socket (deny: 10.9.0.0/16, unix)'],
  ])('is a step of the trace: %s from %j', (target, client, line) => {
    const steps: string[] = [];
    decide(guarded, plainHead({ target }), client, ({ rule, passed, detail }) =>
      steps.push(`${passed ? '+' : '-'} ${rule}: ${detail}`),
    );
    expect(steps).toContain(line);
  });
});

describe('the trace', () => {
  const traced = (head: ReturnType<typeof plainHead>) => {
    const steps: TraceStep[] = [];
    const verdict = decide(table, head, CLIENT, (step) => steps.push(step));
    expect(verdict).toEqual(decide(table, head, CLIENT));
    return steps.map(({ rule, passed, detail }) => `${passed ? '+' : '-'} ${rule}: ${detail}`);
  };
  it('of a handshake that is admitted names every rule', () => {
    expect(traced(handshakeHead({ target: '/local/echo', fields: { 'Sec-WebSocket-Protocol': 'x, y' } }))).toEqual([
      '+ kind: a WebSocket handshake',
      '- route chat: path is not /ws/*',
      '+ route echo: fits',
      '+ handshake: version 13',
      '+ origin: https://app.example.com (origins: same-host)',
      '+ subprotocol: x, y (subprotocols: any)',
    ]);
  });
  it('ends at the rule that refuses', () => {
    expect(traced(handshakeHead({ fields: { Origin: 'https://evil.example' } })).at(-1)).toBe(
      '- origin: https://evil.example (origins: https://app.example.com)',
    );
    expect(traced(handshakeHead({ target: '/strict', fields: { Origin: null } })).at(-1)).toBe(
      '- origin: none (missing_origin: reject)',
    );
    expect(traced(handshakeHead({ target: '/strict' })).at(-1)).toBe('- subprotocol: none (subprotocols: a)');
    expect(traced(handshakeHead({ fields: { 'Sec-WebSocket-Version': '7' } })).at(-1)).toBe(
      '- handshake: this WebSocket version is not supported (versions: 13)',
    );
    expect(traced(handshakeHead({ target: '/..' }))).toEqual(['- request: the path climbs above the root']);
    expect(traced(plainHead({ method: 'CONNECT' }))).toEqual(['- request: CONNECT is for a forward proxy']);
  });
  it('of a plain request names the routes looked at', () => {
    expect(traced(plainHead({ target: '/api/x' }))).toEqual([
      '+ kind: plain HTTP',
      '- route open: path is not /open/{room}',
      '+ route api: fits',
    ]);
  });
  it('says which route would fit, were the request of the other kind', () => {
    expect(traced(plainHead({ target: '/strict' })).at(-1)).toBe('- route strict: fits, but takes only WebSockets');
    expect(traced(handshakeHead({ target: '/api/x' })).at(-1)).toBe('- route api: fits, but takes only plain HTTP');
  });
  it('says nothing more where none would', () => {
    expect(traced(plainHead({ target: '/nowhere' })).at(-1)).toBe('- route api: path is not /api/*');
    expect(traced(handshakeHead({ target: '/nowhere' })).at(-1)).toBe('- route open: path is not /open/{room}');
  });
});

describe('a token', () => {
  const jwt = {
    from: ['header', { query: 'access_token' }, { subprotocol: 'bearer.' }],
    algorithms: ['RS256'],
    key: 'k',
  };
  const own = { respond: { headers: { 'X-User': '{claim.sub}', 'X-Query': '{query}' } } };
  const guarded = tableOf(
    {
      name: 'chat',
      match: { path: '/ws' },
      auth: { jwt },
      ...splice({ origins: 'any', subprotocols: ['a'] }),
      ...http,
    },
    { name: 'own', match: { path: '/own' }, auth: { jwt }, ...own },
  );
  const verdictOf = (head: Parameters<typeof decide>[1]) => {
    const verdict = decide(guarded, head, '192.0.2.1');
    if (verdict.kind === 'reject') throw new Error(verdict.rejection.detail);
    return verdict;
  };
  it('is taken out before anything is judged', () => {
    const fields = { 'Sec-WebSocket-Protocol': 'bearer.x, a' };
    const verdict = verdictOf(handshakeHead({ target: '/ws?access_token=x&b', fields }));
    expect(verdict).toMatchObject({
      kind: 'splice',
      token: 'x',
      handshake: { offer: ['a'] },
      sent: { target: '/ws?b' },
    });
    expect(JSON.stringify(verdict.request)).not.toContain('bearer');
  });
  it('counts for no subprotocol', () => {
    const head = handshakeHead({ target: '/ws', fields: { 'Sec-WebSocket-Protocol': 'bearer.x' } });
    expect(decide(guarded, head, '192.0.2.1')).toEqual(refused(400, 'subprotocol', 'chat'));
  });
  it('is judged later, and so are two', () => {
    expect(verdictOf(plainHead({ target: '/ws' }))).toMatchObject({ kind: 'forward', token: null });
    const two = plainHead({ target: '/ws?access_token=x', fields: { Authorization: 'Bearer y' } });
    expect(verdictOf(two)).toMatchObject({ kind: 'forward', token: { fault: expect.any(String) } });
  });
  it('is in no answer of our own', () => {
    const verdict = verdictOf(plainHead({ target: '/own?access_token=x&b' }));
    if (verdict.kind !== 'respond') throw new Error(verdict.kind);
    const client = { address: '203.0.113.9', viaTrusted: false, id: 'id', connection: 'id' };
    expect(verdict.fields(client, { sub: 'ada' })).toEqual(['X-User', 'ada', 'X-Query', 'b']);
    expect(verdict.fields(client, null)).toEqual(['X-Query', 'b']);
  });
});

it('a route knows how often its live sessions are judged again', () => {
  const basic = { basic: { users: {} } };
  const rechecked = tableOf({ name: 'app', auth: { ...basic, recheck: { every: '5m' } }, ...http });
  const once = tableOf({ name: 'app', auth: basic, ...http });
  const recheckOf = (table: Parameters<typeof decide>[0]) => {
    const verdict = decide(table, plainHead(), '192.0.2.1');
    return verdict.route?.auth?.recheckMs;
  };
  expect([recheckOf(rechecked), recheckOf(once)]).toEqual([300_000, null]);
});

describe('what a route goes by', () => {
  const chosen = tableOf(
    { name: 'a', match: { path: '/x', headers: { 'X-Tenant': 'a' }, query: { v: '1' } }, ...http },
    { name: 'any', match: { path: '/x' }, ...http },
  );
  const ask = (fields: Change['fields'], target = '/x?v=1') =>
    decide(chosen, plainHead({ target, ...(fields === undefined ? {} : { fields }) }), '192.0.2.1');
  it.each([
    [{ 'X-Tenant': ['a', 'b'] }, '/x?v=1'],
    [{ 'x-tenant': ['b', 'a'] }, '/x'],
    [{ 'X-Tenant': 'a' }, '/x?v=1&v=2'],
    [{}, '/x?v=2&%76=1'],
  ])('is not there with two values: %j, %s', (fields, target) =>
    expect(ask(fields, target)).toMatchObject({ kind: 'reject', rejection: { status: 400, reason: 'malformed' } }),
  );
  it.each([
    [{ 'X-Tenant': 'a' }, '/x?v=1', 'a'],
    [{ 'X-Tenant': ['a', 'a'] }, '/x?v=1&v=1', 'a'],
    [{ 'X-Tenant': 'a' }, '/x?w=1&w=2', 'any'],
    [{ 'X-Other': ['a', 'b'] }, '/x', 'any'],
  ])('may be there once, or twice alike, and anything else as often as it likes: %j, %s', (fields, target, name) =>
    expect(ask(fields, target)).toMatchObject({ kind: 'forward', route: { name } }),
  );
});

describe('what no route is asked for', () => {
  it.each([plainHead({ method: 'TRACE', target: '/api/x' }), handshakeHead({ method: 'TRACE' })])(
    'TRACE is 405, and says what may be asked',
    (head) =>
      expect(decide(table, head, '192.0.2.1')).toMatchObject({
        kind: 'reject',
        route: null,
        rejection: { status: 405, reason: 'method', fields: ['Allow', expect.stringContaining('GET')] },
      }),
  );
  it('a coding beside chunked is 501', () => {
    const head = plainHead({ method: 'POST', target: '/api/x', fields: { 'Transfer-Encoding': 'gzip, chunked' } });
    expect(decide(table, head, '192.0.2.1')).toMatchObject({
      kind: 'reject',
      rejection: { status: 501, reason: 'transfer_encoding' },
    });
  });
});
