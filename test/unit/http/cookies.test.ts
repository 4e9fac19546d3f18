// One cookie out of the Cookie fields of a request, however they are written.
import { describe, expect, it } from 'vitest';
import { cookieOf } from '../../../src/http/cookies.ts';
import { lowerNames } from '../../../src/http/fields.ts';

const section = (...values: string[]) => {
  const fields = values.flatMap((value) => ['Cookie', value]);
  return { fields, names: lowerNames(fields) };
};

describe('cookieOf', () => {
  it.each([
    ['sid=1', '1'],
    ['a=b; sid=1; c=d', '1'],
    ['a=b;sid=1', '1'],
    ['sid = 1 ', '1'],
    ['sid=', ''],
    ['sid=a=b', 'a=b'],
    ['sid="q"', '"q"'],
    ['sid=1; sid=2', '1'],
    ['SID=1', null],
    ['xsid=1', null],
    ['sid', null],
    ['', null],
  ])('%j', (value, expected) => {
    expect(cookieOf(section(value), 'sid')).toBe(expected);
  });

  it('looks through all fields, and finds none where there is none', () => {
    expect(cookieOf(section('a=1', 'sid=2'), 'sid')).toBe('2');
    expect(cookieOf(section(), 'sid')).toBeNull();
  });
});
