import { describe, expect, it } from 'vitest';
import {
  hostsMeet,
  isAddressEntry,
  isCertificateName,
  isHost,
  isHostName,
  normaliseHost,
} from '../../../src/config/address.ts';

describe('isHostName', () => {
  const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;
  it.each(['localhost', 'a', 'app.example.com', 'app.example.com.', 'my_service', 'x-1', '1.example', longest])(
    'is %s',
    (text) => expect(isHostName(text)).toBe(true),
  );
  it.each(['', '.', 'a..b', '-a', 'a-', 'a b', 'ä.de', '1.2.3.4', '1.2.3', '7', `${longest}d`, 'a/b', '*.a', '::1'])(
    'is not %j',
    (text) => expect(isHostName(text)).toBe(false),
  );
});

describe('isHost', () => {
  it.each(['127.0.0.1', '::', '::1', 'fe80::1%eth0', 'localhost'])('is %s', (text) => expect(isHost(text)).toBe(true));
  it.each(['', '[::1]', '127.0.0.1:80', '256.1.1.1'])('is not %j', (text) => expect(isHost(text)).toBe(false));
});

describe('isCertificateName', () => {
  it.each(['localhost', '*.example.com', '127.0.0.1'])('is %s', (text) => expect(isCertificateName(text)).toBe(true));
  it.each(['*', '*.', '*.*.com', 'a.*.com', '*.1.2.3.4'])('is not %j', (text) =>
    expect(isCertificateName(text)).toBe(false),
  );
});

describe('isAddressEntry', () => {
  it.each(['10.0.0.0/8', '10.1.2.3', '0.0.0.0/0', '10.0.0.1/32', 'fd00::/8', '::1', '::/0', '::1/128', 'unix'])(
    'is %s',
    (text) => expect(isAddressEntry(text)).toBe(true),
  );
  it.each([
    '',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/08',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '10.0.0.0/-1',
    'localhost',
    'fe80::1%eth0',
    ' 10.0.0.1',
  ])('is not %j', (text) => expect(isAddressEntry(text)).toBe(false));
});

it('spells equal hosts alike', () => {
  expect(normaliseHost('App.Example.COM')).toBe('app.example.com');
  expect(normaliseHost('0:0::0:1')).toBe('::1');
  expect(normaliseHost('FE80::1%eth0')).toBe('fe80::1%eth0');
  expect(normaliseHost('127.0.0.1')).toBe('127.0.0.1');
});

describe('hostsMeet', () => {
  it.each([
    ['127.0.0.1', '127.0.0.1', true],
    ['::', '127.0.0.1', true],
    ['::', '::1', true],
    ['::', '0.0.0.0', true],
    ['::', 'localhost', true],
    ['0.0.0.0', '127.0.0.1', true],
    ['0.0.0.0', '::1', false],
    ['127.0.0.1', '127.0.0.2', false],
    ['127.0.0.1', 'localhost', false],
  ])('%s and %s: %s', (one, other, meet) => {
    expect(hostsMeet(one, other)).toBe(meet);
    expect(hostsMeet(other, one)).toBe(meet);
  });
});
