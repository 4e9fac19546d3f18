import { describe, expect, it } from 'vitest';
import { readFirstHandshake } from '../../../src/listen/first-handshake.ts';
import { handshake } from '../../support/raw.ts';

const read = (text: string, maxHead = 16_384) => readFirstHandshake(Buffer.from(text, 'latin1'), maxHead);

describe('the head of a first request', () => {
  it('is read where it is whole and asks for an upgrade', () => {
    const text = handshake({ 'X-Twice': ['a', 'b'], 'X-Latin': 'caf\xe9' }, 'GET /ws?x=%20 HTTP/1.1');
    expect(read(`${text}\x81\x00`)).toMatchObject({
      end: text.length,
      message: {
        method: 'GET',
        url: '/ws?x=%20',
        httpVersion: '1.1',
        rawHeaders: text
          .trimEnd()
          .split('\r\n')
          .slice(1)
          .flatMap((line) => line.split(': ')),
      },
    });
  });

  it.each([
    ['nothing', ''],
    ['a part of a head', handshake().slice(0, -2)],
    ['a plain request', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an upgrade without Connection', handshake({ Connection: null })],
    ['another method', handshake({}, 'POST /ws HTTP/1.1')],
    ['a longer method', handshake({}, 'GETS /ws HTTP/1.1')],
    ['another version', handshake({}, 'GET /ws HTTP/1.2')],
    ['a space before a colon', handshake().replace('Host:', 'Host :')],
    ['a bare LF', handshake().replace('\r\n', '\n')],
    ['a NUL', handshake({ 'X-A': 'a\0b' })],
    ['more fields than a head may have', handshake({ 'X-A': Array.from({ length: 201 }, () => 'a') })],
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01'],
    ['a PROXY preamble', `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${handshake()}`],
  ])('is not read of %s', (_, text) => {
    expect(read(text)).toBeNull();
  });
  it('has as many fields as a head may have, and tabs around its values', () => {
    const text = handshake({ Connection: '\tkeep-alive,\tUpgrade\t', 'X-A': Array.from({ length: 190 }, () => 'a') });
    expect(read(text)?.message.rawHeaders).toContain('keep-alive,\tUpgrade');
  });

  it('is not read where it is longer than a head may be', () => {
    const text = handshake({ 'X-Long': 'a'.repeat(2000) });
    expect(read(text, 1024)).toBeNull();
    expect(read(text, 4096)?.end).toBe(text.length);
  });
});
