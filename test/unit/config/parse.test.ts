// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} is what the config itself writes.
// Every kind of problem, with its exact place and words. Each case is a valid config with one thing broken.
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import type { Env } from '../../../src/config/yaml/env.ts';

/** Four lines; what a case adds begins at line 5. */
const VALID = `listeners: [{ port: 80 }]
routes:
  - name: hello
    websocket: { mode: terminate, handler: echo, origins: any }
`;

const parse = (text: string, env: Env = {}) => parseConfig(text, { file: 'g.yaml', env });
const problemsOf = (text: string, env: Env = {}) =>
  parse(text, env).problems.map((problem) => formatProblem(problem).replace(/^g\.yaml:/, ''));
const one = (text: string, env: Env = {}) => {
  const problems = problemsOf(text, env);
  expect(problems).toHaveLength(1);
  return problems[0];
};

describe('a valid config', () => {
  it('has its defaults, durations in milliseconds and sizes in bytes', () => {
    const { config, partial, problems } = parse(VALID);
    expect(problems).toEqual([]);
    expect(partial).toEqual(config);
    expect(config).toEqual({
      listeners: [
        { port: 80, max_head: 32_768, timeouts: { head: 10_000, keep_alive: 75_000, tls_handshake: 10_000 } },
      ],
      admin: { host: '127.0.0.1', port: 9901, hosts: [] },
      trusted_proxies: [],
      upstreams: {},
      routes: [
        {
          name: 'hello',
          match: { path: ['/*'] },
          websocket: {
            mode: 'terminate',
            handler: 'echo',
            origins: 'any',
            missing_origin: 'allow',
            versions: [13],
            subprotocol_required: true,
            limits: { max_message: 1_048_576, messages_per_second: 100_000 },
            send_queue: { size: 4_194_304, overflow: 'close' },
            timeouts: { idle: 3_600_000 },
          },
        },
      ],
      limits: { memory: {}, shared: 'memory' },
      broker: 'memory',
      drain: { delay: 0, grace: 30_000, spread: 10_000 },
      http: { engine: 'auto', server: 'own', forwarding: 'x-forwarded', believe: 'auto', via: 'off' },
      relay: { engine: 'auto', threads: 'auto' },
      log: { level: 'info', access: true, format: 'auto' },
    });
  });

  it('has servers taken apart', () => {
    const text = `${VALID}    http: { upstream: constructor }\nupstreams: { constructor: { servers: [WS://A:1/] } }`;
    const { config, problems } = parse(text);
    expect(problems).toEqual([]);
    expect(config?.upstreams).toEqual({
      constructor: {
        servers: [{ url: 'ws://a:1', secure: false, host: 'a', port: 1, weight: 1, backup: false }],
        balance: 'round_robin',
        slow_start: 0,
        health: {
          passive: { failures: 5, errors: 0.5, requests: 20, window: 10_000, eject: 10_000, max_eject: 300_000 },
          floor: 0.5,
          on_down: 'keep',
        },
        retry: { attempts: 3, budget: 0.2, min: 10 },
        close_rate: 100,
      },
    });
  });

  it.each([
    ['{}', 10_000],
    ['{ grace: 5s }', 5000],
    ['{ grace: 1m }', 10_000],
    ['{ grace: 1m, spread: 30s }', 30_000],
  ])('spreads the closes of a drain over 10 s, or its grace: %s', (drain, spread) => {
    expect(parse(`${VALID}drain: ${drain}\n`).config?.drain.spread).toBe(spread);
  });

  it('may use anchors and aliases, CRLF and a byte order mark', () => {
    const text = `\uFEFF${VALID}admin: &a { port: 1 }\nlog: &l { level: debug }\n`.replaceAll('\n', '\r\n');
    expect(parse(text).config).toMatchObject({ admin: { port: 1 }, log: { level: 'debug' } });
    const aliased = `listeners: [&l { port: 1, max_head: &s 1KiB }, { port: 2, max_head: *s }]\n${VALID.slice(26)}`;
    expect(parse(aliased).config?.listeners.map((listener) => listener.max_head)).toEqual([1024, 1024]);
  });
});

describe('what is no YAML', () => {
  it.each([
    ['', '1:1: error: the file is empty (it needs at least "listeners" and "routes")'],
    ['# only this\n', '1:1: error: the file is empty (it needs at least "listeners" and "routes")'],
    ['---\n', '1:4: error: the file is empty (it needs at least "listeners" and "routes")'],
    ['- a\n', '1:1: error: the file must be a map of keys, not a list (it needs at least "listeners" and "routes")'],
    [
      '\n abc',
      '2:2: error: the file must be a map of keys, not a single value (it needs at least "listeners" and "routes")',
    ],
    [`${VALID}---\nlog: {}`, '5:1: error: a second document in the file (take out the "---" or "..." before it)'],
    [`${VALID}...\nlog: {}`, '6:1: error: a second document in the file (take out the "---" or "..." before it)'],
    ['a:\n\tb: 1', '2:1: error: a tab in the indentation (indent with spaces)'],
    [
      'a: b: c',
      '1:4: error: a second key in the same value (put a value that holds ": " in quotes; a nested key goes on a line of its own, indented deeper)',
    ],
    [
      'a\nb: 1',
      '1:1: error: a key must stand on one line, with a ":" behind it (is a ":" missing, or is the indentation wrong?)',
    ],
    [
      'a:\n  - b: 1\n   c: 1',
      '3:1: error: a key between the entries of a list (indent it as deep as the first key of its entry, or begin a new entry with "- ")',
    ],
    ['a:\n  b: 1\n c: 1', '3:1: error: wrong indentation (keys of one map begin in one column)'],
    ['a: [1, 2', '1:9: error: a "[" without its "]" (close it, and indent the lines in between deeper than the key)'],
    ['a: { b: 1', '1:10: error: a "{" without its "}" (close it, and indent the lines in between deeper than the key)'],
    ['a: "b', "1:6: error: quotes that are not closed (a quote inside of quotes is \\\" in \"...\" and '' in '...')"],
    ['a: "b"c', '1:7: error: text behind the end of the value (put the whole value in quotes)'],
    ['a: @b', '1:4: error: a value cannot begin with this character (put the value in quotes)'],
    ['a: %b', '1:4: error: a value cannot begin with this character (put the value in quotes)'],
    ['? [a]\n: 1', '1:3: error: a key must be plain text (lists and maps can only be values)'],
    ['a: ]', '1:4: error: a bracket that closes nothing (take it out, or put the value in quotes)'],
    [
      'a: - b',
      '1:4: error: a list entry where none can stand (the entries of one list begin in one column, each on a line of its own)',
    ],
    [
      '  a: { b: 1 }\n - c: d\n   e: f\n\n - g: 80',
      '2:2: error: a list entry where none can stand (the entries of one list begin in one column, each on a line of its own)',
    ],
    ['a: "\\q"', '1:5: error: not YAML: Invalid escape sequence \\q'],
    [
      `${VALID}log: { level: \${L} }`,
      '5:16: error: text behind the end of the value (inside { } and [ ] a ${...} must stand in quotes; to get a number, give the value a line of its own)',
    ],
    [`a: ${'['.repeat(65)}`, '1:67: error: nested deeper than 64 levels'],
    [`a: ${'['.repeat(50_000)}${']'.repeat(50_000)}`, '1:67: error: nested deeper than 64 levels'],
    ['- '.repeat(50_000), '1:129: error: nested deeper than 64 levels'],
  ])('%j', (text, problem) => {
    expect(one(text)).toBe(problem);
    expect(parse(text)).toMatchObject({ config: null, partial: null });
  });

  it('never shows the source the library quotes', () => {
    expect(problemsOf('a: b\n"s3cret" s3cret: }').join()).not.toContain('s3cret');
  });

  it('is told of a directive without meaning, and of YAML 1.1 nothing', () => {
    const text = `%OTHER x\n---\n${VALID}`;
    expect(one(text)).toBe('1:1: warning: a directive that has no meaning here (take it out)');
    expect(parse(text).config).not.toBeNull();
    expect(one(`%YAML 1.1\n---\n${VALID}log: { access: no }`)).toContain(
      '7:16: error: log.access: must be true or false',
    );
  });
});

describe('keys', () => {
  it.each([
    ['lgo: {}', '5:1: error: lgo: unknown key (did you mean "log"?)'],
    ['log: { Level: debug }', '5:8: error: log.Level: unknown key (did you mean "level"?)'],
    ['log: { colour: true }', '5:8: error: log.colour: unknown key (known here: level, access, format)'],
    [
      'storage: {}',
      '5:1: error: storage: unknown key (known here: listeners, admin, trusted_proxies, upstreams, routes, limits, broker, drain, http, relay, log)',
    ],
    ['level: debug', '5:1: error: level: unknown key (did you mean "level" under "log"?)'],
    ['admin: { log: 1 }', '5:10: error: admin.log: unknown key ("log" belongs one level up, beside "admin")'],
    [
      '<<: {}',
      '5:1: error: "<<": unknown key (merge keys are not part of YAML 1.2; an alias can stand for a whole value)',
    ],
    ['__proto__: { a: 1 }', '5:1: error: __proto__: this key is not allowed'],
    ['log: { __proto__: 1 }', '5:8: error: log.__proto__: this key is not allowed'],
    [
      'constructor: 1',
      '5:1: error: constructor: unknown key (known here: listeners, admin, trusted_proxies, upstreams, routes, limits, broker, drain, http, relay, log)',
    ],
    [
      '"a\\nb": 1',
      '5:1: error: "a\\nb": unknown key (known here: listeners, admin, trusted_proxies, upstreams, routes, limits, broker, drain, http, relay, log)',
    ],
    ['listeners: []', '5:1: error: listeners: duplicate key (line 1 has it already)'],
    ['log: { level: info, "level": info }', '5:21: error: log.level: duplicate key (line 5 has it already)'],
    ['log: !my { access: true }', '5:6: error: a tag that does not fit its value, or is not known (leave the tag out)'],
    [
      'upstreams: { "my chat": { servers: [ws://a] } }',
      '5:14: error: upstreams."my chat": must be a name: 1 to 63 letters, digits, ".", "_" or "-", a letter or digit first',
    ],
  ])('%s', (added, problem) => expect(one(VALID + added)).toBe(problem));

  it('of a websocket route are told apart by its mode', () => {
    const route = (inner: string) => VALID.replace('{ mode: terminate, handler: echo, origins: any }', inner);
    const upstreams = 'upstreams: { chat: { servers: [ws://a] } }';
    const splice = route('{ mode: splice, upstream: chat, origins: any, handler: echo }') + upstreams;
    expect(one(splice)).toBe(
      '4:62: error: routes[0].websocket.handler: unknown key ("handler" goes with mode: terminate)',
    );
    const terminate = route('{ mode: terminate, handler: echo, origins: any, upstrem: chat }');
    expect(one(terminate)).toBe('4:64: error: routes[0].websocket.upstrem: unknown key');
    expect(one(VALID.replace('websocket: {', 'origins: any\n    websocket: {'))).toBe(
      '4:5: error: routes[0].origins: unknown key (did you mean "origins" under "websocket"?)',
    );
  });

  it('that are missing are shown at the map that lacks them', () => {
    expect(problemsOf('\nlog: {}\n')).toEqual([
      '2:1: error: listeners: missing (Where clients connect)',
      '2:1: error: routes: missing (Rules, tried in order; the first that fits takes the request)',
    ]);
    expect(one(VALID.replace('name: hello\n    ', ''))).toBe(
      '3:5: error: routes[0].name: missing (Name of the route in metrics, logs and `explain`)',
    );
    expect(one(VALID.replace('mode: terminate, ', ''))).toBe(
      '4:16: error: routes[0].websocket.mode: missing (one of splice or terminate)',
    );
    expect(one(VALID.replace('handler: echo, ', ''))).toBe(
      '4:16: error: routes[0].websocket.handler: missing (one of echo, push, rooms or webhook)',
    );
  });

  it('are counted from the first letter behind a byte order mark, and over lines that YAML joins', () => {
    expect(one(`\uFEFF${VALID.replace('listeners', 'lisners')}`.replace('\n', ' # \n'))).toContain(
      '1:1: error: lisners',
    );
    expect(problemsOf(`${VALID}admin:\n  host:\n    two\n\n    words\n  prt: 1\n`)).toEqual([
      '7:5: error: admin.host: must be an IP address (without brackets) or a host name, got "two\\nwords"',
      '10:3: error: admin.prt: unknown key (did you mean "port"?)',
    ]);
  });

  it('that are missing only for being mistyped are told of once', () => {
    expect(one(VALID.replace('handler', 'handlr'))).toBe(
      '4:35: error: routes[0].websocket.handlr: unknown key (did you mean "handler"?)',
    );
    expect(one(VALID.replace('name', 'Name'))).toBe('3:5: error: routes[0].Name: unknown key (did you mean "name"?)');
  });

  it('without a value are shown at the key', () => {
    expect(one(`${VALID}log:\n`)).toBe('5:1: error: log: no value (it must be a map, or take the key out)');
    expect(one(`${VALID}log: { level: }\n`)).toBe(
      '5:8: error: log.level: no value (it must be trace, debug, info, warn, error, fatal or silent, or take the key out)',
    );
    expect(one(`${VALID}log: ~\n`)).toBe('5:6: error: log: no value (it must be a map, or take the key out)');
    expect(one(VALID.replace('name: hello', 'name:'))).toBe('3:5: error: routes[0].name: no value (it must be text)');
  });
});

describe('values', () => {
  it.each([
    ['admin: { port: 65536 }', '5:16: error: admin.port: must be at most 65535, got 65536'],
    ['admin: { port: -1 }', '5:16: error: admin.port: must be at least 0, got -1'],
    ['admin: { port: 1.5 }', '5:16: error: admin.port: must be a whole number, got 1.5'],
    ['admin: { port: "80" }', '5:16: error: admin.port: must be a whole number, got "80" (take the quotes away)'],
    ['admin: { port: eighty }', '5:16: error: admin.port: must be a whole number, got "eighty"'],
    ['admin: { port: [80] }', '5:16: error: admin.port: must be a whole number, got a list'],
    [
      'admin: { host: "[::1]" }',
      '5:16: error: admin.host: must be an IP address (without brackets) or a host name, got "[::1]"',
    ],
    ['admin: { host: 1 }', '5:16: error: admin.host: must be text, got 1 (put it in quotes)'],
    ['admin: 80', '5:8: error: admin: must be a map, got 80 (known here: host, port, hosts, token, token_file)'],
    [
      'log: { access: yes }',
      '5:16: error: log.access: must be true or false, got "yes" (write true or false, without quotes)',
    ],
    ['log: { access: 1 }', '5:16: error: log.access: must be true or false, got 1'],
    [
      'log: { level: debgu }',
      '5:15: error: log.level: must be trace, debug, info, warn, error, fatal or silent, got "debgu" (did you mean "debug"?)',
    ],
    [
      'drain: { delay: 5 }',
      '5:17: error: drain.delay: must be a duration, such as 250ms, 30s, 5m or 1h, got 5 (write 5s)',
    ],
    [
      'drain: { delay: 5 s }',
      '5:17: error: drain.delay: must be a duration, such as 250ms, 30s, 5m or 1h, got "5 s" (write 5s)',
    ],
    ['drain: { delay: 1000h }', '5:17: error: drain.delay: must be at most 596h, got "1000h"'],
    ['trusted_proxies: 10.0.0.0/8', '5:18: error: trusted_proxies: must be a list, got "10.0.0.0/8" (put it in [ ])'],
    [
      'trusted_proxies: [10.0.0.0/8, example.com]',
      '5:31: error: trusted_proxies[1]: must be an IP address or a CIDR range, such as 10.0.0.0/8, or "unix", got "example.com"',
    ],
    [
      'trusted_proxies: *.com',
      '5:18: error: trusted_proxies: an alias without its anchor (put a value that begins with "*" in quotes)',
    ],
    ['trusted_proxies: &t [*t]', '5:22: error: trusted_proxies[0]: an alias inside of what it stands for'],
  ])('%s', (added, problem) => expect(one(VALID + added)).toBe(problem));

  it.each([
    ['wss://', 'must hold a valid host, got "wss://" (a host is a name, an IPv4 address or an [IPv6] address)'],
    ['"ws://u:s3cret@a"', 'must hold no user or password, got "ws://***@a" (take out all that stands before the "@")'],
    ['1', 'must be text or a map, got 1'],
  ])('a server %s', (server, words) => {
    const text = `${VALID}    http: { upstream: a }\nupstreams:\n  a:\n    servers: [ws://x, ${server}]`;
    expect(one(text)).toBe(`8:23: error: upstreams.a.servers[1]: ${words}`);
  });

  it.each([
    ['origins: https://a.com', 59, 'origins: must be same-host, any or a list, got "https://a.com" (put it in [ ])'],
    ['origins: sam-host', 59, 'origins: must be same-host, any or a list, got "sam-host" (did you mean "same-host"?)'],
    [
      'origins: { a: 1 }',
      59,
      'origins: must be same-host, any or a list, got a map (a list has a "- " before each of its entries)',
    ],
    ['origins: []', 59, 'origins: must not be empty'],
    ['origins: [https://a.com, 1]', 75, 'origins[1]: must be text, got 1 (put it in quotes)'],
    ['origins: any, versions: [13, 7]', 79, 'versions[1]: must be 13 or 8, got 7'],
    ['origins: any, versions: ["13"]', 75, 'versions[0]: must be 13 or 8, got "13" (take the quotes away)'],
    ['origins: any, subprotocols: []', 78, 'subprotocols: must not be empty'],
    ['origins: any, timeouts: { idle: 0s }', 82, 'timeouts.idle: must be more than 0, got "0s"'],
    ['origins: any, limits: { connections: 0 }', 87, 'limits.connections: must be at least 1, got 0'],
    [
      'origins: any, limits: { max_message: 1mb }',
      87,
      'limits.max_message: must be a size, such as 512B, 64KiB or 1MiB, got "1mb" (write 1MiB)',
    ],
  ])('a websocket with %s', (inner, column, words) => {
    const text = VALID.replace('origins: any', inner);
    expect(one(text)).toBe(`4:${column}: error: routes[0].websocket.${words}`);
  });

  it('of a size end where a number is no longer exact', () => {
    const at = (size: string) => VALID.replace('port: 80', `port: 80, max_head: ${size}`);
    expect(problemsOf(at('8388607GiB'))).toEqual([]);
    expect(one(at('8388608GiB'))).toBe(
      '1:35: error: listeners[0].max_head: must be at most 8388607GiB, got "8388608GiB"',
    );
  });

  it('of an unknown mode hint at the nearest', () => {
    expect(one(VALID.replace('mode: terminate', 'mode: termnate'))).toBe(
      '4:24: error: routes[0].websocket.mode: must be splice or terminate, got "termnate" (did you mean "terminate"?)',
    );
  });

  it('of a unix socket fit what the system takes', () => {
    const at = (path: string) => VALID.replace('port: 80', `unix: "${path}"`);
    expect(problemsOf(at(`/${'a'.repeat(106)}`))).toEqual([]);
    expect(one(at(`/${'ä'.repeat(54)}`))).toContain(
      '1:21: error: listeners[0].unix: must be a path of at most 107 bytes',
    );
    expect(one(at('/a\\0b'))).toContain('must be a path of at most 107 bytes');
  });

  it('are cut in messages', () => {
    const problem = one(`${VALID}admin: { host: "${'é'.repeat(200)}" }`);
    expect(problem).toMatch(/got "é{76}\.\.\.$/);
  });

  it('of keys that are secrets by their name are never shown', () => {
    const match = 'match: { headers: { authorization: 4711 }, query: { api_key: 4712 } }';
    const problems = problemsOf(VALID.replace('name: hello', `name: hello\n    ${match}`));
    expect(problems).toEqual([
      '4:40: error: routes[0].match.headers.authorization: must be text, got a value not shown here (put it in quotes)',
      '4:66: error: routes[0].match.query.api_key: must be text, got a value not shown here (put it in quotes)',
    ]);
  });

  it('that aliases multiply are refused', () => {
    const line = (name: string, of: string) => `${name}: &${name} [${Array(10).fill(of).join(', ')}]\n`;
    const text = VALID + line('a', 'x') + line('b', '*a') + line('c', '*b') + line('d', '*c') + line('e', '*d');
    const problems = problemsOf(text + line('trusted_proxies', '*e'));
    expect(problems).toContain('8:36: error: d[7]: aliases stand for more than 10000 values');
  });

  it('behind an alias are shown where they stand', () => {
    const text = `${VALID}log: &x { level: loud }\nadmin: *x\n`;
    expect(problemsOf(text)).toEqual([
      '5:11: error: admin.level: unknown key (known here: host, port, hosts, token, token_file)',
      '5:18: error: log.level: must be trace, debug, info, warn, error, fatal or silent, got "loud"',
    ]);
    expect(one(`${VALID}log: { access: &x 5m }\nadmin: { host: *x }`.replace('5m', 'true'))).toBe(
      '6:16: error: admin.host: must be text, got true (put it in quotes)',
    );
  });
});

describe('the environment', () => {
  it.each([
    ['admin:\n  port: ${P}', { P: '81' }, { admin: { port: 81 } }],
    ['admin:\n  port: ${P:-82}', {}, { admin: { port: 82 } }],
    ['admin:\n  port: ${P:-82}', { P: '' }, { admin: { port: 82 } }],
    ['admin:\n  port: 1${P}', { P: '1' }, { admin: { port: 11 } }],
    ['log:\n  access: ${B}', { B: 'false' }, { log: { access: false } }],
    ['admin:\n  host: "${P}"', { P: '127.0.0.1' }, { admin: { host: '127.0.0.1' } }],
    ['admin:\n  host: |-\n    ${P}', { P: '::1' }, { admin: { host: '::1' } }],
    ['drain: &d\n  delay: ${P}', { P: '1s' }, { drain: { delay: 1000 } }],
  ])('%j', (added, env: Env, expected) => {
    const { config, problems } = parse(VALID + added, env);
    expect(problems).toEqual([]);
    expect(config).toMatchObject(expected);
  });

  it('cannot add keys, entries or comments, and is not read twice', () => {
    const env = { NAME: 'a\nlog: {}', TEXT: '[x, #y]: ${NAME} $${Z} *a' };
    const text = VALID.replace('handler: echo', 'handler: push, push: { text: "${TEXT}" }');
    expect(parse(text, env).config?.routes[0]?.websocket).toMatchObject({ push: { text: env.TEXT } });
    expect(problemsOf(VALID.replace('name: hello', 'name: ${NAME}'), env)).toHaveLength(1);
  });

  it('does not reach keys', () => {
    expect(one(`${VALID}"\${K}": 1`, { K: 'log' })).toContain('5:1: error: "${K}": unknown key');
  });

  it.each([
    ['admin:\n  port: ${P}', {}, 'the environment variable P is not set (set P, or give it a default: ${P:-...})'],
    ['admin:\n  port: ${P:?which port}', {}, 'the environment variable P is not set: which port (set P)'],
    [
      'admin:\n  port: ${P',
      { P: '1' },
      '"${" without its "}" (one reference cannot hold another; write ${VAR}, ${VAR:-default} or ${VAR:?message}, and $${ for a plain ${)',
    ],
    ['admin:\n  port: ${P}', { P: 's3cret' }, 'must be a whole number, got the value of ${P}'],
    ['admin:\n  port: ${P}', { P: '99999' }, 'must be at most 65535, got the value of ${P}'],
    ['admin:\n  port: 1${P:-2}', { P: 's3cret' }, 'must be a whole number, got the value of 1${P:-2}'],
    ['admin:\n  port: ${P:-x}', {}, 'must be a whole number, got "x"'],
    ['admin:\n  port: "${P}"', { P: '80' }, 'must be a whole number, got the value of ${P} (take the quotes away)'],
    ['admin:\n  port: !!str ${P}', { P: '80' }, 'must be a whole number, got the value of ${P} (take the quotes away)'],
    [
      'admin:\n  port: ${P}',
      { P: '' },
      'no value (the value of ${P} is empty; it must be a whole number, or take the key out)',
    ],
  ])('%j with %j', (added, env: Env, words) => {
    const tag = added.includes('!!') ? 15 : 9;
    expect(one(VALID + added, env)).toBe(`6:${tag}: error: admin.port: ${words}`);
  });

  it('is shown in no message, whoever words it', () => {
    const env = { UP: 's3cret-upstream', AB: 'ab', LONG: 's3cret-upstream-and-more' };
    const text = `${VALID}    http:\n      upstream: \${UP}\n  - name: x\n    http:\n      upstream: \${AB}\nlog:\n  level: \${LONG}\n`;
    expect(problemsOf(text, env)).toEqual([
      '6:17: error: routes[0].http.upstream: no upstream is named the value of ${UP} (there are none)',
      '9:17: error: routes[1].http.upstream: no upstream is named the value of ${AB} (there are none)',
      '11:10: error: log.level: must be trace, debug, info, warn, error, fatal or silent, got the value of ${LONG}',
    ]);
    const { locate: place } = parse(text, env);
    const placed = place({ severity: 'error', path: [], message: `a ${env.LONG} b`, hint: `"${env.AB}" in abc` });
    expect(placed).toMatchObject({ message: 'a the value of ${LONG} b', hint: 'the value of ${AB} in abc' });
    const user = `${VALID}    http: { upstream: a }\nupstreams:\n  a:\n    servers:\n      - ws://me:pw@\${UP}`;
    expect(one(user, env)).toContain('must hold no user or password, got the value of ws://***@${UP}');
  });
});

describe('problems at once', () => {
  it('are in the order of the file, over schema and cross-field checks', () => {
    const text = `
listeners:
  - port: 80
    max_heat: 1KiB
  - host: 127.0.0.1
routes:
  - name: a
    http: { upstream: rset }
  - name: a
    http: { upstream: rest, timeouts: { idle: 5 } }
upstreams:
  rest: { servers: ["ws://a", "http://a"] }
drain: { spread: 1m }
`;
    expect(problemsOf(text)).toEqual([
      '4:5: error: listeners[0].max_heat: unknown key (did you mean "max_head"?)',
      '5:5: error: listeners[1]: needs "port" or "unix"',
      '8:23: error: routes[0].http.upstream: no upstream is named "rset" (did you mean "rest"?)',
      '9:11: error: routes[1].name: "a" is already the name of routes[0] (metrics and logs tell routes apart by their names)',
      '10:47: error: routes[1].http.timeouts.idle: must be a duration, such as 250ms, 30s, 5m or 1h, got 5 (write 5s)',
      '12:31: error: upstreams.rest.servers[1]: the same as upstreams.rest.servers[0] (take it out)',
      '13:18: error: drain.spread: "spread" is longer than "grace" (the closes must all be out before the rest is cut)',
    ]);
  });

  const WEBSOCKET = '    websocket: { mode: terminate, handler: echo, origins: any }';
  const NO_MODE = '4:16: error: routes[0].websocket.mode: missing (one of splice or terminate)';
  it.each([
    ['{ handlr: echo, origins: any }', [NO_MODE, 'handlr: unknown key (did you mean "handler"?)']],
    [
      '{ handler: echo, orgins: any, timeouts: { idle: 5 } }',
      [NO_MODE, 'orgins: unknown key (did you mean "origins"?)', 'got 5 (write 5s)'],
    ],
    ['{ upstream: chat, inspect: maybe }', [NO_MODE, 'no upstream is named "chat" (there are none)', 'got "maybe"']],
    [
      '{ origins: "*", pign: {} }',
      [NO_MODE, 'got "*" (write origins: any)', 'pign: unknown key (did you mean "ping"?)'],
    ],
    [
      '{ mode: , rooms: { echo: 1 } }',
      ['mode: no value', 'handler: missing', 'rooms.echo: must be true or false, got 1'],
    ],
    [
      '{ mode: proxy, handler: echo, origins: any, pign: {} }',
      ['must be splice or terminate, got "proxy"', 'pign: unknown key'],
    ],
    ['{ mode: "${MODE}", handler: echo, origins: any, pign: {} }', ['variable MODE is not set', 'pign: unknown key']],
  ])('a mode that is missing or wrong hides nothing beside it: %s', (websocket, expected) => {
    const problems = problemsOf(VALID.replace(WEBSOCKET, `    websocket: ${websocket}`));
    expect(problems).toHaveLength(expected.length);
    for (const words of expected)
      expect(
        problems.some((problem) => problem.includes(words)),
        words,
      ).toBe(true);
  });

  it('an upstream is not unused whose name is mistyped where it is used', () => {
    const text = `${VALID}    http: { upstream: rset }\nupstreams: { rest: { servers: [ws://a] } }\n`;
    expect(one(text)).toBe('5:23: error: routes[0].http.upstream: no upstream is named "rset" (did you mean "rest"?)');
  });

  const UPSTREAM = 'upstreams:\n  rest: { servers: [ws://a] }\n';
  it.each([
    [
      'an upstream that is broken is no dangling name',
      `    http: { upstream: rest }\nupstreams:\n  rest: { servers: [a] }\n`,
    ],
    ['so is one of which a key is missing', `    http: { upstream: rest }\nupstreams:\n  rest: {}\n`],
    ['so are all under a mistyped key', `    http: { upstream: rest }\nupstream:\n  rest: { servers: [ws://a] }\n`],
    ['so are all of broken upstreams', `    http: { upstream: rest }\nupstreams: [a]\n`],
    ['so is one whose value is not known', `    http: { upstream: rest }\nupstreams:\n  rest: *x\n`],
    [
      'an upstream of a broken route is not unused',
      `  - name: b\n    http: { upstream: rest, timeout: 1 }\n${UPSTREAM}`,
    ],
    ['nor of a route without a name', `  - http: { upstream: rest }\n${UPSTREAM}`],
    ['a broken action is no missing one', `  - name: b\n    http: rest\n${UPSTREAM}`],
    ['a mistyped action is no missing one', `  - name: b\n    htp: { upstream: rest }\n${UPSTREAM}`],
    ['a broken drain is compared with nothing', `drain: { grace: 5s, spread: x }\n`],
    ['an unset variable is no broken value', `admin:\n  port: \${P}\n`],
    [
      'a broken list of subprotocols is there',
      `  - name: b\n    websocket: { mode: terminate, handler: echo, origins: any, subprotocols: x, subprotocol_required: true }\n`,
    ],
    [
      'a mistyped one too',
      `  - name: b\n    websocket: { mode: terminate, handler: echo, origins: any, subprotocol: [x], subprotocol_required: true }\n`,
    ],
    [
      'broken origins are not same-host',
      `  - name: b\n    websocket: { mode: terminate, handler: echo, origins: [] }\n`,
    ],
    [
      'a broken host is a host',
      `  - name: b\n    match: { host: 1 }\n    websocket: { mode: terminate, handler: echo, origins: same-host }\n`,
    ],
  ])('raise no false alarm: %s', (_, added) => {
    expect(problemsOf(VALID + added)).toHaveLength(1);
  });

  it.each([
    ['listeners: [{ prot: 80 }]', 1],
    ['listeners: [{ port: x }]', 1],
    ['listeners: [{ port: 80, tls: { certificate: [] } }]', 1],
    ['listeners: [{ port: 80, tls: { certificates: [] } }]', 1],
    ['listeners: [{ port: 9901 }]\nadmin: { prot: 9902 }', 1],
    ['listeners: []', 1],
  ])('raise no false alarm: %s', (listeners, count) => {
    expect(problemsOf(VALID.replace('listeners: [{ port: 80 }]', listeners))).toHaveLength(count);
  });

  it('leave a partial config, whose problems are placed in the file', () => {
    const text = `listeners: 1
routes:
  - name: [broken]
  - name: a
    match: { path: x }
    http: { upstream: rest }
  - nam: broken
  - name: b
    match: { path: y }
    http: { upstream: rest }
upstreams: { rest: { servers: [ws://a] } }
`;
    const { config, partial, locate: place } = parse(text);
    expect(config).toBeNull();
    expect(partial?.listeners).toEqual([]);
    expect(partial?.routes.map(({ name }) => name)).toEqual(['a', 'b']);
    const placed = place({ severity: 'error', path: ['routes', 1, 'match', 'path'], message: 'bad' });
    expect(formatProblem(placed)).toBe('g.yaml:9:20: error: routes[3].match.path: bad');
    const beyond = place({ severity: 'error', path: ['routes', 9, 'match'], message: 'bad' });
    expect(beyond).toMatchObject({ line: 3, column: 3 });
  });

  it.each([
    ['match: { paths: /ws/* }', false],
    ['match: { path: 1 }', false],
    ['mach: { path: /a }', false],
    ['match: { method: GET }', false],
    ['match: *x', false],
    ['match: { path: /ws/*, method: GET }', true],
    ['match: { path: /ws/*, host: 1 }', true],
  ])(
    'tell of a route that matches more than it was meant to, and whether its paths are whole: %s',
    (match, knowsPath) => {
      const text = VALID.replace('name: hello', `name: hello\n    ${match}`);
      const { partial, widened, problems } = parse(`${text}  - name: b\n    http: { upstream: none }\n`);
      expect(partial?.routes.map(({ name }) => name)).toEqual(['hello', 'b']);
      expect([...widened]).toEqual([[0, { knowsPath }]]);
      expect(problems.map(({ line, column }) => [line, column])).toContainEqual([7, 23]);
    },
  );

  it('take a place at the deepest node there is', () => {
    const { locate: place } = parse(`${VALID}log: { level: info }\n`);
    const at = (...path: (string | number)[]) => {
      const { line, column } = place({ severity: 'warning', path, message: '' });
      return `${line}:${column}`;
    };
    expect(at()).toBe('1:1');
    expect(at('nothing')).toBe('1:1');
    expect(at('log', 'access')).toBe('5:6');
    expect(at('log', 'level', 'deeper')).toBe('5:15');
    expect(at('routes', 0, 'match', 'host')).toBe('3:5');
    expect(at('routes', 'x')).toBe('3:3');
    expect(place({ severity: 'warning', path: ['log', 'level'], message: '', at: 'key' })).toMatchObject({ column: 8 });
    expect(parse('[').locate({ severity: 'error', path: ['log'], message: '' })).toMatchObject({ line: 1, column: 1 });
  });
});

it('a problem is one line, whatever stands in it', () => {
  const problem = { severity: 'error', path: ['a b', 0, 'c-d'], message: 'x\ny\u001b[1m', hint: 'h' } as const;
  expect(formatProblem({ ...problem, file: 'f', line: 1, column: 2 })).toBe('f:1:2: error: "a b"[0].c-d: x y [1m (h)');
  expect(formatProblem({ ...problem, path: [], file: 'f', line: 1, column: 2 })).toBe('f:1:2: error: x y [1m (h)');
});
