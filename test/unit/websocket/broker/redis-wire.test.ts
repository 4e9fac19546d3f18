// What comes over a gateway's channel: acted on where it has its shape, and else ignored.
import { expect, it } from 'vitest';
import { readEvent, readMembers } from '../../../../src/websocket/broker/redis-wire.ts';

const VALID = {
  publish: ['publish', 'r', '12-0', '11-0', 'alice', '"hi"', 'm'],
  join: ['join', 'r', 'm', 'alice'],
  ask: ['ask', { id: 'q', from: 'g', command: { kind: 'close', connection: 'c', code: 1000, reason: '' } }],
  revoke: ['ask', { id: 'q', from: 'g', command: { kind: 'revoke', revocation: { subject: 'a' }, forMs: 1 } }],
  reply: ['reply', 'q', 'g', null],
} as const;
const DESCRIBED = {
  ...{ id: 'c', route: 'r', mode: 'splice', client: '192.0.2.1', user: null, room: null, subprotocol: null },
  ...{ openedAt: 1, activeAt: null },
};

it('reads what is valid', () => {
  expect(readEvent(JSON.stringify(VALID.publish))).toEqual({
    kind: 'publish',
    room: 'r',
    message: { id: '12-0', at: 12, user: 'alice', data: '"hi"', membership: 'm', previous: '11-0' },
  });
  expect(readEvent(JSON.stringify(VALID.join))).toEqual({ kind: 'join', room: 'r', membership: 'm', user: 'alice' });
  expect(readEvent(JSON.stringify(VALID.ask))).toMatchObject({ kind: 'ask', question: VALID.ask[1] });
  expect(readEvent(JSON.stringify(VALID.revoke))).toMatchObject({ kind: 'ask', question: VALID.revoke[1] });
  expect(readEvent(JSON.stringify(VALID.reply))).toEqual({ kind: 'reply', question: 'q', from: 'g', found: null });
  const described = readEvent(JSON.stringify(['reply', 'q', 'g', DESCRIBED]));
  expect(described).toMatchObject({ kind: 'reply', found: DESCRIBED });
});

const asked = (command: unknown) => ['ask', { id: 'q', from: 'g', command }];

it.each([
  ['no JSON', '{', 'malformed'],
  ['no list', '{"kind":"say"}', 'malformed'],
  ['nothing', '[]', 'malformed'],
  ['another event', '["burn","r"]', 'unknown'],
  ['a name of every object', '["constructor"]', 'unknown'],
  ['an id that is none', JSON.stringify([...VALID.publish.slice(0, 2), 'x', ...VALID.publish.slice(3)]), 'malformed'],
  [
    'a time beyond all dates',
    JSON.stringify([...VALID.publish.slice(0, 2), '9999999999999999-0', ...VALID.publish.slice(3)]),
    'malformed',
  ],
  ['a member too few', JSON.stringify(VALID.join.slice(0, 3)), 'malformed'],
  ['a member that is no text', JSON.stringify(['join', 7, 'm', 'alice']), 'malformed'],
  ['an answer that is none', '["reply","q","g",{}]', 'malformed'],
  [
    'a message that is no JSON, which members would get as it stands',
    JSON.stringify([...VALID.publish.slice(0, 5), '"hi', 'm']),
    'malformed',
  ],
  [
    'a time that no Date holds',
    JSON.stringify(['reply', 'q', 'g', { ...DESCRIBED, openedAt: 8.64e15 + 1 }]),
    'malformed',
  ],
  ['another command', JSON.stringify(asked({ kind: 'burn', connection: 'c', code: 1000, reason: '' })), 'unknown'],
  [
    'a Close that cannot be',
    JSON.stringify(asked({ kind: 'close', connection: 'c', code: 1006, reason: '' })),
    'unknown',
  ],
  ['a revocation of everybody', JSON.stringify(asked({ kind: 'revoke', revocation: {}, forMs: 1 })), 'unknown'],
  [
    'a criterion that is not known, which would leave everybody',
    JSON.stringify(asked({ kind: 'revoke', revocation: { tenant: 'a' }, forMs: 1 })),
    'unknown',
  ],
])('ignores %s', (_, text, why) => expect(readEvent(text)).toBe(why));

it('leaves out what is no member', () => {
  const none = [
    'garbage',
    '{"user":"mallory"}',
    '["a","b",{"valueOf":1,"toString":1}]',
    `["a","b","${'9'.repeat(16)}"]`,
  ];
  const flat = ['s1', '["alice","c1","5"]', ...none.flatMap((text, i) => [`s${i + 2}`, text])];
  expect([...readMembers(flat)]).toEqual([['s1', { user: 'alice', connection: 'c1', since: 5 }]]);
});
