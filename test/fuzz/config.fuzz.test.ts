// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} is what the config itself writes.
// Whatever the text: a config, or problems at places that are in the file; never an exception, and never a secret shown.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseServerUrl } from '../../src/config/server-url.ts';
import { checkParsed, parse } from './targets/config.ts';

const VALID = `listeners:
  - port: \${PORT:-80}
    tls: { self_signed: [localhost] }
upstreams:
  chat: { servers: [ws://127.0.0.1:9001], balance: least_connections }
routes:
  - name: chat
    match: { host: "*.a.com", path: /ws/*, headers: { x-a: "1" } }
    websocket:
      mode: splice
      upstream: chat
      origins: [https://a.com]
      subprotocols: [a, b]
      limits: { connections: 5 }
  - name: echo
    websocket: { mode: terminate, handler: push, push: { text: x }, origins: any }
    http: { upstream: chat, timeouts: { idle: 5s } }
drain: { delay: 1s, grace: 30s }
`;

const holds = (text: string) => void checkParsed(text, parse(text));

const RUNS = { numRuns: Number(process.env['FUZZ_RUNS'] ?? 200) };
/** By the slowest case on a busy machine. */
const TIMEOUT_MS = 30_000 + RUNS.numRuns * 50;

/** Words that mean something somewhere in a config, and some that never do. */
const word = fc.oneof(
  fc.constantFrom(
    ...['listeners', 'routes', 'upstreams', 'websocket', 'http', 'match', 'mode', 'splice', 'terminate', 'origins'],
    ...['__proto__', 'constructor', 'toString', '<<', '', '~', 'true', '80', '1e9', '.nan', '30s', '1MiB', 'ws://a:1'],
    ...[
      '${PORT}',
      '${SECRET}',
      '"${SECRET}"',
      '${EMPTY}',
      '${NONE}',
      '${NONE:-x}',
      '${',
      '$${X}',
      '*a',
      '&a x',
      '!t x',
    ],
  ),
  fc.string({ maxLength: 8 }),
);

const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    word,
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(word, tie('value'), { maxKeys: 4 }),
  ),
})).value;

describe('parseConfig', { timeout: TIMEOUT_MS }, () => {
  it('takes any text', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 200, unit: 'binary' }),
      fc
        .array(
          fc.oneof(
            word,
            fc.constantFrom(
              '\n',
              '\n  ',
              '\n    ',
              ': ',
              '- ',
              '[',
              ']',
              '{',
              '}',
              ', ',
              '#',
              '"',
              "'",
              '\t',
              '\r\n',
              '|',
              '>',
              '---\n',
            ),
          ),
          { maxLength: 60 },
        )
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (input) => holds(input)),
      RUNS,
    );
  });

  it('takes any structure', () => {
    const root = fc.record(
      {
        listeners: fc.oneof(value, fc.constant([{ port: 80 }])),
        admin: value,
        trusted_proxies: value,
        upstreams: fc.oneof(value, fc.constant({ chat: { servers: ['ws://a:1'] } })),
        routes: fc.oneof(
          value,
          fc.array(fc.record({ name: word, match: value, websocket: value, http: value }, { requiredKeys: [] })),
        ),
        drain: value,
        log: value,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(root, (input) => {
        const text = JSON.stringify(input);
        holds(text);
      }),
      RUNS,
    );
  });

  it('takes a valid config with anything put into it or cut out of it', () => {
    const position = fc.nat(VALID.length);
    fc.assert(
      fc.property(position, fc.nat(12), word, (at, length, inserted) => {
        const text = VALID.slice(0, at) + inserted + VALID.slice(at + length);
        holds(text);
      }),
      RUNS,
    );
  });

  it('takes a valid config with lines swapped, doubled or lost', () => {
    const lines = VALID.split('\n');
    const line = fc.nat(lines.length - 1);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 40 }), (order) => {
        const text = order.map((index) => lines[index]).join('\n');
        holds(text);
      }),
      RUNS,
    );
  });
});

describe('parseServerUrl', { timeout: TIMEOUT_MS }, () => {
  it('gives an address whose url means the same again, or a fault without the text', () => {
    const host = fc.oneof(
      fc.domain(),
      fc.ipV4(),
      fc.ipV6().map((ip) => `[${ip}]`),
      fc.string({ maxLength: 12 }),
    );
    const text = fc
      .tuple(
        fc.constantFrom('ws', 'WSS', 'http', 'https', 'ftp', ''),
        host,
        fc.constantFrom('', ':0', ':1', ':65536', ':x', '/'),
      )
      .map(([scheme, name, rest]) => `${scheme}://${name}${rest}`);
    fc.assert(
      fc.property(text, (input) => {
        const parsed = parseServerUrl(input);
        if ('message' in parsed) expect(parsed.hint).not.toBe('');
        else expect(parseServerUrl(parsed.url)).toEqual(parsed);
      }),
      { numRuns: 5 * RUNS.numRuns },
    );
  });
});
