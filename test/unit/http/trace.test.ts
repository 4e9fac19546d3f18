import { describe, expect, it } from 'vitest';
import { readTraceParent } from '../../../src/http/trace.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const VALID = `00-${TRACE}-00f067aa0ba902b7-01`;

const read = (...values: string[]) =>
  readTraceParent({
    fields: values.flatMap((value) => ['traceparent', value]),
    names: values.map(() => 'traceparent'),
  });

describe('the trace of a request', () => {
  it('is that of its traceparent, of a later version too', () => {
    const found = { traceId: TRACE, spanId: '00f067aa0ba902b7', flags: 1 };
    expect(read(VALID)).toEqual(found);
    expect(read(`01-${TRACE}-00f067aa0ba902b7-01-more`)).toEqual(found);
  });

  it.each([
    ['none at all', []],
    ['two of them', [VALID, VALID]],
    ['version ff', [VALID.replace(/^00/, 'ff')]],
    ['a trace of zeros', [VALID.replace(TRACE, '0'.repeat(32))]],
    ['a parent of zeros', [VALID.replace('00f067aa0ba902b7', '0'.repeat(16))]],
    ['upper case', [VALID.toUpperCase()]],
    ['more behind version 00', [`${VALID}-more`]],
    ['another shape', ['not-a-trace']],
  ])('is not there with %s', (_, values) => {
    expect(read(...values)).toBe(undefined);
  });
});
