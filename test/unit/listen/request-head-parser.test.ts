import { describe, expect, it } from 'vitest';
import { RequestHeadParser } from '../../../src/listen/request-head-parser.ts';
import { handshake } from '../../support/raw.ts';

const heads = RequestHeadParser.create()!;
const read = (text: string, maxHead = 16_384) => heads.read(Buffer.from(text, 'latin1'), maxHead);

describe('the head of a first request', () => {
  it('is read where it is whole and asks for an upgrade', () => {
    const text = handshake({ 'X-Twice': ['a', 'b'], 'X-Latin': 'caf\xe9' }, 'GET /ws?x=%20 HTTP/1.1');
    expect(read(`${text}\x81\x00`)).toEqual({
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
    ['two lengths', handshake({ 'Content-Length': ['1', '2'] })],
    ['more fields than the parser gives at once', handshake({ 'X-A': Array.from({ length: 40 }, () => 'a') })],
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01'],
    ['a PROXY preamble', `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${handshake()}`],
  ])('is not read of %s, and the next one is', (_, text) => {
    expect(read(text)).toBeNull();
    expect(read(handshake())?.message.url).toBe('/ws');
  });

  it('is not read where it is longer than a head may be', () => {
    const text = handshake({ 'X-Long': 'a'.repeat(2000) });
    expect(read(text, 1024)).toBeNull();
    expect(read(text, 4096)?.end).toBe(text.length);
  });
});
