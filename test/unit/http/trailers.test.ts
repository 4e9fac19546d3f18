import { expect, it } from 'vitest';
import { passingTrailers } from '../../../src/http/trailers.ts';

it('keeps order, casing and repetitions', () => {
  expect(passingTrailers(['X-Sum', 'a', 'grpc-status', '0', 'x-sum', 'b'])).toEqual([
    ['X-Sum', 'a'],
    ['grpc-status', '0'],
    ['x-sum', 'b'],
  ]);
});

it.each([
  'Content-Length',
  'Transfer-Encoding',
  'Host',
  'Trailer',
  'Authorization',
  'Cookie',
  'Set-Cookie',
  'Connection',
  'If-Match',
  'X-Forwarded-For',
  'X_Forwarded_For',
  'Forwarded',
  'X-Request-Id',
  'X-Gateway-Reason',
])('leaves out %s', (name) => {
  expect(passingTrailers([name, '1', 'X-Sum', 'a'])).toEqual([['X-Sum', 'a']]);
});
