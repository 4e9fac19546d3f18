// A backend's answer as bytes: its head, how the end of its body is found, and following that body in any pieces.
import { describe, expect, it } from 'vitest';
import { type AnswerHead, answerFraming, type Framing, followBody, parseAnswerHead } from '../../../src/http/answer.ts';

const fault = (text = '') => ({ fault: expect.stringContaining(text) });
function headOf(...lines: string[]): AnswerHead {
  const head = parseAnswerHead(lines.join('\r\n'));
  if ('fault' in head) throw new Error(head.fault);
  return head;
}

describe('a head', () => {
  it('is read with its fields as they came, trimmed', () => {
    expect(headOf('HTTP/1.1 101 Switching Protocols', 'upgrade:websocket', 'Connection: \tUpgrade ', 'X:')).toEqual({
      version: '1.1',
      status: 101,
      phrase: 'Switching Protocols',
      fields: ['upgrade', 'websocket', 'Connection', 'Upgrade', 'X', ''],
      names: ['upgrade', 'connection', 'x'],
    });
  });
  it.each([
    ['HTTP/1.1 101 WebSocket Protocol Hybi-10', 101, 'WebSocket Protocol Hybi-10'],
    ['HTTP/1.0 200 OK', 200, 'OK'],
    ['HTTP/1.1 200', 200, ''],
    ['HTTP/1.1 200 ', 200, ''],
    ['HTTP/1.1 599 \u00c3\u00a9\t!', 599, '\u00c3\u00a9\t!'],
  ])('%j', (line, status, phrase) => expect(headOf(line)).toMatchObject({ status, phrase, fields: [] }));
  it.each([
    '',
    'HTTP/1.1',
    'HTTP/1.1 20',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1\t200 OK',
    'HTTP/1.1 200\tOK',
    'HTTP/2 200 OK',
    'HTTP/1.2 200 OK',
    'http/1.1 200 OK',
    ' HTTP/1.1 200 OK',
    'ICY 200 OK',
    'HTTP/1.1 200 O\x01K',
    'HTTP/1.1 200 OK\n',
    'HTTP/1.1 200 OK\rX: 1',
    'HTTP/1.1 200 OK\nX: 1',
  ])('with the status line %j is refused', (line) => expect(parseAnswerHead(line)).toEqual(fault('status line')));
  it.each([
    ['no colon', 'X'],
    ['no name', ': 1'],
    ['a space before the colon (RFC 9112 §5.1)', 'X : 1'],
    ['a folded line (RFC 9112 §5.2)', ' folded: 1'],
    ['a name that is no token', 'X Y: 1'],
    ['a NUL', 'X: \0'],
    ['a bare LF', 'X: 1\nY: 2'],
    ['a bare CR', 'X: 1\rY: 2'],
    ['an empty line', ''],
  ])('with %s is refused', (_, line) =>
    expect(parseAnswerHead(`HTTP/1.1 200 OK\r\nA: b\r\n${line}`)).toEqual(fault('field')),
  );
});

describe('framing (RFC 9112 §6.3)', () => {
  const framing = (status: string, ...fields: string[]) => answerFraming(headOf(`HTTP/${status}`, ...fields));
  it.each<[string, string[], Framing]>([
    ['1.1 200', [], { kind: 'close' }],
    ['1.0 200', [], { kind: 'close' }],
    ['1.1 200', ['Content-Length: 12'], { kind: 'length', length: 12 }],
    ['1.1 426', ['Content-Length: 0'], { kind: 'length', length: 0 }],
    ['1.1 200', ['Transfer-Encoding: Chunked'], { kind: 'chunked' }],
    ['1.1 204', [], { kind: 'none' }],
    ['1.1 304', ['Content-Length: 12'], { kind: 'none' }],
    ['1.1 204', ['Transfer-Encoding: chunked'], { kind: 'none' }],
  ])('%s with %j', (status, fields, expected) => expect(framing(status, ...fields)).toEqual(expected));
  it.each([
    [['Content-Length: 1', 'Transfer-Encoding: chunked'], 'both'],
    [['Transfer-Encoding: gzip, chunked'], 'unknown'],
    [['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], 'unknown'],
    [['Transfer-Encoding:'], 'unknown'],
    [['Content-Length: 1', 'Content-Length: 2'], 'more than one'],
    [['Content-Length: 5', 'content-length: 5'], 'more than one'],
    [['Content-Length: 1, 1'], 'malformed'],
    [['Content-Length: -1'], 'malformed'],
    [['Content-Length: 0x1'], 'malformed'],
    [['Content-Length:'], 'malformed'],
    [['Content-Length: 1234567890123456'], 'malformed'],
  ])('%j is refused', (fields, why) => {
    expect(framing('1.1 200', ...fields)).toEqual(fault(why));
    expect(framing('1.1 204', ...fields)).toEqual(fault(why));
  });
  it('chunks in HTTP/1.0 are refused', () =>
    expect(framing('1.0 200', 'Transfer-Encoding: chunked')).toEqual(fault('1.0')));
});

/** Follows a body given in pieces: how many bytes it took of all, and whether it came to its end. */
function follow(framing: Framing, ...pieces: string[]) {
  const cursor = followBody(framing);
  let taken = 0;
  for (const piece of pieces) {
    const of = cursor.take(Buffer.from(piece, 'latin1'));
    if (typeof of !== 'number') return of;
    taken += of;
    if (of < piece.length) break;
  }
  return { taken, done: cursor.done };
}

describe('following a body', () => {
  it('of a length hands on the octets that belong to it, and no more', () => {
    const parts: string[] = [];
    const cursor = followBody({ kind: 'length', length: 5 });
    for (const piece of ['abc', 'defg', 'h']) cursor.take(Buffer.from(piece), (part) => parts.push(part.toString()));
    expect(parts).toEqual(['abc', 'de']);
  });
  it.each<[string, Framing, string[], { taken: number; done: boolean }]>([
    ['none', { kind: 'none' }, ['abc'], { taken: 0, done: true }],
    ['of a length', { kind: 'length', length: 5 }, ['abc', 'defg'], { taken: 5, done: true }],
    ['of a length, unfinished', { kind: 'length', length: 5 }, ['abc'], { taken: 3, done: false }],
    ['of no length', { kind: 'length', length: 0 }, ['abc'], { taken: 0, done: true }],
    ['until close', { kind: 'close' }, ['abc', 'defg'], { taken: 7, done: false }],
    ['of chunks that end at once', { kind: 'chunked' }, ['0\r\n\r\nrest'], { taken: 5, done: true }],
    ['of chunks, unfinished', { kind: 'chunked' }, ['3\r\nabc\r\n'], { taken: 8, done: false }],
  ])('%s', (_, framing, pieces, expected) => expect(follow(framing, ...pieces)).toEqual(expected));

  const body = '3\r\nabc\r\n0A;ext="x"\r\n0123456789\r\n1\r\n\n\r\n0\r\nX-Trailer: 1\r\nY: 2\r\n\r\n';
  it('of chunks with extensions and trailers', () =>
    expect(follow({ kind: 'chunked' }, `${body}rest`)).toEqual({ taken: body.length, done: true }));
  it('of chunks, octet by octet', () =>
    expect(follow({ kind: 'chunked' }, ...body)).toEqual({ taken: body.length, done: true }));
  it('of chunks, cut anywhere', () => {
    for (let i = 0; i <= body.length; i++) {
      expect(follow({ kind: 'chunked' }, body.slice(0, i), `${body.slice(i)}rest`)).toEqual({
        taken: body.length,
        done: true,
      });
    }
  });
  it.each([
    ['a size that is none', 'x\r\n'],
    ['an empty size', '\r\n'],
    ['a sign', '+3\r\n'],
    ['a blank behind the size', '3 \r\nabc'],
    ['a blank before an extension', '3 ;a\r\nabc'],
    ['0x', '0x3\r\n'],
    ['a size beyond all', '1234567890123\r\n'],
    ['a size that a bare LF ends', '3\nabc'],
    ['a bare CR in the size line', '3;a\rb\r\nabc'],
    ['a NUL in an extension', '3;\0\r\nabc'],
    ['data longer than said', '3\r\nabcd\r\n'],
    ['data that a bare LF ends', '3\r\nabc\n'],
    ['trailers without an end', `0\r\n${'a: b\r\n'.repeat(101)}`],
    ['a trailer with a bare LF', '0\r\na: b\n\r\n'],
    ['a Content-Length among its trailers', '0\r\nContent-Length: 1\r\n\r\n'],
    ['a Transfer-Encoding among its trailers', '0\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['a trailer without a colon', '0\r\na\r\n\r\n'],
    ['a trailer whose name is no token', '0\r\na b: c\r\n\r\n'],
  ])('of chunks with %s is refused', (_, text) =>
    expect(follow({ kind: 'chunked' }, text)).toEqual(fault('malformed')),
  );
  it.each([
    ['a size line', '3;'],
    ['a trailer', '0\r\na: '],
  ])('of chunks with %s that never ends is refused', (_, text) =>
    expect(follow({ kind: 'chunked' }, text, 'x'.repeat(5000))).toEqual(fault('too long')),
  );
  it.each([
    ['a size line', ''],
    ['a size line behind a chunk', '1\r\na\r\n'],
    ['the end of a chunk', '1\r\na'],
  ])('of chunks with what can be no %s is malformed, in one piece as in many', (_, before) => {
    const text = `${before}${'x'.repeat(5000)}`;
    for (const pieces of [[text], [...text], [before, 'x'.repeat(5000)], [`${text}\r\n`]])
      expect(follow({ kind: 'chunked' }, ...pieces)).toEqual(fault('malformed'));
  });
  it('of chunks takes as many trailers as are allowed', () => {
    const text = `0\r\n${'a: b\r\n'.repeat(100)}\r\n`;
    expect(follow({ kind: 'chunked' }, text)).toEqual({ taken: text.length, done: true });
  });
});
