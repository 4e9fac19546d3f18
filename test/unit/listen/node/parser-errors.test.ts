// What a client is told whose request node's parser could not read: the parser of this node, and the bytes themselves.
import { once } from 'node:events';
import { createServer, METHODS, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Rejection } from '../../../../src/handshake/rejection.ts';
import { PARSER_ERRORS, rejectParserError } from '../../../../src/listen/node/parser-errors.ts';
import { connectRaw } from '../../../support/raw.ts';

let server: Server;
let told: Rejection | null;
beforeAll(async () => {
  server = createServer({ requireHostHeader: false }, (req, res) => {
    req.on('error', () => {}).resume();
    res.end();
  });
  server.on('clientError', (error, socket) => {
    told = rejectParserError(error);
    (socket as Socket).destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => {
  server.close();
});

/** What is said of these bytes. */
async function judge(bytes: string): Promise<Rejection | null> {
  told = null;
  const client = await connectRaw((server.address() as AddressInfo).port);
  client.write(Buffer.from(bytes, 'latin1'));
  await client.closed();
  client.socket.destroy();
  return told;
}

describe('a method that the parser does not know', () => {
  it('is 400 where it begins a PROXY preamble, which says so', async () => {
    expect(await judge('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n')).toMatchObject({
      reason: 'malformed',
      status: 400,
      detail: 'a PROXY protocol preamble comes first, and none is expected here',
    });
  });

  it.each(['LIST', 'RDG_OUT_DATA', 'FOO', 'get', 'GETX', 'X-MINE', 'a'.repeat(64)])(
    '%s is 501, and named',
    async (name) => {
      expect(METHODS).not.toContain(name);
      expect(await judge(`${name} /a HTTP/1.1\r\nHost: a\r\n\r\n`)).toEqual({
        reason: 'method',
        status: 501,
        detail: `the method ${name} is not known here`,
        fields: [],
      });
    },
  );
  it('behind another request is named too', async () => {
    expect(await judge(`GET / HTTP/1.1\r\nX-Pad: ${'a'.repeat(200)}\r\n\r\nLIST /x HTTP/1.1\r\n\r\n`)).toMatchObject({
      status: 501,
      detail: 'the method LIST is not known here',
    });
  });
  it('whose end is not there yet is no method', () => {
    const error = {
      name: '',
      message: '',
      code: 'HPE_INVALID_METHOD',
      rawPacket: Buffer.from('FOOBA'),
      bytesParsed: 1,
    };
    expect(rejectParserError(error)).toMatchObject({ status: 400, detail: PARSER_ERRORS['HPE_INVALID_METHOD'] });
  });
  it.each([
    ['binary', '\0\x01\x02', PARSER_ERRORS['HPE_INVALID_METHOD']],
    ['a longer one than any', `${'A'.repeat(65)} / HTTP/1.1\r\n\r\n`, PARSER_ERRORS['HPE_INVALID_METHOD']],
    ['a blank in front of it', ' GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n', PARSER_ERRORS['HPE_INVALID_METHOD']],
    ['a tab behind it', 'GET\t/ HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n', PARSER_ERRORS['HPE_INVALID_METHOD']],
    ['TLS', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03', 'this is TLS, but plain HTTP is expected here'],
  ])('%s is no method', async (_, bytes, detail) =>
    expect(await judge(bytes)).toMatchObject({ reason: 'malformed', status: 400, detail }),
  );
});

describe("each of the parser's codes has a sentence of its own", () => {
  const sentence = (code: string) => ({ reason: 'malformed', status: 400, detail: PARSER_ERRORS[code] });
  const body = (fields: string, rest = '') => `POST / HTTP/1.1\r\n${fields}\r\n\r\n${rest}`;
  it.each([
    ['raw UTF-8 in a target', 'GET /\xc3\xa9 HTTP/1.1\r\n\r\n', 'HPE_INVALID_URL'],
    ['a blank in a target', 'GET /a b HTTP/1.1\r\n\r\n', 'HPE_INVALID_CONSTANT'],
    ['another version', 'GET / HTTP/3.7\r\n\r\n', 'HPE_INVALID_VERSION'],
    ['a bare LF', 'GET / HTTP/1.1\nHost: a\n\n', 'HPE_INVALID_VERSION'],
    ['a blank in a name', 'GET / HTTP/1.1\r\nA b: c\r\n\r\n', 'HPE_INVALID_HEADER_TOKEN'],
    ['a control character in a value', 'GET / HTTP/1.1\r\nA: \x01\r\n\r\n', 'HPE_INVALID_HEADER_TOKEN'],
    ['a bare CR', 'GET / HTTP/1.1\r\nA: b\rc\r\n\r\n', 'HPE_LF_EXPECTED'],
    ['a length that is none', body('Content-Length: x'), 'HPE_INVALID_CONTENT_LENGTH'],
    ['two lengths', body('Content-Length: 1\r\nContent-Length: 1'), 'HPE_UNEXPECTED_CONTENT_LENGTH'],
    ['a coding that is not chunked', body('Transfer-Encoding: gzip'), 'HPE_INVALID_TRANSFER_ENCODING'],
    ['a chunk of no size', body('Transfer-Encoding: chunked', 'zz\r\n'), 'HPE_INVALID_CHUNK_SIZE'],
    ['something behind the last request', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / ', 'HPE_CLOSED_CONNECTION'],
  ])('%s', async (_, bytes, code) => expect(await judge(bytes)).toMatchObject(sentence(code)));

  it('no two codes have the same', () =>
    expect(new Set(Object.values(PARSER_ERRORS)).size).toBe(Object.keys(PARSER_ERRORS).length));
  it('a code that is not in the table is malformed without a word more', () =>
    expect(rejectParserError(Object.assign(new Error(), { code: 'HPE_OTHER' }))).toMatchObject({
      status: 400,
      detail: 'the request is malformed',
    }));
  it('what is too large, or late, has its own reason', () => {
    const reasonOf = (code: string) => rejectParserError(Object.assign(new Error(), { code }))?.reason ?? null;
    expect(['HPE_HEADER_OVERFLOW', 'ERR_HTTP_REQUEST_TIMEOUT', 'ECONNRESET'].map(reasonOf)).toEqual([
      'head_too_large',
      'head_timeout',
      null,
    ]);
  });
});
