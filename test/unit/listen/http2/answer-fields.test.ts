import { expect, it } from 'vitest';
import { http2Answer } from '../../../../src/listen/http2/answer-fields.ts';

it.each([
  [200, 200],
  [599, 599],
  // Invalid, so a fault of the server; node would refuse to send it.
  [600, 502],
  [999, 502],
])('a status of %i is sent as %i', (status, sent) => {
  expect(http2Answer(status, ['X-A', '1', 'Connection', 'close'])).toEqual({ ':status': sent, 'x-a': '1' });
});
