// What a connection relies on of its reader; what it takes and refuses is rfc9112.test.ts's.
import { describe, expect, it } from 'vitest';
import { MAX_FIELDS } from '../../../src/http/head.ts';
import { RequestReader } from '../../../src/http/request-reader.ts';
import { octetsOf } from '../../support/requests.ts';

const HEAD = 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n';
const take = (reader: RequestReader, text: string) => reader.take(Buffer.from(text, 'latin1'));

describe('a reader', () => {
  it('gives a head, and says how many of the last bytes are its own', () => {
    const reader = new RequestReader(1024);
    expect(take(reader, HEAD.slice(0, 10))).toBeNull();
    expect(take(reader, `${HEAD.slice(10)}body\r\n\r\n`)).toEqual({
      head: { method: 'GET', target: '/a', version: '1.1', fields: ['Host', 'b'], names: ['host'] },
      taken: HEAD.length - 10,
    });
  });
  it('begins anew behind a head, and its size with it', () => {
    const reader = new RequestReader(HEAD.length);
    for (let i = 0; i < 3; i++) expect(take(reader, HEAD)).toHaveProperty('head');
  });
  it('says whether something of a head has come: from then on its deadline counts', () => {
    const reader = new RequestReader(1024);
    expect(reader.begun).toBe(false);
    take(reader, '\r');
    expect(reader.begun).toBe(true);
    take(reader, `\n${HEAD}`);
    expect(reader.begun).toBe(false);
  });
  it.each([
    ['a line', 'GET / HTTP/1.1\r\nX: ', 'y', 4096],
    ['many lines', 'GET / HTTP/1.1\r\n', 'X: y\r\n', 600],
    ['a request line', 'GET /', 'a', 4096],
  ])('takes no more than its size of %s, however it comes', (_, before, more, count) => {
    const text = Buffer.from(`${before}${more.repeat(count)}`);
    const tooLarge = { fault: 'the head of the request is too large', tooLarge: true };
    expect(new RequestReader(1000).take(text)).toEqual(tooLarge);
    const reader = new RequestReader(1000);
    const all = octetsOf(text).map((octet) => reader.take(octet));
    expect(all.findIndex((read) => read !== null)).toBe(1000);
    expect(all[1000]).toEqual(tooLarge);
  });
  it('takes no more fields than a head may have', () => {
    const fields = (count: number) => `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(count)}\r\n`;
    expect(take(new RequestReader(1e6), fields(MAX_FIELDS))).toHaveProperty('head');
    expect(take(new RequestReader(1e6), fields(MAX_FIELDS + 1))).toEqual({
      fault: 'a head has at most 200 fields',
      tooLarge: true,
    });
  });
});

describe('what is no request is named', () => {
  it.each([
    ['TLS', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03', 'this is TLS, but plain HTTP is expected here'],
    [
      'a PROXY preamble',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
      'a PROXY protocol preamble comes first, and none is expected here',
    ],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'this is HTTP/2, but HTTP/1.1 is expected here'],
    ['another protocol', 'SSH-2.0-x\r\n', 'the request does not begin with a method'],
    ['binary', '\0\x01\x02', 'a control character stands in the head'],
    ['another version', 'GET / HTTP/3.7\r\n', 'the HTTP version is not 1.0 or 1.1'],
  ])('%s', (_, text, fault) => expect(take(new RequestReader(1024), text)).toEqual({ fault }));
});
