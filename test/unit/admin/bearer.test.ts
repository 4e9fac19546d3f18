// The admin token: who shows it, and that whatever is shown is compared in constant time.
import { beforeEach, describe, expect, it, vi } from 'vitest';

const compared: [Uint8Array, Uint8Array][] = [];
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  const timingSafeEqual = (one: Uint8Array, other: Uint8Array): boolean => {
    compared.push([one, other]);
    return crypto.timingSafeEqual(one, other);
  };
  return { ...crypto, timingSafeEqual };
});
// Files share their process, and another one may have loaded it with the real functions.
vi.resetModules();
const { presentsPassword, presentsToken } = await import('../../../src/admin/bearer.ts');
beforeEach(() => void compared.splice(0));

const TOKEN = 'a-token-of-some-length';
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

describe('as a bearer', () => {
  it.each([`Bearer ${TOKEN}`, `bearer ${TOKEN}`, `Bearer   ${TOKEN} `])('%j is it', (field) =>
    expect(presentsToken(field, TOKEN)).toBe(true),
  );
  it.each([
    undefined,
    '',
    TOKEN,
    'Bearer',
    'Bearer ',
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer ${TOKEN} ${TOKEN}`,
    `Bearer ${TOKEN}, Bearer x`,
    `Bearer "${TOKEN}"`,
    `Token ${TOKEN}`,
    basic(`x:${TOKEN}`),
  ])('%j is not', (field) => expect(presentsToken(field, TOKEN)).toBe(false));
});

describe('as a password', () => {
  it.each([`x:${TOKEN}`, `:${TOKEN}`])('%j is it', (text) => expect(presentsPassword(basic(text), TOKEN)).toBe(true));
  it.each([
    undefined,
    '',
    'Basic',
    'Basic !!!',
    basic(TOKEN),
    basic(`${TOKEN}:`),
    basic(`x:${TOKEN}:`),
    basic(`x:y:${TOKEN}`),
    basic('x:'),
    `Bearer ${TOKEN}`,
  ])('%j is not', (field) => expect(presentsPassword(field, TOKEN)).toBe(false));
});

it('is compared in constant time, by digests of one length, whatever is shown', () => {
  for (const shown of ['x', TOKEN, TOKEN.repeat(50), `${TOKEN.slice(0, -1)}x`]) {
    presentsToken(`Bearer ${shown}`, TOKEN);
    presentsPassword(basic(`x:${shown}`), TOKEN);
  }
  expect(compared).toHaveLength(8);
  expect(new Set(compared.flat().map(({ length }) => length))).toEqual(new Set([32]));
});
