import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseTicketKeys, RandomTicketKeys, ticketKeyOctets, ticketKeyOf } from '../../../src/net/ticket-keys.ts';

const octets = (length: number) => Buffer.from(Array.from({ length }, (_, i) => i));

describe('a key of tickets', () => {
  it('has its name, HMAC and AES in 48 octets, and is the same again as octets', () => {
    const key = ticketKeyOf(octets(48))!;
    expect([key.name[0], key.hmac[0], key.aes[0]]).toEqual([0, 16, 32]);
    expect(Object.values(key).map(({ length }) => length)).toEqual([16, 16, 16]);
    expect(ticketKeyOctets(key)).toEqual(octets(48));
  });

  it('takes the first halves of the longer parts of 80', () => {
    const key = ticketKeyOf(octets(80))!;
    expect([key.name[0], key.hmac[0], key.aes[0]]).toEqual([0, 16, 48]);
    expect(Object.values(key).map(({ length }) => length)).toEqual([16, 16, 16]);
  });

  it.each([0, 47, 49, 64, 79, 81, 96])('is none of %i octets', (length) => {
    expect(ticketKeyOf(octets(length))).toBeNull();
  });
});

describe('a file of keys', () => {
  const [one, two] = [octets(48), randomBytes(80)];
  const lines = (...keys: readonly Buffer[]) => keys.map((key) => key.toString('base64'));

  it.each([
    ['48 octets', one, [one]],
    ['80 octets', two, [two]],
    ['a line in base64', `${lines(one)[0]}\n`, [one]],
    ['lines in base64, of both lengths', lines(two, one).join('\n'), [two, one]],
    ['lines with blank ones and CR between', `\r\n${lines(one, two).join('\r\n\r\n')}\r\n`, [one, two]],
  ])('is %s', (_, content, keys) => {
    expect(parseTicketKeys(Buffer.from(content))).toEqual(keys.map(ticketKeyOf));
  });

  it.each([
    ['nothing', ''],
    ['blank lines', '\n\n'],
    ['other octets', randomBytes(49)],
    ['words', 'this is no key\n'],
    [
      'a key that openssl has wrapped',
      `${octets(80).toString('base64').slice(0, 64)}\n${octets(80).toString('base64').slice(64)}\n`,
    ],
    ['a line of a key and one of none', `${lines(one)[0]}\n!!!!\n`],
    ['hexadecimal digits', octets(48).toString('hex')],
  ])('is not %s', (_, content) => {
    expect(parseTicketKeys(Buffer.from(content))).toBeNull();
  });
});

describe('random keys', () => {
  const HOUR = 3_600_000;

  it('are new every 12 hours, and the one before decrypts for 12 more', () => {
    let now = 0;
    const keys = new RandomTicketKeys(() => now);
    const [first] = keys.current();
    now = 12 * HOUR - 1;
    expect(keys.current()).toEqual([first]);
    now += 1;
    const [second, ...older] = keys.current();
    expect(second).not.toEqual(first);
    expect(older).toEqual([first]);
    now += 12 * HOUR;
    expect(keys.current().slice(1)).toEqual([second]);
  });

  it('are forgotten where nobody has asked for a day', () => {
    let now = 0;
    const keys = new RandomTicketKeys(() => now);
    const [first] = keys.current();
    now = 24 * HOUR;
    expect(keys.current()).toHaveLength(1);
    expect(keys.current()[0]).not.toEqual(first);
  });
});
