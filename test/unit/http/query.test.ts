// The parameters of a query beside node's URLSearchParams, which reads them rightly, but not in linear time.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parametersOf } from '../../../src/http/query.ts';

it('are those that URLSearchParams reads', () => {
  const part = fc.stringMatching(/^[a&=%+?;\u00e9-]{0,8}$/);
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
      const query = parts.join('&');
      expect([...parametersOf(query)]).toEqual([...new URLSearchParams(`?${query}`)]);
    }),
  );
});

it.each([
  ['a', [['a', '']]],
  [
    'a&b=c&&d',
    [
      ['a', ''],
      ['b', 'c'],
      ['d', ''],
    ],
  ],
  ['a=b=c', [['a', 'b=c']]],
  [
    'a%3Db&c+d',
    [
      ['a=b', ''],
      ['c d', ''],
    ],
  ],
  ['', []],
  ['?a', [['?a', '']]],
])('%s', (query, parameters) => {
  expect([...parametersOf(query)]).toEqual(parameters);
});
