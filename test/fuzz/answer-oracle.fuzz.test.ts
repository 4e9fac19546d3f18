// Whole answers, head, body and trailers, by our reader and by llhttp: on the same bytes, ours cut
// at each octet. What ours takes llhttp takes, as the same.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { answerFraming, followBody } from '../../src/http/answer.ts';
import { AnswerReader } from '../../src/http/answer-reader.ts';
import { numRuns } from '../support/arbitraries.ts';
import { readAnswerByLlhttp } from '../support/llhttp.ts';
import { LARGEST_HEAD } from '../support/requests.ts';

interface Whole {
  readonly status: number;
  readonly version: string;
  readonly phrase: string;
  readonly fields: readonly string[];
  readonly framing: string;
  readonly content: string;
  readonly trailers: readonly string[];
  readonly behind: string;
}

/** What ours makes of the pieces; `open` where more is wanted. */
function readOurs(pieces: readonly Buffer[]): Whole | 'refused' | 'open' {
  const reader = new AnswerReader(() => undefined);
  const parts: Buffer[] = [];
  let start: ReturnType<AnswerReader['take']> = null;
  let body: ReturnType<typeof followBody> | null = null;
  let framing = '';
  let behind = '';
  for (const piece of pieces) {
    let rest = piece;
    if (start === null) {
      start = reader.take(piece);
      if (start === null) continue;
      if ('fault' in start) return 'refused';
      const framed = answerFraming(start.head);
      if ('fault' in framed) return 'refused';
      framing = framed.kind;
      body = followBody(framed);
      rest = start.rest;
    }
    const taken = body?.take(rest, (part) => parts.push(part)) ?? 0;
    if (typeof taken !== 'number') return 'refused';
    behind += rest.toString('latin1', taken);
  }
  if (start === null || 'fault' in start || body === null) return 'open';
  if (!body.done && framing !== 'close') return 'open';
  const { status, version, phrase, fields } = start.head;
  const content = Buffer.concat(parts).toString('latin1');
  return { status, version, phrase, fields, framing, content, trailers: body.trailers, behind };
}

const content = fc.constantFrom('', 'a', 'hello', '\r\n', '0\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n', '\xff\x00');
const chunks = fc
  .tuple(
    fc.array(
      content.filter((text) => text !== ''),
      { maxLength: 3 },
    ),
    fc.constantFrom('', ';a=b', ';a'),
    fc.constantFrom('', 'X: y\r\n', 'A:\r\nB: \xe9\r\n'),
  )
  .map(([parts, extension, trailers]) => {
    const lines = parts.map((part) => `${part.length.toString(16)}${extension}\r\n${part}\r\n`);
    return { field: 'Transfer-Encoding: chunked\r\n', body: `${lines.join('')}0\r\n${trailers}\r\n` };
  });
const framed = fc.oneof(
  chunks,
  content.map((body) => ({ field: `Content-Length: ${body.length}\r\n`, body })),
  content.map((body) => ({ field: '', body })),
);
const answer = fc
  .tuple(
    fc.constantFrom('', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 x\r\nLink: </a>\r\n\r\n'),
    fc.constantFrom('HTTP/1.1 200 OK\r\n', 'HTTP/1.0 404 \r\n', 'HTTP/1.1 204 x\r\n', 'HTTP/1.1 304\r\n'),
    fc.constantFrom('', 'X: y\r\n', 'Set-Cookie: a=b\r\nSet-Cookie: c\r\n', 'Empty:\r\n', 'Latin: \xe9 x\r\n'),
    framed,
    fc.constantFrom('', '\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
  )
  .map(([interim, line, fields, { field, body }, behind]) =>
    Buffer.from(`${interim}${line}${fields}${field}\r\n${body}${behind}`, 'latin1'),
  );
/** As it is, or with one octet changed, put in or taken out. */
const damaged = fc
  .tuple(
    answer,
    fc.constantFrom('none', 'change', 'insert', 'remove'),
    fc.nat(),
    fc.oneof(fc.nat(255), fc.constantFrom(9, 10, 13, 32)),
  )
  .map(([bytes, how, where, octet]) => {
    const at = where % bytes.length;
    if (how === 'none') return bytes;
    const behind = bytes.subarray(how === 'insert' ? at : at + 1);
    return Buffer.concat([bytes.subarray(0, at), how === 'remove' ? Buffer.alloc(0) : Buffer.from([octet]), behind]);
  });

/** Where llhttp is the stricter one, or another one: tabs around values, what is in extensions, and another protocol. */
function isApart(bytes: Buffer, ours: Whole): boolean {
  return ours.status === 101 || bytes.includes('\t') || (ours.framing === 'chunked' && bytes.includes(';'));
}

it('what ours takes llhttp takes as the same, however it is cut', { timeout: 120_000 }, () => {
  fc.assert(
    fc.property(damaged, (bytes) => {
      const ours = readOurs([bytes]);
      for (let at = 1; at < bytes.length; at++) {
        expect(readOurs([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(ours);
      }
      expect(readOurs(Array.from(bytes, (octet) => Buffer.from([octet])))).toEqual(ours);
      if (typeof ours === 'string') return;
      const theirs = readAnswerByLlhttp(bytes, LARGEST_HEAD);
      if (isApart(bytes, ours)) return;
      expect(theirs).not.toBeNull();
      expect(theirs).toMatchObject({ status: ours.status, version: ours.version, phrase: ours.phrase });
      expect(theirs?.fields).toEqual(ours.fields);
      // Of a body until close llhttp knows the end with the connection's.
      if (ours.framing !== 'close') expect(theirs?.body?.toString('latin1')).toBe(ours.content);
    }),
    { numRuns },
  );
});
