// The closed table of errors, and the one mapper from an error to the status the client gets.
import { describe, expect, it } from 'vitest';
import { asGatewayError, ERRORS, type ErrorCode, GatewayError, statusOf, systemCode } from '../../src/errors.ts';

describe('an error', () => {
  it.each(Object.keys(ERRORS) as ErrorCode[])('%s knows its source, its status and its cause', (code) => {
    const cause = new Error('why');
    const error = new GatewayError(code, 'what', cause);
    expect(error).toMatchObject({ name: 'GatewayError', code, source: ERRORS[code].source, message: 'what', cause });
    expect(statusOf(error)).toBe(ERRORS[code].status);
  });

  it('has no cause where there is none', () => {
    expect(new GatewayError('internal', 'what')).not.toHaveProperty('cause');
  });

  it('blames the side that broke with the class of its status', () => {
    for (const { source, status } of Object.values(ERRORS)) {
      if (source === 'downstream') expect(status).toBeLessThan(500);
      else expect(status).toBeGreaterThanOrEqual(500);
    }
  });
});

describe('anything thrown', () => {
  it('that is a GatewayError stays the one it is', () => {
    const error = new GatewayError('limit', 'no room');
    expect(asGatewayError(error, 'request')).toBe(error);
  });

  it('that is another error is internal, with its message and as cause', () => {
    const thrown = new TypeError('x is undefined');
    expect(asGatewayError(thrown, 'request')).toMatchObject({
      code: 'internal',
      message: 'x is undefined',
      cause: thrown,
    });
  });

  it.each(['text', 7, null, undefined])('even %j', (thrown) => {
    expect(asGatewayError(thrown, 'request')).toMatchObject({ code: 'internal', message: String(thrown) });
  });
});

describe('the code of a system error', () => {
  it('is read where it is text', () => {
    expect(systemCode(Object.assign(new Error('no'), { code: 'EMFILE' }))).toBe('EMFILE');
  });

  it.each([null, undefined, 'EMFILE', new Error('no'), { code: 24 }])('is none in %j', (value) => {
    expect(systemCode(value)).toBeUndefined();
  });
});
