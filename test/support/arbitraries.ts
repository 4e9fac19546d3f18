// Random requests and route rules for property tests, from few words, so that rules and requests often meet.
import fc from 'fast-check';
import type { RequestHead } from '../../src/http/head.ts';
import { type Change, handshakeHead } from './heads.ts';

/** How often a property is tried: FUZZ_RUNS, else a number that takes about a second. */
export const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);

/** Tries a check with many values; what it returns is of no account. */
export function always<T>(values: fc.Arbitrary<T>, check: (value: T) => unknown, runs = numRuns): void {
  fc.assert(
    fc.property(values, (value) => void check(value)),
    { numRuns: runs },
  );
}

const word = fc.constantFrom('a', 'b', 'ws', 'A', 'a.b', 'é', '%2F', ';', '~');
const segment = fc.oneof(
  { weight: 8, arbitrary: word },
  { weight: 1, arbitrary: fc.constantFrom('', '%61', '%2f', '..', '.') },
);

/** A path of a request, in octets; mostly one that can be normalised. */
export const requestPath = fc
  .array(segment, { maxLength: 5 })
  .map((parts) => Buffer.from(`/${parts.join('/')}`, 'utf8').toString('latin1'));

/** A path pattern that can be compiled. */
export const pathPattern = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 4, arbitrary: word },
        { weight: 3, arbitrary: fc.constant('{}') },
        { weight: 1, arbitrary: fc.constant('') },
      ),
      {
        maxLength: 4,
      },
    ),
    fc.boolean(),
  )
  .map(([parts, prefix]) => {
    const named = parts.map((part, i) => (part === '{}' ? `{p${i}}` : part));
    return prefix ? `${named.map((part) => `/${part}`).join('')}/*` : `/${named.join('/')}`;
  })
  .filter((text) => !text.includes('//'));

const requestHost = fc.constantFrom(
  'example.com',
  'a.example.com',
  'b.a.example.com',
  'B.example.com:81',
  'a.example.com.',
  '.example.com',
  'other',
);
export const hostPattern = fc.constantFrom(
  'example.com',
  'a.example.com',
  '*.example.com',
  '*.a.example.com',
  'other',
  undefined,
);

const conditionValue = fc.constantFrom('1', '2', '*');
const conditions = fc.option(fc.dictionary(fc.constantFrom('x', 'y'), conditionValue, { maxKeys: 2 }), {
  nil: undefined,
});

/** The `match` of a route. */
export const matchConfig = fc
  .record({ host: hostPattern, path: pathPattern, headers: conditions, query: conditions })
  .map((match) => Object.fromEntries(Object.entries(match).filter(([, value]) => value !== undefined)));

const lines = fc.array(fc.constantFrom('1', '2', '3'), { maxLength: 2 });

/** What a request says that a `match` can look at. */
export const matchable: fc.Arbitrary<Change> = fc
  .record({
    host: requestHost,
    path: requestPath,
    x: lines,
    y: lines,
    query: fc.array(fc.constantFrom('x=1', 'x=2', 'y=1', 'x', 'z'), { maxLength: 3 }),
  })
  .map(({ host, path, x, y, query }) => ({
    target: query.length === 0 ? path : `${path}?${query.join('&')}`,
    fields: { Host: host, X: x, Y: y },
  }));

/** Any octets, one a character. */
export const octets = fc.uint8Array({ maxLength: 24 }).map((bytes) => Buffer.from(bytes).toString('latin1'));

const pieces = (words: readonly string[], maxLength: number) =>
  fc
    .array(fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...words) }, { weight: 1, arbitrary: octets }), {
      maxLength,
    })
    .map((parts) => parts.join(''));

/** Something like a target: its pieces, in any order. */
export const likeTarget = fc
  .tuple(
    fc.constantFrom('/', '/', '/', '', '//', 'http://h', 'https://h:1/', 'ws://', '*'),
    pieces(
      [
        '/',
        '/',
        'a',
        '.',
        '..',
        '%2e',
        '%2E%2e',
        '%2f',
        '%5c',
        '%25',
        '%',
        '%00',
        '\\',
        ';',
        '?',
        'x=1',
        '#',
        '{',
        '\u00e9',
      ],
      10,
    ),
  )
  .map((parts) => parts.join(''));

/** Something like the value of a list. */
export const fieldValue = pieces(
  [
    ',',
    ', ',
    ' ',
    '\t',
    ';',
    '=',
    '"',
    '\\',
    'a',
    'b',
    'websocket',
    'Upgrade',
    'keep-alive',
    'chunked',
    '13',
    'x=1',
    '\u00e9',
  ],
  8,
);

/** Something like an Origin. */
export const likeOrigin = pieces(
  [
    'https://',
    'http://',
    'app',
    '.',
    'example',
    '.com',
    'evil',
    '@',
    ':',
    '443',
    '80',
    '/',
    '\\',
    '#',
    '?',
    '%2e',
    ' ',
    ',',
    '\0',
    'null',
    '*',
    '[::1]',
    '\u00e9',
  ],
  8,
);

const known: Readonly<Record<string, fc.Arbitrary<string>>> = {
  Host: fc.oneof({ weight: 5, arbitrary: requestHost }, { weight: 1, arbitrary: octets }),
  Upgrade: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('websocket', 'WebSocket', 'h2c') },
    { weight: 1, arbitrary: fieldValue },
  ),
  Connection: fc.oneof(
    {
      weight: 4,
      arbitrary: fc.constantFrom('Upgrade', 'keep-alive,\tupgrade', 'close', 'Upgrade, X-Forwarded-For', 'Origin'),
    },
    { weight: 1, arbitrary: fieldValue },
  ),
  'Sec-WebSocket-Key': fc.oneof(
    { weight: 6, arbitrary: fc.constant('dGhlIHNhbXBsZSBub25jZQ==') },
    { weight: 1, arbitrary: octets },
  ),
  'Sec-WebSocket-Version': fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('13', '13', '8', '7', '013') },
    { weight: 1, arbitrary: octets },
  ),
  Origin: fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom('https://example.com', 'http://a.example.com', 'null') },
    { weight: 1, arbitrary: likeOrigin },
  ),
};
const rare: Readonly<Record<string, fc.Arbitrary<string>>> = {
  'Sec-WebSocket-Origin': likeOrigin,
  'Sec-WebSocket-Protocol': fc.oneof(fc.constantFrom('a', 'b, a', 'c'), fieldValue),
  'Sec-WebSocket-Extensions': fc.oneof(fc.constant('permessage-deflate; client_max_window_bits'), fieldValue),
  'Content-Length': fc.constantFrom('0', '5', '', '0, 0', '-1'),
  'Transfer-Encoding': fc.constantFrom('chunked', 'gzip, chunked', ''),
  'X-Forwarded-For': fc.oneof(
    fc.constantFrom('1.1.1.1', '[::1]:80, 10.0.0.1', '::ffff:10.0.0.1', 'unknown', 'fe80::1%eth0'),
    fieldValue,
  ),
  'X-Forwarded-Proto': fc.constantFrom('http', 'https', ''),
  X_Forwarded_For: fc.constant('6.6.6.6'),
  'X-Request-Id': fc.oneof(fc.constant('id-1'), octets),
  'X-Gateway-Reason': fc.constant('origin'),
  TE: fc.constant('trailers'),
  'HTTP2-Settings': fc.constant('AAMAAABk'),
  x: fc.constantFrom('1', '2'),
};

const linesOf = (fields: Readonly<Record<string, fc.Arbitrary<string>>>, counts: readonly number[]) =>
  fc
    .tuple(
      ...Object.entries(fields).map(([name, value]) =>
        fc.constantFrom(...counts).chain((count) =>
          fc.array(fc.tuple(fc.constantFrom(name, name.toLowerCase()), value), {
            minLength: count,
            maxLength: count,
          }),
        ),
      ),
    )
    .map((of) => of.flat());

/** A head with anything wrong, and much of it. */
const wildHead: fc.Arbitrary<RequestHead> = fc
  .record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'GET', 'GET', 'POST', 'OPTIONS', 'CONNECT', ''),
    target: fc.oneof({ weight: 2, arbitrary: requestPath }, { weight: 1, arbitrary: likeTarget }),
    version: fc.constantFrom('1.1', '1.1', '1.1', '1.1', '1.0', '2.0'),
    secure: fc.boolean(),
    peer: fc.constantFrom('203.0.113.9', '10.0.0.1', '::1', 'fe80::1%eth0', ''),
    lines: fc
      .tuple(linesOf(known, [1, 1, 1, 1, 1, 1, 0, 2]), linesOf(rare, [0, 0, 0, 0, 0, 0, 0, 1, 1, 2]))
      .chain(([often, seldom]) =>
        fc.shuffledSubarray([...often, ...seldom], { minLength: often.length + seldom.length }),
      ),
  })
  .map(({ lines: of, ...head }) => ({ ...head, fields: of.flat(), names: of.map(([name]) => name.toLowerCase()) }));

const fieldChange = fc
  .constantFrom(...Object.entries({ ...known, ...rare }))
  .chain(([name, value]) => fc.array(value, { maxLength: 2 }).map((values) => [name, values] as const));

/** A valid handshake with a thing or two changed. */
const nearHead: fc.Arbitrary<RequestHead> = fc
  .record({
    target: fc.oneof({ weight: 3, arbitrary: requestPath }, { weight: 1, arbitrary: likeTarget }),
    host: requestHost,
    secure: fc.boolean(),
    peer: fc.constantFrom('203.0.113.9', '10.0.0.1'),
    changes: fc.array(fieldChange, { maxLength: 2 }),
  })
  .map(({ host, changes, ...head }) =>
    handshakeHead({ ...head, fields: { Host: host, ...Object.fromEntries(changes) } }),
  );

/** A head as node's parser could give it. */
export const anyHead: fc.Arbitrary<RequestHead> = fc.oneof(
  { weight: 3, arbitrary: nearHead },
  { weight: 1, arbitrary: wildHead },
);
