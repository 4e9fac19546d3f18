// Texts with places in them.
import { expect, it } from 'vitest';
import { parseTemplate } from '../../../../src/config/yaml/template.ts';

it.each([
  ['lobby', ['lobby']],
  ['{room}', [{ from: 'path', name: 'room' }]],
  ['team-{query.team}', ['team-', { from: 'query', name: 'team' }]],
  ['{a}/{b}!', [{ from: 'path', name: 'a' }, '/', { from: 'path', name: 'b' }, '!']],
  ['{claim.sub}', [{ from: 'claim', name: 'sub' }]],
  ['{claim.https://a.example/x.y}', [{ from: 'claim', name: 'https://a.example/x.y' }]],
  [
    '{a}{query.b-c}',
    [
      { from: 'path', name: 'a' },
      { from: 'query', name: 'b-c' },
    ],
  ],
])('%s', (text, template) => expect(parseTemplate(text)).toEqual(template));

it.each(['', '{', '}', '{}', '{a', 'a}', '}a{', '{{a}}', '{a}}', '{a b}', '{query.}', '{claim.}', '{header.x}', '{1}'])(
  '%s is none',
  (text) => expect(parseTemplate(text)).toBeNull(),
);
