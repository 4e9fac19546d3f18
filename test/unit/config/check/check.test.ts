// The cross-field checks, each from a valid config with one thing broken, in the words and at the place an operator sees.
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../../src/config/parse.ts';
import { formatProblem } from '../../../../src/config/problem.ts';

const problemsOf = (text: string) =>
  parseConfig(text, { file: 'g', env: {} }).problems.map((problem) => formatProblem(problem).slice('g:'.length));

/** A valid config; a case replaces parts of it. */
const VALID = `listeners:
  - port: 80
upstreams:
  chat: { servers: [ws://a:1] }
routes:
  - name: chat
    match: { host: a.com }
    websocket: { mode: splice, upstream: chat }
    http: { upstream: chat }
`;
const withRoute = (websocket: string, match = '{ host: a.com }') =>
  `${VALID}  - name: more\n    match: ${match}\n    websocket: ${websocket}\n`;

it('finds nothing in a valid config', () => {
  expect(problemsOf(VALID)).toEqual([]);
});

describe('listeners', () => {
  const withListeners = (...listeners: string[]) =>
    VALID.replace('  - port: 80', listeners.map((listener) => `  - ${listener}`).join('\n'));

  it.each([
    [['host: 127.0.0.1'], ['2:5: error: listeners[0]: needs "port" or "unix"']],
    [
      ['{ port: 80, unix: /a }'],
      ['2:17: error: listeners[0].unix: "unix" beside "port" (a listener has one of them; make it two)'],
    ],
    [['{ host: a, unix: /a }'], ['2:7: error: listeners[0].host: "host" beside "unix" (a unix socket has no host)']],
    [['{ port: 80, tls: {} }'], ['2:22: error: listeners[0].tls: needs "certificates", "acme" or "self_signed"']],
    [
      ['{ port: 80, tls: { self_signed: [a], certificates: [{ cert: a, key: b }] } }'],
      ['2:24: error: listeners[0].tls.self_signed: "self_signed" beside "certificates" (take one of them out)'],
    ],
    [['port: 80', 'port: 81', 'unix: /a', 'unix: /b', '{ port: 82, tls: { self_signed: [a] } }'], []],
    [['{ port: 80, tls: { certificates: [{ cert: a, key: b }] } }'], []],
    [['port: 0', 'port: 0'], []],
    [['{ port: 80, host: 127.0.0.1 }', '{ port: 80, host: 127.0.0.2 }'], []],
    [['{ port: 80, host: 0.0.0.0 }', '{ port: 80, host: "::1" }'], []],
    [['unix: /a', 'unix: /a'], ['3:11: error: listeners[1].unix: the same address as listeners[0] (HINT)']],
    [
      ['port: 80', '{ port: 80, host: 127.0.0.1 }'],
      ['3:13: error: listeners[1].port: the same address as listeners[0] (HINT)'],
    ],
    [
      ['{ host: "::1", port: 80 }', '{ host: "0:0::1", port: 80 }'],
      ['3:29: error: listeners[1].port: the same address as listeners[0] (HINT)'],
    ],
    [
      ['{ host: App, port: 80 }', '{ host: app, port: 80 }', '{ host: other, port: 80 }'],
      ['3:24: error: listeners[1].port: the same address as listeners[0] (HINT)'],
    ],
    [['port: 9901'], ['1:1: error: admin.port: the same address as listeners[0] (give it another port)']],
    [['{ port: 9901, host: 127.0.0.2 }'], []],
  ])('%j', (listeners, expected) => {
    const hint = 'only one can have it; without `host` a listener takes every address, IPv4 and IPv6';
    expect(problemsOf(withListeners(...listeners))).toEqual(expected.map((each) => each.replace('HINT', hint)));
  });

  it('and admin meet where it is written', () => {
    expect(problemsOf(`${VALID}admin: { port: 80 }\n`)).toEqual([
      '10:16: error: admin.port: the same address as listeners[0] (give it another port)',
    ]);
    expect(problemsOf(`${VALID}admin: { port: 0 }\n`)).toEqual([]);
  });
});

describe('upstreams', () => {
  it.each([
    ['caht', '9:23: error: routes[0].http.upstream: no upstream is named "caht" (did you mean "chat"?)'],
    ['rest', '9:23: error: routes[0].http.upstream: no upstream is named "rest" (there is "chat")'],
    ['constructor', '9:23: error: routes[0].http.upstream: no upstream is named "constructor" (there is "chat")'],
  ])('that are not there are found: %s', (name, problem) => {
    expect(problemsOf(VALID.replace('http: { upstream: chat }', `http: { upstream: ${name} }`))).toEqual([problem]);
  });

  it('that are not there are found where there are none', () => {
    const text = VALID.replace('upstreams:\n  chat: { servers: [ws://a:1] }\n', '');
    expect(problemsOf(text)).toEqual([
      '6:42: error: routes[0].websocket.upstream: no upstream is named "chat" (there are none)',
      '7:23: error: routes[0].http.upstream: no upstream is named "chat" (there are none)',
    ]);
  });

  it('that no route uses are warned of, and the config stands', () => {
    const text = VALID.replace('routes:', '  left: { servers: [ws://b] }\nroutes:');
    expect(problemsOf(text)).toEqual(['5:3: warning: upstreams.left: no route uses this upstream']);
    expect(parseConfig(text, { file: 'g', env: {} }).config).not.toBeNull();
  });

  it('have each server once, however it is spelled', () => {
    const text = VALID.replace('ws://a:1', 'ws://a:1, ws://a:2, wss://a:1, HTTP://A:01/');
    expect(problemsOf(text)).toEqual([
      '4:52: error: upstreams.chat.servers[3]: the same as upstreams.chat.servers[0] (take it out)',
    ]);
  });
});

describe('routes', () => {
  it('have names of their own', () => {
    expect(problemsOf(`${VALID}  - name: chat\n    http: { upstream: chat }\n`)).toEqual([
      '10:11: error: routes[1].name: "chat" is already the name of routes[0] (metrics and logs tell routes apart by their names)',
    ]);
  });

  it('take handshakes, requests or both', () => {
    expect(problemsOf(`${VALID}  - name: more\n`)).toEqual([
      '10:5: error: routes[1]: needs "websocket" or "http" (or both; or "redirect", or "respond")',
    ]);
  });

  it('give a plain request one answer', () => {
    const text = `${VALID}  - name: more\n    respond: {}\n    redirect: { path: /x }\n`;
    expect(problemsOf(text)).toEqual([
      '11:5: error: routes[1].respond: "respond" beside "redirect" (a plain request gets one answer; make it two routes)',
    ]);
  });

  it('change fields and paths only where there is a backend', () => {
    const text = `${VALID}  - name: more\n    respond: {}\n    rewrite: {}\n    headers: {}\n`;
    const hint = '(it goes with http, or mode: splice)';
    expect(problemsOf(text)).toEqual([
      `12:5: error: routes[1].rewrite: there is no backend here ${hint}`,
      `13:5: error: routes[1].headers: there is no backend here ${hint}`,
    ]);
  });

  it('match fields by names that fields can have, each once', () => {
    const hint = "(RFC 9110: letters, digits and -_.!#$%&'*+^`|~)";
    const text = VALID.replace('host: a.com', 'host: a.com, headers: { "a b": x, "": x, X-A: x, x-a: x, "ä": x }');
    expect(problemsOf(text)).toEqual([
      `7:38: error: routes[0].match.headers."a b": must be the name of a header field ${hint}`,
      `7:48: error: routes[0].match.headers."": must be the name of a header field ${hint}`,
      '7:63: error: routes[0].match.headers.x-a: the same header field twice (upper and lower case are the same)',
      `7:71: error: routes[0].match.headers."ä": must be the name of a header field ${hint}`,
    ]);
  });

  it('list subprotocols that can be, each once', () => {
    const text = withRoute('{ mode: splice, upstream: chat, subprotocols: [v1, "v 1", v2, v1, "v,2"] }');
    const hint = "(RFC 6455: letters, digits and -_.!#$%&'*+^`|~, without spaces)";
    expect(problemsOf(text)).toEqual([
      `12:67: error: routes[1].websocket.subprotocols[1]: must be the name of a subprotocol ${hint}`,
      '12:78: error: routes[1].websocket.subprotocols[3]: the same as routes[1].websocket.subprotocols[0] (take it out)',
      `12:82: error: routes[1].websocket.subprotocols[4]: must be the name of a subprotocol ${hint}`,
    ]);
  });

  it.each(['true', 'false'])('say subprotocol_required: %s of subprotocols only', (value) => {
    const text = withRoute(`{ mode: splice, upstream: chat, subprotocol_required: ${value} }`);
    expect(problemsOf(text)).toEqual([
      '12:48: error: routes[1].websocket.subprotocol_required: has no meaning without "subprotocols" (list the subprotocols, or take it out)',
    ]);
    expect(problemsOf(text.replace(' }\n', ', subprotocols: [a] }\n'))).not.toContain('subprotocol_required');
  });

  it('list each version once', () => {
    expect(problemsOf(withRoute('{ mode: splice, upstream: chat, versions: [13, 8, 13] }'))).toEqual([
      '12:66: error: routes[1].websocket.versions[2]: the same as routes[1].websocket.versions[0] (take it out)',
    ]);
  });

  it('have options of their own handler only', () => {
    expect(problemsOf(withRoute('{ mode: terminate, handler: push, push: { text: a } }'))).toEqual([]);
    expect(problemsOf(withRoute('{ mode: terminate, handler: push }'))).toEqual([]);
    expect(problemsOf(withRoute('{ mode: terminate, handler: echo, push: { text: a } }'))).toEqual([
      '12:50: error: routes[1].websocket.push: options of a handler that this route does not have (take it out, or set handler: push)',
    ]);
  });

  describe('with handler: webhook', () => {
    const webhook = (options: string) => `{ mode: terminate, handler: webhook, ${options}origins: any }`;

    it('need its options', () => {
      expect(problemsOf(withRoute(webhook('webhook: { upstream: chat, path: /events }, ')))).toEqual([]);
      expect(problemsOf(withRoute(webhook('')))).toEqual([
        '12:16: error: routes[1].websocket: handler "webhook" needs "webhook" (webhook: { upstream: rest, path: /events })',
      ]);
    });

    it('name an upstream that there is', () => {
      expect(problemsOf(withRoute(webhook('webhook: { upstream: cat, path: /events }, ')))).toEqual([
        '12:74: error: routes[1].websocket.webhook.upstream: no upstream is named "cat" (did you mean "chat"?)',
      ]);
    });

    it('have one place for the key', () => {
      expect(problemsOf(withRoute(webhook('webhook: { upstream: chat, path: /e, key: a, key_file: b }, ')))).toEqual([
        '12:98: error: routes[1].websocket.webhook.key_file: "key_file" beside "key" (take one of them out)',
      ]);
    });

    it.each(['events', '/a b', '/a#b', '/ä'])('take no path such as %s', (path) => {
      expect(problemsOf(withRoute(webhook(`webhook: { upstream: chat, path: "${path}" }, `)))).toEqual([
        expect.stringContaining('must be a path that starts with "/"'),
      ]);
    });
  });

  it('that trust the same host are warned where it can be any, and clients are admitted by where they are', () => {
    const hint = 'give the route a match.host, or list its origins; origins: any where none matters';
    const words = (by: string) => `same-host is any host here, and "${by}" lets in pages of every one`;
    const terminate = '{ mode: terminate, handler: echo }';
    const anyHost = (websocket: string, more = '') => problemsOf(withRoute(websocket, '{ path: /a }') + more);
    const allow = '    allow: [10.0.0.0/8]\n';
    expect(anyHost(terminate, allow)).toEqual([
      `12:16: warning: routes[1].websocket.origins: ${words('allow')} (${hint})`,
    ]);
    expect(anyHost(terminate, '    auth: { certificate: {} }\n')).toEqual([
      `12:16: warning: routes[1].websocket.origins: ${words('auth.certificate')} (${hint})`,
    ]);
    expect(anyHost('{ mode: splice, upstream: chat, origins: same-host }', allow)).toEqual([
      `12:57: warning: routes[1].websocket.origins: ${words('allow')} (${hint})`,
    ]);
    // The usual route, and one whose credentials no foreign page has, are no matter of concern.
    for (const more of ['', '    auth: { basic: { users_file: u } }\n', '    deny: [10.0.0.0/8]\n'])
      expect(anyHost(terminate, more)).toEqual([]);
    expect(anyHost(terminate.replace(' }', ', origins: [https://a.com] }'), allow)).toEqual([]);
    expect(problemsOf(withRoute(terminate) + allow)).toEqual([]);
  });
});

it('the admin token has one place', () => {
  const token = 'token: a-token-of-some-length';
  expect(problemsOf(`${VALID}admin: { ${token} }\n`)).toEqual([]);
  expect(problemsOf(`${VALID}admin: { ${token}, token_file: b }\n`)).toEqual([
    '10:41: error: admin.token_file: "token_file" beside "token" (take one of them out)',
  ]);
});

describe('drain', () => {
  const hint = '(the closes must all be out before the rest is cut)';
  it.each([
    ['{ grace: 10s, spread: 10s }', []],
    ['{ spread: 31s }', [`10:18: error: drain.spread: "spread" is longer than "grace" ${hint}`]],
    ['{ grace: 5s, spread: 6s }', [`10:29: error: drain.spread: "spread" is longer than "grace" ${hint}`]],
    ['{ grace: 5s }', []],
    ['{ grace: 0s }', []],
  ])('%s', (drain, expected) => expect(problemsOf(`${VALID}drain: ${drain}\n`)).toEqual(expected));
});

describe('rooms', () => {
  const rooms = (rooms: string, path: string, more = '') =>
    problemsOf(
      withRoute(
        `{ mode: terminate, handler: rooms, origins: any${rooms === '' ? '' : `, rooms: ${rooms}`}${more} }`,
        `{ path: "${path}" }`,
      ),
    ).map((problem) => problem.replace(/^[\d:]+ /, ''));

  it.each([
    ['', '/rooms/{room}/{user}'],
    ['', '/rooms/{room}'],
    ['{ room: lobby }', '/lobby'],
    ['{ room: "team-{query.team}", user: "{query.me}" }', '/*'],
  ])('%s on %s is fine', (options, path) => expect(rooms(options, path)).toEqual([]));

  it.each([
    [
      '',
      '/chat',
      'error: routes[1].websocket: {room} is no part of match.path (name a room, as in rooms: { room: lobby }, or put {room} into the path)',
    ],
    [
      '{ room: "{team}" }',
      '/rooms/{room}',
      'error: routes[1].websocket.rooms.room: {team} is no part of match.path (match.path has {room}; a query parameter is {query.team})',
    ],
    [
      '{ room: a, user: "{me}" }',
      '/rooms',
      'error: routes[1].websocket.rooms.user: {me} is no part of match.path (match.path has none; a query parameter is {query.me})',
    ],
    [
      '{ room: "{a" }',
      '/rooms',
      'error: routes[1].websocket.rooms.room: must be a text with places such as {room}, of the path, {query.room} or {claim.sub}, got "{a"',
    ],
    [
      '{ room: "" }',
      '/rooms',
      'error: routes[1].websocket.rooms.room: must be a text with places such as {room}, of the path, {query.room} or {claim.sub}, got ""',
    ],
    [
      '{ room: "{query.}" }',
      '/rooms',
      'error: routes[1].websocket.rooms.room: must be a text with places such as {room}, of the path, {query.room} or {claim.sub}, got "{query.}"',
    ],
  ])('%s on %s is not', (options, path, problem) => expect(rooms(options, path)).toEqual([problem]));

  it('only rooms may drop messages', () => {
    const queue = 'send_queue: { overflow: drop_oldest }';
    expect(rooms('', '/{room}', `, ${queue}`)).toEqual([]);
    expect(problemsOf(withRoute(`{ mode: terminate, handler: echo, origins: any, ${queue} }`))).toEqual([
      expect.stringContaining('overflow: only the handler "rooms" may drop messages'),
    ]);
  });
});

describe('broker', () => {
  it.each(['memory', 'redis://127.0.0.1', 'rediss://user:secret@redis.example.com:6380/2'])('%s is one', (broker) => {
    expect(problemsOf(`${VALID}broker: ${broker}\n`)).toEqual([]);
  });

  it.each(['redis', 'http://:secret@127.0.0.1', 'redis:/x', '""'])('%s is none, and is never said again', (broker) => {
    expect(problemsOf(`${VALID}broker: ${broker}\n`)).toEqual([
      '10:9: error: broker: must be "memory" or the URL of a Redis (write it as redis://host:6379 or redis://user:password@host:6379/0, with rediss for TLS)',
    ]);
  });
});

describe('a key of before', () => {
  it('http.warm_up is taken, and a warning says that it does nothing', () => {
    expect(problemsOf(`${VALID}http: { warm_up: 2500ms }\n`)).toEqual([
      '10:9: warning: http.warm_up: "warm_up" does nothing any more (take it out; a gateway binds its listeners at once)',
    ]);
    expect(problemsOf(`${VALID}http: { warm_up: soon }\n`)).toEqual([
      expect.stringMatching(/^10:18: error: http\.warm_up: /),
    ]);
  });
});

describe('http2 of a listener', () => {
  const withHttp2 = (listener: string) => problemsOf(VALID.replace('  - port: 80', `  - ${listener}`));

  it.each([
    ['{ port: 80, http2: false }', []],
    ['{ port: 80, http2: { prior_knowledge: true } }', []],
    ['{ port: 443, tls: { self_signed: [a.test] }, http2: { extended_connect: true } }', []],
    ['{ port: 80, http2: true }', [expect.stringContaining('listeners[0].http2: does nothing without TLS')]],
    [
      '{ port: 443, tls: { self_signed: [a.test] }, http2: { prior_knowledge: true } }',
      [expect.stringContaining('listeners[0].http2.prior_knowledge: does nothing with TLS')],
    ],
    ['{ port: 80, http2: { prior_knowledge: true, max_streams: 0 } }', [expect.stringContaining('listeners[0].http2')]],
    ['{ port: 80, http2: { prior_knowledge: true, window: 1KiB } }', [expect.stringContaining('listeners[0].http2')]],
  ])('%s', (listener, expected) => {
    expect(withHttp2(listener)).toEqual(expected);
  });
});

describe('https of a listener', () => {
  const problems = (listener: string) => problemsOf(VALID.replace('  - port: 80', `  - ${listener}`));
  const TLS = 'port: 443, tls: { self_signed: [a.test] }';

  it.each([
    ['{ port: 80, redirect_to_https: true }', []],
    ['{ port: 80, redirect_to_https: 8443 }', []],
    [`{ ${TLS}, hsts: 180d }`, []],
    [`{ ${TLS}, hsts: { max_age: 1h, include_subdomains: true } }`, []],
    ['{ port: 80, hsts: 180d }', [expect.stringContaining('listeners[0].hsts: does nothing without TLS')]],
    [
      `{ ${TLS}, redirect_to_https: true }`,
      [expect.stringContaining('listeners[0].redirect_to_https: does nothing with TLS')],
    ],
    ['{ port: 80, redirect_to_https: 0 }', [expect.stringContaining('listeners[0].redirect_to_https')]],
    [`{ ${TLS}, hsts: 180 }`, [expect.stringContaining('listeners[0].hsts')]],
    [`{ ${TLS}, hsts: 6w }`, [expect.stringContaining('listeners[0].hsts')]],
  ])('%s', (listener, expected) => {
    expect(problems(listener)).toEqual(expected);
  });
});
