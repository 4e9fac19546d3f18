import bcrypt from 'bcrypt';
import { expect, it } from 'vitest';
import { isUserName, readUsers, usersOf } from '../../../src/auth/users.ts';

const HASH = bcrypt.hashSync('secret', 4);

it('reads what htpasswd writes', async () => {
  const { hashes, faults } = readUsers(`# staff\n\nalice:${HASH}\r\nbob@example.com:${HASH}\n`);
  expect(faults).toEqual([]);
  const users = usersOf(hashes);
  expect([...users.keys()]).toEqual(['alice', 'bob@example.com']);
  expect(await users.get('alice')?.matches('secret')).toBe(true);
});

it('says which lines are none, and repeats nothing of them that may be a password', () => {
  const { hashes, faults } = readUsers(`alice:${HASH}\nhunter2\n:${HASH}\nalice:${HASH}\ncarol:hunter2\n`);
  expect(Object.keys(hashes)).toEqual(['alice']);
  expect(faults.map(({ line }) => line)).toEqual([2, 3, 4, 5]);
  expect(JSON.stringify(faults)).not.toContain('hunter2');
});

it.each([
  ['alice', true],
  ['', false],
  ['a:b', false],
  ['a\nb', false],
  ['ä', true],
  ['x'.repeat(257), false],
])('%j is a name: %s', (name, is) => expect(isUserName(name)).toBe(is));
