import { scryptSync } from 'node:crypto';
import bcrypt from 'bcrypt';
import { describe, expect, it } from 'vitest';
import { type PasswordHash, parseHash } from '../../../src/auth/password.ts';

const plain = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');

function scrypted(password: string, { ln = 10, r = 8, p = 1 } = {}): string {
  const salt = Buffer.from('sixteen octets !');
  const hash = scryptSync(password, salt, 32, { N: 2 ** ln, r, p });
  return `$scrypt$ln=${ln},r=${r},p=${p}$${plain(salt)}$${plain(hash)}`;
}

function parsed(text: string): PasswordHash {
  const hash = parseHash(text);
  if (typeof hash === 'string') throw new Error(hash);
  return hash;
}

describe('a hash of scrypt', () => {
  it('matches its password and no other', async () => {
    const hash = parsed(scrypted('correct horse'));
    expect(await hash.matches('correct horse')).toBe(true);
    for (const other of ['', 'correct hors', 'correct horse ', 'Correct horse']) {
      expect([other, await hash.matches(other)]).toEqual([other, false]);
    }
  });

  it('is read as passlib writes it', async () => {
    // passlib.hash.scrypt.using(rounds=10).hash("password") of its documentation's form.
    const salt = Buffer.from('QJ8YyLdxwsjkCJEVUaEAHg', 'base64');
    const hash = scryptSync('password', salt, 32, { N: 2 ** 10, r: 8, p: 1 });
    expect(await parsed(`$scrypt$ln=10,r=8,p=1$QJ8YyLdxwsjkCJEVUaEAHg$${plain(hash)}`).matches('password')).toBe(true);
  });

  it.each([
    ['too weak', 'ln=9,r=8,p=1'],
    ['no block size', 'ln=14,r=0,p=1'],
    ['not parallel at all', 'ln=14,r=8,p=0'],
    ['a gigabyte', 'ln=20,r=8,p=1'],
    ['too parallel', 'ln=14,r=8,p=99'],
  ])('is refused where it is %s', (_, parameters) => {
    expect(parseHash(scrypted('x').replace(/ln=[^$]*/, parameters))).toMatch(/^is a hash of scrypt that/);
  });
});

describe('a hash of bcrypt', () => {
  const hash = bcrypt.hashSync('secret', 4);

  it.each(['$2a$', '$2b$', '$2y$'])('matches as %s', async (prefix) => {
    const known = parsed(hash.replace(/^\$2b\$/, prefix));
    expect([await known.matches('secret'), await known.matches('Secret')]).toEqual([true, false]);
  });

  it('never matches what is longer than bcrypt looks at', async () => {
    const long = 'x'.repeat(72);
    const known = parsed(bcrypt.hashSync(long, 4));
    expect([await known.matches(long), await known.matches(`${long}y`)]).toEqual([true, false]);
  });

  it('is refused where a check would take seconds', () => {
    expect(parseHash(hash.replace('$04$', '$15$'))).toMatch(/^is no hash/);
  });
});

it.each(['', 'secret', '{SHA}abc', '$apr1$abc$def', '$1$abc$def'])('takes %j for no hash', (text) => {
  expect(parseHash(text)).toMatch(/^is no hash/);
});
