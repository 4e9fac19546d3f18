import { describe, expect, it } from 'vitest';
import { distance, isSameWord, nearest } from '../../../../src/config/problems/nearest.ts';

describe('distance', () => {
  it.each([
    ['', '', 0],
    ['abc', 'abc', 0],
    ['', 'abc', 3],
    ['abc', '', 3],
    ['abc', 'abd', 1],
    ['abc', 'ab', 1],
    ['abc', 'xabc', 1],
    ['origins', 'orgins', 1],
    ['timeouts', 'timeuots', 1],
    ['kitten', 'sitting', 3],
  ])('%j and %j: %d', (one, other, edits) => {
    expect(distance(one, other)).toBe(edits);
    expect(distance(other, one)).toBe(edits);
  });
});

describe('nearest', () => {
  const keys = ['origins', 'missing_origin', 'keep_alive', 'head', 'port', 'tls'];
  it.each([
    ['orgins', 'origins'],
    ['origin', 'origins'],
    ['Origins', 'origins'],
    ['keepAlive', 'keep_alive'],
    ['keep-alive', 'keep_alive'],
    ['prot', 'port'],
    ['hed', 'head'],
    ['ssl', undefined],
    ['x', undefined],
    ['', undefined],
    ['missing', undefined],
    ['something_else', undefined],
  ])('%j means %s', (word, meant) => expect(nearest(word, keys)).toBe(meant));

  it('takes the nearest of several, and the first of equals', () => {
    expect(nearest('abcdef', ['abcdxy', 'abcdex'])).toBe('abcdex');
    expect(nearest('rest', ['best', 'test'])).toBe('best');
  });

  it('takes no longer for a word without end', () => {
    expect(nearest('a'.repeat(1_000_000), keys)).toBeUndefined();
  });
});

it('isSameWord overlooks spelling and number, and nothing else', () => {
  expect(isSameWord('keepAlive', 'keep_alive')).toBe(true);
  expect(isSameWord('origin', 'origins')).toBe(true);
  expect(isSameWord('origins', 'origin')).toBe(true);
  expect(isSameWord('relay', 'delay')).toBe(false);
});
