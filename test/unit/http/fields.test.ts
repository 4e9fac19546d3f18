// Reading fields: names in any case, lists over several lines, and what counts as whitespace.
import { describe, expect, it } from 'vitest';
import { isToken, listElements, listHas, lowerNames, trimOws, valuesOf, without } from '../../../src/http/fields.ts';

const section = (...fields: string[]) => ({ fields, names: lowerNames(fields) });

describe('tokens (RFC 9110 §5.6.2)', () => {
  it.each(["!#$%&'*+-.^_`|~09azAZ", 'x', '13'])('%j is one', (text) => expect(isToken(text)).toBe(true));
  it.each(['', ' ', 'a b', 'a\t', 'a,b', 'a;b', 'a=b', '"a"', '(a)', 'a/b', 'a:b', 'é', '\u00ff', 'a\n'])(
    '%j is none',
    (text) => expect(isToken(text)).toBe(false),
  );
});

describe('OWS (RFC 9110 §5.6.3)', () => {
  it('is SP and HTAB', () => expect(trimOws(' \t a b\t ')).toBe('a b'));
  it('is nothing else that JavaScript calls whitespace', () => expect(trimOws('\u00a0a\v')).toBe('\u00a0a\v'));
  it('may be all there is', () => expect(trimOws(' \t ')).toBe(''));
});

describe('values of a field', () => {
  it('are found whatever the case of the name, each line for itself, trimmed', () => {
    const head = section('X-A', '1', 'x-b', '2', 'x-a', '\t3 ');
    expect(valuesOf(head, 'x-a')).toEqual(['1', '3']);
  });
  it('are none where the field is not there', () => expect(valuesOf(section('A', '1'), 'b')).toEqual([]));
  it('are not mistaken for names', () => expect(valuesOf(section('a', 'b', 'c', 'd'), 'b')).toEqual([]));
  it('are there for a name that objects have by themselves', () =>
    expect(valuesOf(section('__proto__', 'x', 'Constructor', 'y'), '__proto__')).toEqual(['x']));
});

describe('lists', () => {
  it('are joined over lines, without their empty elements (RFC 9110 §5.6.1.2)', () => {
    const head = section('Connection', ', keep-alive,,\tUpgrade ', 'Host', 'a', 'CONNECTION', '', 'connection', 'x,');
    expect(listElements(head, 'connection')).toEqual(['keep-alive', 'Upgrade', 'x']);
  });
  it.each([
    ['alone', ['upgrade']],
    ['in another case', ['UpGrAdE']],
    ['among others', ['keep-alive, Upgrade']],
    ['behind a tab', ['keep-alive,\tUpgrade']],
    ['between tabs', ['\tUpgrade\t']],
    ['on a later line', ['keep-alive', 'Upgrade']],
  ])('hold a token %s', (_, lines) => {
    expect(listHas(section(...lines.flatMap((line) => ['Connection', line])), 'connection', 'upgrade')).toBe(true);
  });
  it.each(['upgrades', 'xupgrade', 'up grade', '"upgrade"', 'upgrade;q=1', 'upgrade/1', 'upgrade keep-alive', ''])(
    'do not hold it in %j',
    (line) => expect(listHas(section('Connection', line), 'connection', 'upgrade')).toBe(false),
  );
});

describe('without', () => {
  it('leaves out the named fields in any case, and keeps the order of the rest', () => {
    const fields = ['A', '1', 'Content-Length', '2', 'b', '3', 'CONTENT-LENGTH', '4'];
    expect(without(fields, new Set(['content-length']))).toEqual(['A', '1', 'b', '3']);
  });
});
