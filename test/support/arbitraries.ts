// Random requests and route rules for property tests, from few words, so that rules and requests often meet.
import fc from 'fast-check';
import type { Change } from './heads.ts';

/** How often a property is tried: FUZZ_RUNS, else a number that takes about a second. */
export const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);

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
  });

export const requestHost = fc.constantFrom(
  'example.com',
  'a.example.com',
  'b.a.example.com',
  'B.example.com:81',
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
