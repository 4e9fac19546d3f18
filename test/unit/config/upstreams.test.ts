// The `upstreams` block: what it may say, and every way in which its parts can contradict each other.
import { describe, expect, it } from 'vitest';
import { isResolver } from '../../../src/config/address.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { isServerUrlFault, parseServerUrl } from '../../../src/config/server-url.ts';

/** The block `chat` as YAML in one line, in a config that is valid without it. */
function parse(chat: string) {
  const text = `listeners: [{ port: 8000 }]\nroutes: [{ name: a, http: { upstream: chat } }]\nupstreams:\n  chat: ${chat}\n`;
  const { config, problems } = parseConfig(text, { file: 'g', env: {} });
  const words = problems.map((problem) => formatProblem(problem).replace('upstreams.chat.', '').slice('g:4:'.length));
  return { chat: config?.upstreams['chat'], problems: words.map((line) => line.replace(/^\d+: /, '')) };
}

describe('a server that is a listener of the gateway itself', () => {
  const words = (listeners: string, server: string) => {
    const routes = 'routes: [{ name: a, http: { upstream: chat } }]';
    const text = `listeners: [${listeners}]\n${routes}\nupstreams: { chat: { servers: ["${server}"] } }\n`;
    return parseConfig(text, { file: 'g', env: {} }).problems.map((problem) => formatProblem(problem));
  };

  it.each([
    ['{ port: 8080 }', 'ws://localhost:8080'],
    ['{ port: 8080 }', 'http://127.0.0.1:8080'],
    ['{ port: 8080 }', 'http://127.0.0.5:8080'],
    ['{ port: 8080 }', 'http://[::1]:8080'],
    ['{ port: 80 }', 'http://localhost'],
    ['{ port: 443, tls: { self_signed: [a] } }', 'wss://localhost'],
    ['{ host: 0.0.0.0, port: 8080 }', 'http://127.0.0.1:8080'],
    ['{ host: 10.0.0.1, port: 8080 }', 'http://10.0.0.1:8080'],
    ['{ host: 127.0.0.1, port: 8080 }', 'http://localhost:8080'],
    ['{ unix: /run/a.sock }', 'unix:/run/a.sock'],
  ])('%s and %s', (listener, server) => {
    const at = `g:3:32: error: upstreams.chat.servers[0]: is listeners[0] of this gateway`;
    expect(words(listener, server)).toEqual([
      `${at} (its requests would come in again without end; name the address of the backend itself)`,
    ]);
  });

  it.each([
    ['{ port: 8080 }', 'ws://localhost:8081'],
    ['{ port: 0 }', 'ws://localhost:80'],
    ['{ port: 8080 }', 'ws://10.0.0.1:8080'],
    ['{ port: 8080 }', 'ws://app.example.com:8080'],
    ['{ host: 127.0.0.1, port: 8080 }', 'ws://127.0.0.2:8080'],
    ['{ host: 0.0.0.0, port: 8080 }', 'ws://[::1]:8080'],
    ['{ unix: /run/a.sock }', 'unix:/run/b.sock'],
    ['{ unix: /run/a.sock }', 'ws://localhost'],
    ['{ port: 80 }', 'unix:/run/a.sock'],
  ])('not %s and %s', (listener, server) => expect(words(listener, server)).toEqual([]));
});

describe('servers', () => {
  it('are addresses, or maps with what is said of them', () => {
    const { chat, problems } = parse(
      '{ servers: [ws://a:1, { url: wss://b, weight: 3, backup: true, max_connections: 9 }, unix:/run/app.sock] }',
    );
    expect(problems).toEqual([]);
    expect(chat?.servers).toEqual([
      { url: 'ws://a:1', secure: false, host: 'a', port: 1, weight: 1, backup: false },
      { url: 'wss://b', secure: true, host: 'b', port: 443, weight: 3, backup: true, max_connections: 9 },
      {
        url: 'unix:/run/app.sock',
        secure: false,
        host: 'localhost',
        port: 80,
        unix: '/run/app.sock',
        weight: 1,
        backup: false,
      },
    ]);
  });

  it.each([
    ['{ url: "ftp://a" }', 'error: servers[0].url: must begin with ws, wss, http or https, got "ftp://a" (HINT)'],
    ['{ weight: 2 }', 'error: servers[0].url: missing (Its address)'],
    ['{ url: ws://a, wieght: 2 }', 'error: servers[0].wieght: unknown key (did you mean "weight"?)'],
    ['{ url: ws://a, weight: -1 }', 'error: servers[0].weight: must be at least 0, got -1'],
    ['{ url: ws://a, backup: yes }', 'error: servers[0].backup: must be true or false, got "yes" (HINT)'],
    ['{ url: ws://a, max_connections: none }', 'error: servers[0].max_connections: must be a whole number, got "none"'],
    ['{ url: ws://a, backup: true }', 'error: servers: all of them are backups (HINT)'],
    ['[ws://a]', 'error: servers[0]: must be text or a map, got a list'],
  ])('%s is wrong', (server, problem) => {
    const { problems } = parse(`{ servers: [${server}] }`);
    expect(problems.map((line) => line.replace(/\((?!did|Its).*\)$/, '(HINT)'))).toEqual([problem]);
  });

  it.each([
    ['unix:/run/app.sock', null],
    ['UNIX:/run/app.sock', null],
    ['unix:run/app.sock', 'must hold the path of a unix socket'],
    ['unix://run/app.sock', 'must hold the path of a unix socket'],
    ['unix:', 'must hold the path of a unix socket'],
    ['unix:/a\0b', 'must hold the path of a unix socket'],
    [`unix:/${'a'.repeat(107)}`, 'must hold a path of at most 107 bytes'],
  ])('the address %j', (text, message) => {
    const parsed = parseServerUrl(text);
    expect(isServerUrlFault(parsed) ? parsed.message : null).toBe(message);
  });
});

describe('the parts of an upstream', () => {
  const S = 'servers: [ws://a.test, ws://127.0.0.1]';

  it.each([
    'balance: random_two',
    'balance: hash',
    'balance: { hash: { header: X-User } }',
    'balance: { hash: { segment: 2 } }',
    'sticky: {}',
    'sticky: { cookie: sid, secret: 0123456789abcdef, max_age: 1h }',
    'health: { passive: off, on_down: close, floor: 0% }, close_rate: 1',
    'health: { active: { type: http, path: "/h?x=1", status: [200, 204], body: ok, host: h, every: 1s, timeout: 1s } }',
    'health: { active: { type: websocket, path: /ws, fall: 1, rise: 1 } }',
    'retry: off',
    'retry: { attempts: 1, budget: 12.5%, min: 1 }',
    'dns: { resolvers: [127.0.0.1, "127.0.0.1:53", "[::1]:53", "::1"], family: ipv4, min_ttl: 1s, max_ttl: 1m }',
    'rebalance: { rate: 5, tolerance: 5% }, slow_start: 30s',
  ])('%s is fine', (part) => expect(parse(`{ ${S}, ${part} }`).problems).toEqual([]));

  it.each([
    [
      'balance: fastest',
      'error: balance: must be round_robin, least_connections, random_two, hash or a map, got "fastest"',
    ],
    ['balance: { hsah: {} }', 'error: balance.hsah: unknown key (did you mean "hash"?)'],
    ['balance: { hash: {} }', 'error: balance.hash: must name exactly one key'],
    ['balance: { hash: { header: a, query: b } }', 'error: balance.hash: must name exactly one key'],
    [
      'balance: { hash: { header: "a b" } }',
      'error: balance.hash.header: must be the name of a header field, got "a b"',
    ],
    ['balance: hash, slow_start: 5s', 'error: slow_start: has no meaning with "hash"'],
    ['balance: hash, rebalance: {}', 'error: rebalance: cannot move what "hash" holds'],
    ['sticky: {}, rebalance: {}', 'error: rebalance: cannot move what "sticky" holds'],
    [
      'sticky: { secret: tooshort }',
      'error: sticky.secret: must have at least 16 characters, got a value not shown here',
    ],
    ['sticky: { cookie: "a=b" }', 'error: sticky.cookie: must be the name of a cookie, got a value not shown here'],
    ['health: { active: { path: /x } }', 'error: health.active.path: has no meaning for a check of type tcp'],
    [
      'health: { active: { type: websocket, body: x } }',
      'error: health.active.body: has no meaning for a check of type websocket',
    ],
    ['health: { active: { timeout: 9s } }', 'error: health.active.timeout: "timeout" is longer than "every"'],
    ['health: { active: { every: 1s } }', 'error: health.active.every: "timeout" is longer than "every"'],
    [
      'health: { active: { type: http, path: "a b" } }',
      'error: health.active.path: must be a path that begins with "/", without spaces, got "a b"',
    ],
    ['health: { passive: on }', 'error: health.passive: must be off or a map, got "on"'],
    ['health: { passive: { eject: 10m } }', 'error: health.passive.eject: "eject" is longer than "max_eject"'],
    ['health: { passive: { max_eject: 1s } }', 'error: health.passive.max_eject: "eject" is longer than "max_eject"'],
    ['health: { floor: 101% }', 'error: health.floor: must be a percentage from 0% to 100%, such as 20%, got "101%"'],
    ['retry: { budget: 20 }', 'error: retry.budget: must be a percentage from 0% to 100%, such as 20%, got 20'],
    ['retry: { attempts: 11 }', 'error: retry.attempts: must be at most 10, got 11'],
    [
      'dns: { resolvers: [dns.test] }',
      'error: dns.resolvers[0]: must be an IP address, or one with a port: 192.0.2.53, 192.0.2.53:53 or [2001:db8::53]:53, got "dns.test"',
    ],
    ['dns: { min_ttl: 10m }', 'error: dns.min_ttl: "min_ttl" is longer than "max_ttl"'],
    ['dns: { max_ttl: 500ms }', 'error: dns.max_ttl: "min_ttl" is longer than "max_ttl"'],
    ['tls: {}', 'error: tls: none of the servers speaks TLS'],
  ])('%s is wrong', (part, problem) => {
    const { problems } = parse(`{ ${S}, ${part} }`);
    expect(problems.map((line) => (line.includes('did you') ? line : line.replace(/ \(.*\)$/, '')))).toEqual([problem]);
  });

  it('two upstreams have two cookies', () => {
    const more = (cookie: string) =>
      parse(`{ ${S}, sticky: { cookie: sid } }\n  more: { servers: [ws://b], sticky: { cookie: ${cookie} } }`).problems;
    expect(more('other').filter((line) => line.includes('error'))).toEqual([]);
    expect(more('sid')).toContainEqual(
      expect.stringContaining('upstreams.more.sticky.cookie: the same cookie as upstreams.chat'),
    );
  });

  it('dns needs a name', () => {
    expect(parse('{ servers: [ws://127.0.0.1, unix:/a], dns: {} }').problems).toEqual([
      'error: dns: none of the servers has a name (take it out, or name a server by its host name)',
    ]);
  });

  it.each([
    ['cert: a', ['error: tls.cert: "cert" without "key" (a client certificate needs both)']],
    ['key: a', ['error: tls.key: "key" without "cert" (a client certificate needs both)']],
    [
      'verify: false',
      [
        'warning: tls.verify: certificates of these servers are not verified (anyone in between can read and change the traffic; name the authority by ca)',
      ],
    ],
    ['ca: a, cert: b, key: c, server_name: d', []],
  ])('tls: { %s }', (tls, problems) => {
    expect(parse(`{ servers: [wss://a.test], tls: { ${tls} } }`).problems).toEqual(problems);
  });
});

it.each([
  ['127.0.0.1', true],
  ['127.0.0.1:53', true],
  ['::1', true],
  ['[::1]', true],
  ['[::1]:53', true],
  ['127.0.0.1:0', false],
  ['127.0.0.1:70000', false],
  ['[127.0.0.1]:53', false],
  ['300.0.0.1', false],
  ['dns.test', false],
  ['', false],
])('a resolver %j', (text, valid) => expect(isResolver(text)).toBe(valid));
