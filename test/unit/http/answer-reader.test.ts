// The start of an answer out of pieces; heads themselves are answer.test.ts's.
import { describe, expect, it } from 'vitest';
import type { AnswerHead } from '../../../src/http/answer.ts';
import { AnswerReader } from '../../../src/http/answer-reader.ts';

const take = (reader: AnswerReader, text: string) => reader.take(Buffer.from(text, 'latin1'));

describe('interim answers', () => {
  it('are told of in their order, and the final head follows with what stands behind it', () => {
    const told: AnswerHead[] = [];
    const reader = new AnswerReader((head) => told.push(head));
    expect(take(reader, 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r')).toBeNull();
    const start = take(reader, '\nHTTP/1.1 200 OK\r\n\r\nbody');
    expect(told.map(({ status }) => status)).toEqual([100, 103]);
    expect(start).toMatchObject({ head: { status: 200 }, rest: Buffer.from('body') });
  });
  it('of HTTP/1.0 are a fault (RFC 9110 §15.2)', () => {
    expect(take(new AnswerReader(), 'HTTP/1.0 100 Continue\r\n\r\n')).toEqual({
      fault: 'an interim answer of HTTP/1.0',
    });
  });
  it.each([
    ['a length that is no number', 'Content-Length: d\r\n', 'Content-Length is malformed'],
    ['two lengths', 'Content-Length: 1\r\nContent-Length: 1\r\n', 'the answer has more than one Content-Length'],
    ['an unknown coding', 'Transfer-Encoding: gzip\r\n', 'the answer has an unknown Transfer-Encoding'],
    [
      'a length and a coding',
      'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n',
      'the answer has both Content-Length and Transfer-Encoding',
    ],
  ])('with %s are a fault (RFC 9112 §6.3)', (_, fields, fault) => {
    const final = 'HTTP/1.1 200 OK\r\n\r\n';
    expect(take(new AnswerReader(), `HTTP/1.1 103 x\r\n${fields}\r\n${final}`)).toEqual({ fault });
  });
  it('have no body, though one says its length', () => {
    const start = take(new AnswerReader(), 'HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n');
    expect(start).toMatchObject({ head: { status: 200 }, rest: Buffer.alloc(0) });
  });
  it('that nobody is told of count in the size of the head', () => {
    const reader = new AnswerReader();
    const before = reader.room;
    const interim = 'HTTP/1.1 100 Continue\r\n\r\n';
    expect(take(reader, interim)).toBeNull();
    expect(before - reader.room).toBe(interim.length);
  });
});

it('a line that ends without CR is a fault at once, a line that ends well is not (RFC 9112 §2.2)', () => {
  expect(take(new AnswerReader(), 'HTTP/1.1 200 OK\r\nA: b\r\n')).toBeNull();
  expect(take(new AnswerReader(), 'HTTP/1.1 200 OK\r\nA: b\n')).toEqual({
    fault: 'a line of the answer ends without CR',
  });
});
