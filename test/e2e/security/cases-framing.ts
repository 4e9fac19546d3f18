// Where does a message end? Bytes on which two readers could disagree about that (RFC 9112 §6, §7.1), each with a request
// hidden in them that would be let through if it were seen as one.
import type { Case, Outcome } from './attack.ts';

export const HOST = 'Host: gateway.test';
/** A request that the rules let through, so that it is missed by nobody who takes it for one. */
export const SMUGGLED = `GET /public/smuggled HTTP/1.1\r\n${HOST}\r\n\r\n`;
/** An honest request behind the attack, the next one that a reused connection would carry; it ends the connection. */
export const LAST = `GET /public/last HTTP/1.1\r\n${HOST}\r\nConnection: close\r\n\r\n`;

/** The answer is the only one, and the backend got nothing. */
export const refused = (status = 400): Outcome => ({ answers: [status], reached: [] });
/** Each of these reached the backend as a request of its own, and each was answered. */
export const through = (...reached: readonly string[]): Outcome => ({ answers: reached.map(() => 200), reached });

/** A POST to the forwarded route with these field lines. */
const post = (fields: string, body: string): string =>
  `POST /public/a HTTP/1.1\r\n${HOST}\r\n${fields}\r\n\r\n${body}${LAST}`;
const HIDDEN = `0\r\n\r\n${SMUGGLED}`;
const chunked = (name: string, field: string, want = refused()): Case => ({
  name,
  bytes: post(`${field}\r\nContent-Length: ${HIDDEN.length}`, HIDDEN),
  want,
});
const coding = (name: string, field: string, want = refused()): Case => ({ name, bytes: post(field, HIDDEN), want });
const length = (name: string, field: string, want = refused()): Case => ({
  name,
  bytes: post(field, `hello${SMUGGLED}`),
  want,
});
const chunks = (name: string, body: string, want: Outcome): Case => ({
  name,
  bytes: post('Transfer-Encoding: chunked', body),
  want,
  // What comes along with its head may be found out before the head is sent on.
  ...(want === broken && { or: [refused()] }),
});
/** The head was sent on before the body was found to be none: the backend never got a whole request. */
const broken: Outcome = { answers: [400], reached: ['never ended: POST /public/a'] };
const LAST_ONLY = 'GET /public/last';

export const BOTH_FRAMINGS: readonly Case[] = [
  chunked('CL.TE', 'Transfer-Encoding: chunked'),
  {
    name: 'TE.CL',
    bytes: post(
      'Content-Length: 4\r\nTransfer-Encoding: chunked',
      `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
    ),
    want: refused(),
  },
  chunked('TE.TE: a space before the colon', 'Transfer-Encoding : chunked'),
  chunked('TE.TE: xchunked', 'Transfer-Encoding: xchunked'),
  chunked('TE.TE: a tab before the value', 'Transfer-Encoding:\tchunked'),
  chunked('TE.TE: a vertical tab before the value', 'Transfer-Encoding:\x0bchunked'),
  chunked('TE.TE: a tab behind the name', 'Transfer-Encoding\t: chunked'),
  chunked('TE.TE: two fields, the second unknown', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: x'),
  chunked('TE.TE: two fields, the first unknown', 'Transfer-Encoding: x\r\nTransfer-Encoding: chunked'),
  chunked('TE.TE: chunked, identity', 'Transfer-Encoding: chunked, identity'),
  chunked('TE.TE: identity, chunked', 'Transfer-Encoding: identity, chunked'),
  chunked('TE.TE: obs-fold', 'Transfer-Encoding:\r\n chunked'),
  chunked('TE.TE: behind a folded line', 'X: y\r\n Transfer-Encoding: chunked'),
  chunked('TE.TE: upper case', 'TRANSFER-ENCODING: CHUNKED'),
  chunked('TE.TE: in quotes', 'Transfer-Encoding: "chunked"'),
  chunked('TE.TE: with a parameter', 'Transfer-Encoding: chunked;q=1'),
  chunked('TE.TE: an underscore', 'Transfer_Encoding: chunked', {
    answers: [200, 200],
    reached: [`POST /public/a ${JSON.stringify(HIDDEN)}`, LAST_ONLY],
  }),
  chunked('TE.TE: behind a bare CR', 'X: y\rTransfer-Encoding: chunked'),
  chunked('TE.TE: behind a bare LF', 'X: y\nTransfer-Encoding: chunked'),
];

export const CODINGS: readonly Case[] = [
  coding('Transfer-Encoding: xchunked alone', 'Transfer-Encoding: xchunked'),
  coding('Transfer-Encoding: chunked, identity alone', 'Transfer-Encoding: chunked, identity'),
  coding('Transfer-Encoding: identity alone', 'Transfer-Encoding: identity'),
  coding('Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: gzip, chunked', refused(501)),
  coding('Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: chunked, chunked'),
  coding('Transfer-Encoding empty', 'Transfer-Encoding:'),
  coding('Transfer-Encoding: two fields alike', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'),
  coding('Transfer-Encoding: chunked in HTTP/1.0', 'Transfer-Encoding: chunked'),
  coding('Transfer-Encoding named in Connection', 'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked', {
    answers: [200, 200, 200],
    reached: ['POST /public/a', 'GET /public/smuggled', LAST_ONLY],
  }),
].map((one) =>
  one.name.endsWith('HTTP/1.0') ? { ...one, bytes: (one.bytes as string).replace('HTTP/1.1', 'HTTP/1.0') } : one,
);

export const LENGTHS: readonly Case[] = [
  length('two Content-Length, the same', 'Content-Length: 5\r\nContent-Length: 5'),
  length('two Content-Length, different', `Content-Length: 5\r\nContent-Length: ${5 + SMUGGLED.length}`),
  length('Content-Length as a list, the same', 'Content-Length: 5, 5'),
  length('Content-Length as a list, different', `Content-Length: 5, ${5 + SMUGGLED.length}`),
  length('Content-Length with a plus', 'Content-Length: +5'),
  length('Content-Length with a minus', 'Content-Length: -5'),
  length('Content-Length: minus nothing', 'Content-Length: -0'),
  length('Content-Length in hexadecimal', 'Content-Length: 0x5'),
  length('Content-Length with a fraction', 'Content-Length: 5.0'),
  length('Content-Length with an exponent', 'Content-Length: 5e0'),
  length('Content-Length with a letter behind', 'Content-Length: 5a'),
  length('Content-Length with a space within', 'Content-Length: 5 6'),
  length('Content-Length with an underscore', 'Content_Length: 5\r\nContent-Length: 5', {
    answers: [200, 200, 200],
    reached: ['POST /public/a "hello"', 'GET /public/smuggled', LAST_ONLY],
  }),
  length('Content-Length over 64 bits', 'Content-Length: 18446744073709551621'),
  length('Content-Length of a hundred digits', `Content-Length: ${'9'.repeat(100)}`),
  length('Content-Length empty', 'Content-Length:'),
  length('Content-Length of other digits', 'Content-Length: \xd9\xa5'),
  length('Content-Length folded', 'Content-Length:\r\n 5'),
  length('Content-Length with a tab before the colon', 'Content-Length\t: 5'),
  length('Content-Length with zeros in front', 'Content-Length: 005', {
    answers: [200, 200, 200],
    reached: ['POST /public/a "hello"', 'GET /public/smuggled', LAST_ONLY],
  }),
  {
    name: 'Content-Length longer than the body',
    staysOpen: true,
    bytes: `POST /public/a HTTP/1.1\r\n${HOST}\r\nContent-Length: 200\r\n\r\n${SMUGGLED}`,
    want: { answers: ['open'], reached: ['never ended: POST /public/a'] },
  },
  {
    name: 'Content-Length named in Connection',
    bytes: post('Connection: Content-Length\r\nContent-Length: 5', `hello${SMUGGLED}`),
    want: refused(),
  },
];

export const CHUNKS: readonly Case[] = [
  chunks('chunks with an extension', `5;a=b\r\nhello\r\n0\r\n\r\n`, through('POST /public/a "hello"', LAST_ONLY)),
  chunks(
    'chunks with a quoted extension',
    `5;a="b;c"\r\nhello\r\n0\r\n\r\n`,
    through('POST /public/a "hello"', LAST_ONLY),
  ),
  chunks('chunks with a line end in a quoted extension', `5;a="\r\nhello\r\n0\r\n\r\n${SMUGGLED}"\r\n`, broken),
  chunks('chunks with a bare LF in an extension', `5;a\nhello\r\n0\r\n\r\n${SMUGGLED}`, broken),
  chunks('chunks with a bare CR in an extension', `5;a\rb\r\nhello\r\n0\r\n\r\n`, broken),
  chunks('chunks with an extension of 32 KiB', `5;${'a'.repeat(32 * 1024)}\r\nhello\r\n0\r\n\r\n`, broken),
  chunks('chunks with a bare LF behind the size', `5\nhello\r\n0\r\n\r\n`, broken),
  chunks('chunks with a bare LF behind the data', `5\r\nhello\n0\r\n\r\n`, broken),
  chunks('chunks with bytes behind the data', `5\r\nhelloXX\r\n0\r\n\r\n`, broken),
  chunks('chunks with a size over 64 bits', `10000000000000005\r\nhello\r\n0\r\n\r\n${SMUGGLED}`, broken),
  {
    ...chunks('chunks with forty zeros before the size', `${'0'.repeat(40)}5\r\nhello\r\n0\r\n\r\n`, broken),
    byNode: through('POST /public/a "hello"', LAST_ONLY),
  },
  chunks('chunks with a negative size', `-5\r\nhello\r\n0\r\n\r\n`, broken),
  chunks('chunks with a plus', `+5\r\nhello\r\n0\r\n\r\n`, broken),
  chunks('chunks with 0x', `0x5\r\nhello\r\n0\r\n\r\n`, broken),
  chunks('chunks with an underscore', `5_0\r\nhello\r\n0\r\n\r\n`, broken),
  chunks('chunks with a space before the size', ` 5\r\nhello\r\n0\r\n\r\n`, broken),
  chunks('chunks with a space behind the size', `5 \r\nhello\r\n0\r\n\r\n`, broken),
  chunks('chunks with an empty size', `\r\nhello\r\n0\r\n\r\n`, broken),
  chunks('chunks without a last line end', `5\r\nhello\r\n0\r\n${SMUGGLED}`, broken),
  chunks(
    'trailers that belong into a head',
    `5\r\nhello\r\n0\r\nHost: evil.test\r\nX-Forwarded-For: 6.6.6.6\r\nAuthorization: Basic YTpi\r\n\r\n`,
    through('POST /public/a "hello"', LAST_ONLY),
  ),
  chunks('trailers with Content-Length', `5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n${SMUGGLED}`, broken),
  chunks('trailers with Transfer-Encoding', `5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n${SMUGGLED}`, broken),
  chunks('trailers with a space before the colon', `5\r\nhello\r\n0\r\nX : y\r\n\r\n`, broken),
  chunks('trailers folded', `5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n`, broken),
];

/** Bodies that something answers without wanting them: CL.0, at the gateway itself, which ends the connection. */
const unread = (name: string, start: string, answer: number): Case => ({
  name,
  bytes: `${start} HTTP/1.1\r\n${HOST}\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}${LAST}`,
  want: refused(answer),
});

export const UNREAD: readonly Case[] = [
  unread('CL.0 where no route is', 'POST /nowhere', 404),
  unread('CL.0 where only a handshake fits', 'POST /ws', 426),
  unread('CL.0 in a GET', 'GET /nowhere', 404),
  unread('CL.0 in an OPTIONS *', 'OPTIONS *', 204),
  {
    name: 'CL.0 in a forwarded GET',
    bytes: `GET /public/a HTTP/1.1\r\n${HOST}\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}${LAST}`,
    want: { answers: [200, 200], reached: [`GET /public/a ${JSON.stringify(SMUGGLED)}`, LAST_ONLY] },
  },
  {
    name: 'chunks in a DELETE',
    bytes: `DELETE /public/a HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${LAST}`,
    want: through('DELETE /public/a "hello"', LAST_ONLY),
  },
  {
    name: 'chunks in an OPTIONS',
    bytes: `OPTIONS /public/a HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${LAST}`,
    want: through('OPTIONS /public/a "hello"', LAST_ONLY),
  },
  {
    name: 'Expect: 100-continue with the body at once',
    bytes: post(`Expect: 100-continue\r\nContent-Length: ${SMUGGLED.length}`, SMUGGLED),
    want: through(`POST /public/a ${JSON.stringify(SMUGGLED)}`, LAST_ONLY),
    byNode: through(`POST /public/a ${JSON.stringify(SMUGGLED)}`),
  },
];
