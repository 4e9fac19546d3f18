// The syntax of Sec-WebSocket-Extensions (RFC 6455 §9.1).
import { describe, expect, it } from 'vitest';
import { readExtensions } from '../../../src/handshake/extensions.ts';
import { handshakeHead } from '../../support/heads.ts';

const extensions = (...lines: string[]) =>
  readExtensions(handshakeHead({ fields: { 'Sec-WebSocket-Extensions': lines } }));
const one = (name: string, ...parameters: [string, string | null][]) => ({ name, parameters });

describe('well formed', () => {
  it.each([
    ['none', [], []],
    ['one', ['permessage-deflate'], [one('permessage-deflate')]],
    [
      'as Chrome sends it',
      ['permessage-deflate; client_max_window_bits'],
      [one('permessage-deflate', ['client_max_window_bits', null])],
    ],
    ['several on a line', ['a; x=1, b'], [one('a', ['x', '1']), one('b')]],
    ['over lines', ['a', 'b;y'], [one('a'), one('b', ['y', null])]],
    ['one name twice, as fallbacks are offered', ['a; x, a'], [one('a', ['x', null]), one('a')]],
    ['quoted values', ['a; x="10"; y="z"'], [one('a', ['x', '10'], ['y', 'z'])]],
    ['an escape in quotes', ['a; x="1\\0"'], [one('a', ['x', '10'])]],
    ['tabs and spaces around everything (implied LWS)', ['\ta\t;\tx = 1 ,\tb '], [one('a', ['x', '1']), one('b')]],
    ['empty elements, which count for nothing', [',a,, b,', ''], [one('a'), one('b')]],
  ])('%s', (_, lines, list) => expect(extensions(...lines)).toEqual(list));
});

describe('malformed', () => {
  it.each([
    'a b',
    '"a"',
    'a;',
    ';a',
    'a;;b',
    'a; x=',
    'a; =1',
    'a; x y',
    'a; x=1 2',
    'a; x==1',
    'a; x=1=2',
    'a; "x"=1',
    'a; x=""',
    'a; x="',
    'a; x="1',
    'a; x=1"',
    'a; x="1 2"',
    'a; x="1,2"',
    'a; x="1;2"',
    'a; x="1\\"',
    'a; x="1\\""',
    'a; x="1"2"',
    'a; x="1" y',
    'a/b',
    'a=1',
    'a; x=\u00e9',
    '\u00e9',
  ])('%j', (line) =>
    expect(extensions(line)).toMatchObject({ reason: 'malformed', detail: expect.stringContaining('Extensions') }),
  );
  it('on a later line', () => expect(extensions('a', 'b c')).toMatchObject({ reason: 'malformed', status: 400 }));
});
