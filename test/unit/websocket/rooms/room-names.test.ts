// What users and rooms may be called: no two names that look the same, and nobody but a guest is called as one.
import { expect, it } from 'vitest';
import { isRejection } from '../../../../src/handshake/rejection.ts';
import type { Opening } from '../../../../src/websocket/handler.ts';
import { RoomNames } from '../../../../src/websocket/rooms/room-names.ts';

function namesOf(user: string, charset: 'ascii' | 'unicode' = 'unicode') {
  const names = new RoomNames({ room: '{room}', names: { charset, length: 64 } });
  const params = { room: 'r', user: encodeURIComponent(user) };
  return names.resolve({ params, principal: null } as unknown as Opening);
}

it.each([
  ['alice', 'alice'],
  ['é', '\u00e9'],
  ['e\u0301', '\u00e9'],
  ['ａｌｉｃｅ', 'alice'],
  ['ﬁn', 'fin'],
  ['नमस्ते', 'नमस्ते'],
  ['น้ำ', 'น้ำ'.normalize('NFKC')],
  ['שָׁלוֹם', 'שָׁלוֹם'.normalize('NFKC')],
  ['ảnh', 'ảnh'.normalize('NFKC')],
])('%s is the name %s', (user, name) => expect(namesOf(user)).toMatchObject({ user: name, guest: false }));

it.each([
  ['a zero-width joiner', 'ali\u200dce'],
  ['a zero-width space', 'alice\u200b'],
  ['a soft hyphen', 'ali\u00adce'],
  ['a Hangul filler, which is a letter', 'alice\u3164'],
  ['a variation selector, which is a mark', 'alice\ufe0f'],
  ['a word joiner', 'alice\u2060'],
  ['an override of the direction', 'alice\u202e'],
  ['the same mark twice', 'alice\u0335\u0335'],
  ['five marks on a letter', 'a\u0335\u0336\u0337\u0338\u0321'],
  ['an enclosing mark', 'a\u20dd'],
  ['a guest', 'guest-1a2b3c4d'],
  ['a guest in capitals', 'Guest-x'],
  ['a guest in full-width letters', 'ｇｕｅｓｔ-1'],
])('%s is no name of a user', (_, user) => {
  const refused = namesOf(user);
  expect(isRejection(refused) && refused.reason).toBe('name');
});

it('a guest is called as one, where the route knows no names', () => {
  const names = new RoomNames({ room: '{room}', names: { charset: 'ascii', length: 64 } });
  const opening = { params: { room: 'guest-room' }, principal: null } as unknown as Opening;
  expect(names.resolve(opening)).toMatchObject({
    room: 'guest-room',
    user: expect.stringMatching(/^guest-[0-9a-f]{8}$/),
    guest: true,
  });
});
