// A value that is made when it is first asked for.
import { expect, it, vi } from 'vitest';
import { once } from '../../../src/base/once.ts';

it('makes the value at the first call and gives the same one at all others', () => {
  const make = vi.fn(() => ({}));
  const value = once(make);
  expect(make).not.toHaveBeenCalled();
  const first = value();
  expect(value()).toBe(first);
  expect(make).toHaveBeenCalledTimes(1);
});

it('keeps what is undefined as well', () => {
  const make = vi.fn(() => undefined);
  const value = once(make);
  expect([value(), value()]).toEqual([undefined, undefined]);
  expect(make).toHaveBeenCalledTimes(1);
});

it('throws what making it throws, and tries again', () => {
  const make = vi.fn().mockImplementationOnce(() => {
    throw new Error('not yet');
  });
  const value = once(make.mockReturnValue(1));
  expect(value).toThrow('not yet');
  expect(value()).toBe(1);
});
