// RFC 9112 section by section, in both directions: requests by http/request-reader.ts with head.ts, answers by
// http/answer-reader.ts with answer.ts. Each row is sound but for one thing; all are read whole and octet by octet. What depends on
// sockets and time is elsewhere: §9.2, §9.3.1 and §9.5 toward servers in test/e2e/http-engine*.suite.ts, toward clients §9.5 and the
// close of §9.6 in test/unit/listen/http1/, §9.7 and §9.8 among what breaks in http-engine-failures.suite.ts, §7.4 in policy.test.ts.
import { describe, expect, it } from 'vitest';
import { answerFraming, type BodyCursor, followBody } from '../../../src/http/answer.ts';
import { AnswerReader, type AnswerStart } from '../../../src/http/answer-reader.ts';
import { formatFields } from '../../../src/http/problem.ts';
import { formatAnswerHead } from '../../../src/listen/http1/answer-head.ts';
import { persistence } from '../../../src/proxy/http1/persistence.ts';
import { serveAll } from '../../support/http1.ts';
import { LARGEST_HEAD, octetsOf, readByOurs } from '../../support/requests.ts';

const latin1 = (text: string) => Buffer.from(text, 'latin1');

/** The requests of a connection, read whole, which octets must not change. */
function requests(text: string) {
  const whole = readByOurs([latin1(text)]);
  expect(readByOurs(octetsOf(latin1(text)))).toEqual(whole);
  return whole;
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: a\r\n';
const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n';

/** One whole request. */
const taken = (text: string) => {
  const read = requests(text);
  expect(read.fault).toBeUndefined();
  expect(read.requests).toMatchObject([{ complete: true }]);
  return read.requests[0]!;
};
const refused = (text: string, fault: RegExp | string) => {
  const read = requests(text);
  expect(read.end).toBe('refused');
  expect(read.fault).toMatch(fault);
  return read;
};

interface Answer {
  readonly status: number;
  readonly phrase: string;
  readonly fields: readonly string[];
  readonly framing: string;
  readonly content: string;
  readonly trailers: readonly string[];
  readonly complete: boolean;
  readonly behind: string;
}

function answerIn(pieces: readonly Buffer[], method: string): Answer | { fault: string } | null {
  const reader = new AnswerReader();
  let start: AnswerStart | null = null;
  let body: BodyCursor | null = null;
  let framing = '';
  let [content, behind] = ['', ''];
  for (const piece of pieces) {
    let rest = piece;
    if (body === null) {
      const read = reader.take(piece);
      if (read === null) continue;
      if ('fault' in read) return read;
      const framed = answerFraming(read.head, method);
      if ('fault' in framed) return framed;
      [start, body, framing, rest] = [read, followBody(framed), framed.kind, read.rest];
    }
    const took = body.take(rest, (part) => {
      content += part.toString('latin1');
    });
    if (typeof took !== 'number') return took;
    behind += rest.toString('latin1', took);
  }
  if (start === null || body === null) return null;
  const { status, phrase, fields } = start.head;
  return { status, phrase, fields, framing, content, trailers: body.trailers, complete: body.done, behind };
}

function answer(text: string, method = 'GET') {
  const whole = answerIn([latin1(text)], method);
  const shown = (of: typeof whole) => (of !== null && 'fault' in of ? 'a fault' : of);
  expect(shown(answerIn(octetsOf(latin1(text)), method))).toEqual(shown(whole));
  return whole;
}
const OK = 'HTTP/1.1 200 OK\r\n';

describe('§2.1 message format', () => {
  it('a request is a line, fields, an empty line and its body', () =>
    expect(taken(`${POST}Content-Length: 2\r\n\r\nab`)).toEqual({
      method: 'POST',
      target: '/',
      version: '1.1',
      fields: ['Host', 'a', 'Content-Length', '2'],
      content: 'ab',
      trailers: [],
      complete: true,
    }));
  it('an answer is a line, fields, an empty line and its body', () =>
    expect(answer(`${OK}Content-Length: 2\r\n\r\nab`)).toMatchObject({
      status: 200,
      phrase: 'OK',
      fields: ['Content-Length', '2'],
      content: 'ab',
      complete: true,
    }));
});

describe('§2.2 message parsing', () => {
  it('octets are octets, in any encoding', () => {
    const octets = Array.from({ length: 0x80 }, (_, i) => String.fromCharCode(0x80 + i)).join('');
    expect(taken(`${GET}X: ${octets}\r\n\r\n`).fields[3]).toBe(octets);
    expect(answer(`${OK}X: ${octets}\r\nContent-Length: 0\r\n\r\n`)).toMatchObject({
      fields: ['X', octets, 'Content-Length', '0'],
    });
  });
  it.each([
    ['before the request line', `\n${GET}\r\n`],
    ['behind the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n'],
    ['behind a field', 'GET / HTTP/1.1\r\nHost: a\n\r\n'],
    ['as the empty line', `${GET}\n`],
    ['everywhere', 'GET / HTTP/1.1\nHost: a\n\n'],
  ])('a bare LF %s ends no line of a request, and is refused at once', (_, text) => {
    refused(text, 'a line does not end with CR LF');
    refused(text.slice(0, text.search(/(?<!\r)\n/) + 1), 'a line does not end with CR LF');
  });
  it.each([
    ['the status line', 'HTTP/1.1 200 OK\nA: b\r\n\r\n'],
    ['a field', `${OK}A: b\n\r\n`],
    ['the empty line', `${OK}A: b\r\n\n`],
  ])('a bare LF behind %s ends no line of an answer', (_, text) => expect(answer(text)).toHaveProperty('fault'));
  it.each([
    ['in the request line', 'GET /\r HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['in a name', `${GET}A\rB: c\r\n\r\n`],
    ['in a value', `${GET}A: b\rc\r\n\r\n`],
    ['before the CR LF of a line', `${GET}A: b\r\r\n\r\n`],
    ['in place of the empty line', `${GET}\rX`],
  ])('a bare CR %s is refused at once', (_, text) => {
    refused(text, 'a CR stands without its LF');
    refused(text.slice(0, text.search(/\r[^\n]/) + 2), 'a CR stands without its LF');
  });
  it('a bare CR in an answer is refused', () => expect(answer(`${OK}A: b\rc\r\n\r\n`)).toHaveProperty('fault'));
  it('one empty line before a request is skipped, a second one is not', () => {
    expect(taken(`\r\n${GET}\r\n`).target).toBe('/');
    expect(requests(`${GET}\r\n\r\n${GET}\r\n`).requests).toMatchObject([{ complete: true }, { complete: true }]);
    refused(`\r\n\r\n${GET}\r\n`, 'the request does not begin with a method');
  });
  it('no empty line stands before an answer', () => expect(answer(`\r\n${OK}\r\n`)).toHaveProperty('fault'));
  it.each([' ', '\t'])('white space (%j) between the start line and the first field is refused', (blank) => {
    refused(`GET / HTTP/1.1\r\n${blank}Host: a\r\n\r\n`, 'folded');
    expect(answer(`${OK}${blank}A: b\r\n\r\n`)).toHaveProperty('fault');
  });
  it.each([' ', '\t'])('white space (%j) before the start line is refused', (blank) => {
    refused(`${blank}${GET}\r\n`, /./);
    expect(answer(`${blank}${OK}\r\n`)).toHaveProperty('fault');
  });
  it.each(['\0', '\x01', '\b', '\v', '\f', '\x1f', '\x7f'])(
    'a control character %j is refused wherever it stands',
    (octet) => {
      for (const text of [
        `GET /${octet} HTTP/1.1\r\nHost: a\r\n\r\n`,
        `${GET}A${octet}: b\r\n\r\n`,
        `${GET}A: b${octet}c\r\n\r\n`,
      ])
        refused(text, 'a control character');
      for (const text of [`HTTP/1.1 200 O${octet}K\r\n\r\n`, `${OK}A${octet}: b\r\n\r\n`, `${OK}A: ${octet}\r\n\r\n`])
        expect(answer(text)).toHaveProperty('fault');
    },
  );
});

describe('§2.3 version', () => {
  it.each(['HTTP/1.1', 'HTTP/1.0'])('%s is read', (version) => {
    expect(taken(`GET / ${version}\r\nHost: a\r\n\r\n`).version).toBe(version.slice(5));
    expect(answer(`${version} 200 OK\r\nContent-Length: 0\r\n\r\n`)).toMatchObject({ complete: true });
  });
  it.each([
    'HTTP/1.2',
    'HTTP/2.0',
    'HTTP/0.9',
    'HTTP/1.10',
    'HTTP/01.1',
    'HTTP/1',
    'HTTP/1,1',
    'http/1.1',
    'HTTPS/1.1',
    'ICE/1.0',
    '',
  ])('%j is none', (version) => {
    refused(`GET / ${version}\r\nHost: a\r\n\r\n`, /HTTP version/);
    expect(answer(`${version} 200 OK\r\n\r\n`)).toHaveProperty('fault');
  });
  it('a request without a version, of HTTP/0.9, is none', () => refused('GET /\r\n\r\n', 'no HTTP version'));
  it('the preface of HTTP/2 is told of', () => refused('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'this is HTTP/2'));
});

describe('§3 request line', () => {
  it.each([
    ['two blanks behind the method', 'GET  / HTTP/1.1'],
    ['two blanks before the version', 'GET /  HTTP/1.1'],
    ['a blank behind the version', 'GET / HTTP/1.1 '],
    ['a tab behind the method', 'GET\t/ HTTP/1.1'],
    ['a tab before the version', 'GET /\tHTTP/1.1'],
    ['no target', 'GET HTTP/1.1'],
    ['a blank in the target', 'GET /a b HTTP/1.1'],
    ['nothing but a word', 'GET'],
  ])('%s is refused', (_, line) => void refused(`${line}\r\nHost: a\r\n\r\n`, /./));
});

describe('§3.1 method', () => {
  it.each(['GET', 'QUERY', 'LIST', 'FOO', 'get', 'X-MINE', "!#$%&'*+-.^_`|~", 'A'.repeat(64)])(
    '%s is one: any token is',
    (method) => expect(taken(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`).method).toBe(method),
  );
  it.each(['G(ET', 'GET/', 'G\xc9T', '"GET"', ''])(
    '%j is none',
    (method) => void refused(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`, 'the request does not begin with a method'),
  );
});

describe('§3.2 request target', () => {
  it.each([
    ['origin-form', 'GET /a?b=c%20d'],
    ['absolute-form', 'GET http://a/b'],
    ['asterisk-form', 'OPTIONS *'],
  ])('%s is read', (_, line) => expect(taken(`${line} HTTP/1.1\r\nHost: a\r\n\r\n`).target).toBe(line.split(' ')[1]));
  it.each(['/\xe9', '/caf\xc3\xa9', '/\x80'])(
    '%j holds what must be percent-encoded',
    (target) => void refused(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, 'percent-encoded'),
  );
  it('exactly one valid Host stands in a request of HTTP/1.1', () => {
    refused('GET / HTTP/1.1\r\nA: b\r\n\r\n', 'Host is missing');
    refused(`${GET}Host: a\r\n\r\n`, 'more than one Host');
    refused('GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 'Host is not valid');
    expect(taken('GET / HTTP/1.0\r\n\r\n').fields).toEqual([]);
  });
});

describe('§4 status line', () => {
  it.each([
    ['a phrase with octets beyond ASCII', 'HTTP/1.1 200 caf\xe9', 'caf\xe9'],
    ['an empty phrase', 'HTTP/1.1 200 ', ''],
    ['no phrase and no blank', 'HTTP/1.1 200', ''],
    ['a phrase of words', 'HTTP/1.1 200 a  b', 'a  b'],
  ])('%s is read', (_, line, phrase) =>
    expect(answer(`${line}\r\nContent-Length: 0\r\n\r\n`)).toMatchObject({ status: 200, phrase }),
  );
  it.each([
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 099 x',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 2x0 OK',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1',
    'ICY 200 OK',
  ])('%s is none', (line) => expect(answer(`${line}\r\n\r\n`)).toHaveProperty('fault'));
});

describe('§5.1 field line parsing', () => {
  it.each([
    ['no blank', 'X:y', 'y'],
    ['blanks and tabs around it', 'X: \t y z\t \t', 'y z'],
    ['an empty value', 'X:', ''],
    ['a value of blanks', 'X: \t ', ''],
    ['colons', 'X: a:b::c', 'a:b::c'],
  ])('a value with %s is trimmed and kept', (_, line, value) => {
    expect(taken(`${GET}${line}\r\n\r\n`).fields.slice(2)).toEqual(['X', value]);
    expect(answer(`${OK}${line}\r\nContent-Length: 0\r\n\r\n`)).toMatchObject({
      fields: ['X', value, 'Content-Length', '0'],
    });
  });
  it('order, case and repetition stay', () => {
    const fields = ['b', '1', 'A', '2', 'B', '3', 'a', '4'];
    const lines = 'b: 1\r\nA: 2\r\nB: 3\r\na: 4\r\n';
    expect(taken(`${GET}${lines}\r\n`).fields.slice(2)).toEqual(fields);
    expect(answer(`${OK}${lines}Content-Length: 0\r\n\r\n`)).toMatchObject({
      fields: [...fields, 'Content-Length', '0'],
    });
  });
  it.each([
    ['a blank before the colon', 'X : y', 'a blank stands before the colon'],
    ['a tab before the colon', 'X\t: y', 'a blank stands before the colon'],
    ['no colon', 'X', 'the name of a field is no token'],
    ['no name', ': y', 'the name of a field is no token'],
    ['a name with a blank in it', 'X y: z', 'the name of a field is no token'],
    ['a name beyond ASCII', 'X\xe9: y', 'the name of a field is no token'],
    ['a separator in the name', 'X(y): z', 'the name of a field is no token'],
  ])('%s is refused', (_, line, fault) => {
    refused(`${GET}${line}\r\n\r\n`, fault);
    expect(answer(`${OK}${line}\r\n\r\n`)).toHaveProperty('fault');
  });
});

describe('§5.2 obsolete line folding', () => {
  it.each([' ', '\t'])('with %j is refused in both directions', (blank) => {
    refused(`${GET}X: y\r\n${blank}z\r\n\r\n`, 'folded');
    expect(answer(`${OK}X: y\r\n${blank}z\r\n\r\n`)).toHaveProperty('fault');
  });
});

describe('§6.1 Transfer-Encoding', () => {
  it.each(['chunked', 'Chunked', 'CHUNKED'])('%s frames both', (coding) => {
    expect(taken(`${POST}Transfer-Encoding: ${coding}\r\n\r\n1\r\na\r\n0\r\n\r\n`).content).toBe('a');
    expect(answer(`${OK}Transfer-Encoding: ${coding}\r\n\r\n1\r\na\r\n0\r\n\r\n`)).toMatchObject({
      content: 'a',
      complete: true,
    });
  });
  it.each([
    ['beside Content-Length', 'Content-Length: 3\r\nTransfer-Encoding: chunked'],
    ['behind which Content-Length stands', 'Transfer-Encoding: chunked\r\nContent-Length: 3'],
    ['twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'],
    ['chunked twice', 'Transfer-Encoding: chunked, chunked'],
    ['another coding', 'Transfer-Encoding: gzip'],
    ['another coding behind chunked', 'Transfer-Encoding: chunked, gzip'],
    ['another coding before chunked', 'Transfer-Encoding: gzip, chunked'],
    ['identity', 'Transfer-Encoding: identity'],
    ['what looks like it', 'Transfer-Encoding: xchunked'],
    ['in quotes', 'Transfer-Encoding: "chunked"'],
    ['with a vertical tab', 'Transfer-Encoding: \x0bchunked'],
    ['empty', 'Transfer-Encoding:'],
  ])('%s is refused in both directions', (_, lines) => {
    refused(`${POST}${lines}\r\n\r\n0\r\n\r\n`, /./);
    expect(answer(`${OK}${lines}\r\n\r\n0\r\n\r\n`)).toHaveProperty('fault');
  });
  it('is not of HTTP/1.0', () => {
    refused(`POST / HTTP/1.0\r\n${CHUNKED}0\r\n\r\n`, 'HTTP/1.0 has no Transfer-Encoding');
    expect(answer(`HTTP/1.0 200 OK\r\n${CHUNKED}0\r\n\r\n`)).toHaveProperty('fault');
  });
});

describe('§6.2 Content-Length', () => {
  it.each(['0', '2', '002'])('%s frames both', (length) => {
    const content = 'ab'.slice(0, Number(length));
    expect(taken(`${POST}Content-Length: ${length}\r\n\r\n${content}`).content).toBe(content);
    expect(answer(`${OK}Content-Length: ${length}\r\n\r\n${content}`)).toMatchObject({ content, complete: true });
  });
  it.each(['', '-1', '+2', '0x2', '2 2', '2,2', '2, 2', '2;', '2.0', '1e1', '\xb2', '9'.repeat(16), '9'.repeat(400)])(
    '%j is refused in both directions',
    (length) => {
      refused(`${POST}Content-Length: ${length}\r\n\r\nab`, 'Content-Length');
      expect(answer(`${OK}Content-Length: ${length}\r\n\r\nab`)).toHaveProperty('fault');
    },
  );
  it.each(['2', '3'])('2 and then %s is refused in both directions', (second) => {
    refused(`${POST}Content-Length: 2\r\nContent-Length: ${second}\r\n\r\nab`, 'more than one Content-Length');
    expect(answer(`${OK}Content-Length: 2\r\nContent-Length: ${second}\r\n\r\nab`)).toHaveProperty('fault');
  });
});

describe('§6.3 message body length', () => {
  it.each([
    ['HEAD', 200, 'Content-Length: 5'],
    ['HEAD', 200, 'Transfer-Encoding: chunked'],
    ['HEAD', 200, 'X: y'],
    ['GET', 204, 'X: y'],
    ['GET', 204, 'Content-Length: 5'],
    ['GET', 304, 'Content-Length: 5'],
    ['GET', 304, 'Transfer-Encoding: chunked'],
  ])('(1) an answer to %s with %d and %s has no body', (method, status, line) =>
    expect(answer(`HTTP/1.1 ${status} x\r\n${line}\r\n\r\nHTTP`, method)).toMatchObject({
      complete: true,
      content: '',
      behind: 'HTTP',
    }),
  );
  it('(1) an interim answer has no body, and another one follows it', () =>
    expect(
      answer(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: a\r\n\r\n${OK}Content-Length: 1\r\n\r\na`),
    ).toMatchObject({ status: 200, content: 'a' }));
  it('(1) an interim answer of HTTP/1.0 is none', () =>
    expect(answer('HTTP/1.0 100 Continue\r\n\r\n')).toHaveProperty('fault'));
  it('(7) a request without either has no body', () =>
    expect(requests(`${POST}\r\n${GET}\r\n`).requests).toMatchObject([
      { content: '', complete: true },
      { method: 'GET' },
    ]));
  it('(8) an answer without either goes on until its connection ends', () =>
    expect(answer(`${OK}\r\nabc`)).toMatchObject({ framing: 'close', content: 'abc', complete: false }));
  it('what stands behind the end is the next request', () =>
    expect(
      requests(`${POST}Content-Length: 3\r\n\r\nabc${POST}${CHUNKED}1\r\na\r\n0\r\n\r\n${GET}\r\n`).requests,
    ).toMatchObject([
      { content: 'abc', complete: true },
      { content: 'a', complete: true },
      { method: 'GET', complete: true },
    ]));
  it('what stands behind the end of an answer is not its own', () =>
    expect(answer(`${OK}Content-Length: 1\r\n\r\nabc`)).toMatchObject({ content: 'a', behind: 'bc' }));
});

describe('§7.1 chunked', () => {
  /** A chunked body in both directions. */
  const both = (body: string) => [requests(`${POST}${CHUNKED}${body}`), answer(`${OK}${CHUNKED}${body}`)] as const;
  it.each([
    ['nothing', '0\r\n\r\n', ''],
    ['one chunk', '3\r\nabc\r\n0\r\n\r\n', 'abc'],
    ['several', '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n', 'abcde'],
    [
      'sizes in either case, with zeros',
      '00a\r\n0123456789\r\n0A\r\n0123456789\r\n000\r\n\r\n',
      '01234567890123456789',
    ],
    ['content that looks like chunks', '7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n', '0\r\n\r\n\r\n'],
  ])('%s is read', (_, body, content) => {
    const [asked, answered] = both(body);
    expect(asked.requests).toMatchObject([{ content, complete: true }]);
    expect(answered).toMatchObject({ content, complete: true });
  });
  it.each([
    ['no size', '\r\nabc\r\n0\r\n\r\n'],
    ['a size that is none', 'x\r\n'],
    ['a sign', '+3\r\nabc\r\n0\r\n\r\n'],
    ['a prefix', '0x3\r\nabc\r\n0\r\n\r\n'],
    ['an underscore', '1_0\r\n'],
    ['a blank behind the size', '3 \r\nabc\r\n0\r\n\r\n'],
    ['a tab behind the size', '3\t\r\nabc\r\n0\r\n\r\n'],
    ['a blank before the size', ' 3\r\nabc\r\n0\r\n\r\n'],
    ['a size beyond what is exact', '1000000000000\r\n'],
    ['a bare LF behind the size', '3\nabc\r\n0\r\n\r\n'],
    ['a bare LF behind the data', '3\r\nabc\n0\r\n\r\n'],
    ['a bare CR behind the data', '3\r\nabc\r0\r\n\r\n'],
    ['more data than the size says', '3\r\nabcd\r\n0\r\n\r\n'],
    ['less data than the size says', '4\r\nabc\r\n0\r\n\r\n'],
    ['a bare LF behind the last chunk', '0\n\r\n'],
    ['a bare LF as the end', '0\r\n\n'],
  ])('%s is refused', (_, body) => {
    const [asked, answered] = both(body);
    expect(asked).toMatchObject({ end: 'refused', requests: [{ complete: false }] });
    expect(answered).toHaveProperty('fault');
  });
  it.each(['x', '3 ', '3\r\nabcd', '3\r\nabc\rx'])(
    '%j is refused at once: its sender may wait for an answer',
    (body) => {
      const [asked, answered] = both(body);
      expect(asked.end).toBe('refused');
      expect(answered).toHaveProperty('fault');
    },
  );
});

describe('§7.1.1 chunk extensions', () => {
  it.each([';a', ';a=b', ';a="b;c"', ';a=b;c=d', '; a = b'])('%s is dropped', (extension) => {
    const body = `1${extension}\r\nx\r\n0${extension}\r\n\r\n`;
    expect(taken(`${POST}${CHUNKED}${body}`)).toMatchObject({ content: 'x', trailers: [] });
    expect(answer(`${OK}${CHUNKED}${body}`)).toMatchObject({ content: 'x', complete: true });
  });
  it.each([
    ['a bare LF', '1;a\nx\r\n0\r\n\r\n'],
    ['a control character', '1;a\0\r\nx\r\n0\r\n\r\n'],
    ['more than 4 KiB', `1;${'a'.repeat(4096)}\r\nx\r\n0\r\n\r\n`],
    ['more than 16 KiB in all of a body', `${`1;${'a'.repeat(1024)}\r\nx\r\n`.repeat(17)}0\r\n\r\n`],
  ])('%s is refused', (_, body) => {
    refused(`${POST}${CHUNKED}${body}`, /./);
    expect(answer(`${OK}${CHUNKED}${body}`)).toHaveProperty('fault');
  });
});

describe('§7.1.2 chunked trailer section', () => {
  it('is read in its order', () => {
    const body = '1\r\na\r\n0\r\nX: y\r\nx:\t z \r\n\r\n';
    expect(taken(`${POST}${CHUNKED}${body}`).trailers).toEqual(['X', 'y', 'x', 'z']);
    expect(answer(`${OK}${CHUNKED}${body}`)).toMatchObject({ trailers: ['X', 'y', 'x', 'z'] });
  });
  it.each([
    ['a length', 'Content-Length: 1'],
    ['a coding', 'Transfer-Encoding: chunked'],
    ['a folded line', 'X: y\r\n z'],
    ['a blank before the colon', 'X : y'],
    ['a control character', 'X: \x01'],
    ['more lines than any sends', Array.from({ length: 101 }, () => 'X: y').join('\r\n')],
    ['more than 16 KiB', Array.from({ length: 9 }, () => `X: ${'y'.repeat(2000)}`).join('\r\n')],
  ])('%s is refused', (_, lines) => {
    refused(`${POST}${CHUNKED}0\r\n${lines}\r\n\r\n`, /./);
    expect(answer(`${OK}${CHUNKED}0\r\n${lines}\r\n\r\n`)).toHaveProperty('fault');
  });
});

describe('§8 incomplete messages', () => {
  it.each([
    ['in the request line', 'GET / HT'],
    ['in a field', `${GET}X: y`],
    ['before the empty line', `${GET}\r`],
    ['in a body of known length', `${POST}Content-Length: 3\r\n\r\nab`],
    ['in a chunk', `${POST}${CHUNKED}3\r\nab`],
    ['behind a chunk', `${POST}${CHUNKED}3\r\nabc\r\n`],
    ['before the last empty line', `${POST}${CHUNKED}0\r\n`],
    ['in a trailer', `${POST}${CHUNKED}0\r\nX: y\r\n`],
  ])('a request that ends %s is not whole', (_, text) => {
    const { requests: read, end } = requests(text);
    expect(end).toBe('open');
    expect(read.every(({ complete }) => !complete)).toBe(true);
  });
  it.each([
    ['in its head', `${OK}X: y`, null],
    ['in a body of known length', `${OK}Content-Length: 3\r\n\r\nab`, { complete: false }],
    ['in a chunk', `${OK}${CHUNKED}3\r\nab`, { complete: false }],
    ['before the last chunk', `${OK}${CHUNKED}3\r\nabc\r\n`, { complete: false }],
    ['before the last empty line', `${OK}${CHUNKED}0\r\n`, { complete: false }],
  ])('an answer that ends %s is not whole', (_, text, expected) => {
    const read = answer(text);
    if (expected === null) expect(read).toBeNull();
    else expect(read).toMatchObject(expected);
  });
});

describe('§9.3 persistence', () => {
  const keptMs = (text: string) => {
    const start = new AnswerReader().take(latin1(text));
    return start === null || 'fault' in start ? null : persistence(start.head, 4000);
  };
  it.each([
    ['HTTP/1.1', OK, 4000],
    ['close', `${OK}Connection: close\r\n`, 0],
    ['close among others, in any case', `${OK}Connection: keep-alive, CLOSE\r\n`, 0],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n', 0],
    ['HTTP/1.0 with keep-alive', 'HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n', 4000],
    ['a time of its own', `${OK}Keep-Alive: timeout=3, max=5\r\n`, 2000],
  ])('an answer of %s keeps its connection for so long', (_, head, ms) => expect(keptMs(`${head}\r\n`)).toBe(ms));
});

describe('§9.3.2 pipelining', () => {
  const lines = ['GET /a', 'POST /b', 'HEAD /c', 'GET /d'].map((line) => `${line} HTTP/1.1\r\nHost: a\r\n`);
  const bodies = ['', 'Content-Length: 2\r\n\r\nhi', '', 'Connection: close\r\n'];
  const text = lines.map((line, i) => `${line}${bodies[i]}${i === 1 ? '' : '\r\n'}`).join('');

  it('requests are served in their order, each with its own body, however they come', () => {
    for (const pieces of [[latin1(text)], octetsOf(latin1(text))]) {
      const { requests: served, statuses, socket } = serveAll(pieces);
      expect(served.map(({ target, content }) => [target, content])).toEqual([
        ...[
          ['/a', ''],
          ['/b', 'hi'],
          ['/c', ''],
          ['/d', ''],
        ],
      ]);
      expect(statuses()).toEqual([200, 200, 200, 200]);
      expect(socket.ended).toBe(true);
    }
  });
  it('what can not be read behind others is refused behind their answers, and nothing after it is read', () => {
    const { requests: served, statuses, socket } = serveAll([latin1(`${GET}\r\nGET /\r\n\r\n${GET}\r\n`)]);
    expect(served).toHaveLength(1);
    expect(statuses()).toEqual([200, 400]);
    expect(socket.ended).toBe(true);
  });
});

describe('§9.6 tear-down', () => {
  it('the answer to a request with close says so, and what comes behind it is dropped', () => {
    const {
      requests: served,
      statuses,
      socket,
    } = serveAll([latin1(`${GET}Connection: close\r\n\r\n`), latin1(`${GET}\r\n`)]);
    expect([served.length, statuses(), socket.ended]).toEqual([1, [200], true]);
    expect(socket.written).toContain('\r\nConnection: close\r\n');
  });
  it.each([
    ['Connection: close', `${GET}Connection: close\r\n\r\n`],
    ['close among others, in any case', `${GET}Connection: a, CLOSE\r\n\r\n`],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n'],
  ])('nothing behind a request with %s is one', (_, text) => {
    expect(requests(`${text}${GET}\r\n`)).toMatchObject({ end: 'over', requests: [{ complete: true }] });
  });
  it('HTTP/1.0 that asks for it is kept', () =>
    expect(requests(`GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n${GET}\r\n`).requests).toHaveLength(2));
});

describe('§11.1 response splitting: nothing that would end its line is put into a head, of a request or of an answer', () => {
  const added = { date: 'now', connection: '', chunked: false };
  const head = { status: 200, phrase: null, fields: [] as string[], framing: 'none' } as const;
  it.each(['\r', '\n', '\r\nSet-Cookie: a=b', '\0', '\x7f', '\u010d\u010a', '\ud83d'])('%j', (text) => {
    expect(() => formatFields([`X${text}`, 'a'])).toThrow("can't be written");
    expect(() => formatFields(['X', `a${text}`])).toThrow("can't be written");
    expect(() => formatAnswerHead({ ...head, fields: ['X', `a${text}`] }, added)).toThrow("can't be written");
    expect(() => formatAnswerHead({ ...head, phrase: `a${text}` }, added)).toThrow('can not be written');
  });
  it('octets beyond ASCII and HTAB are', () => expect(formatFields(['X', 'a\t\xe9\xff'])).toBe('X: a\t\xe9\xff\r\n'));
});

describe('§11.2 request smuggling: where two readers could disagree neither gets a request', () => {
  it.each([
    ['CL.TE', `${POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG`],
    ['TE.CL', `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST`],
    ['TE.TE', `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n`],
    ['a coding behind a blank in the name', `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
    ['a coding that is folded', `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
    ['a coding behind a bare LF', `${POST}X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a coding behind a bare CR', `${POST}X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a coding behind a NUL', `${POST}X: y\0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a length that is a list', `${POST}Content-Length: 0, 44\r\n\r\n${GET}\r\n`],
    ['a body hidden in an extension', `${POST}${CHUNKED}1;\nx\r\n0\r\n\r\n${GET}\r\n`],
    ['a request hidden in trailers', `${POST}${CHUNKED}0\r\nGET / HTTP/1.1\r\n\r\n`],
  ])('%s', (_, text) => {
    const { requests: read, end } = requests(text);
    expect(end).toBe('refused');
    expect(read.every(({ complete }) => !complete)).toBe(true);
  });
});

it('a head over its size is refused, one of just that size is not', () => {
  const fill = (size: number) => `${GET}X: ${'y'.repeat(size - GET.length - 'X: \r\n\r\n'.length)}\r\n\r\n`;
  expect(taken(fill(LARGEST_HEAD)).fields).toHaveLength(4);
  refused(fill(LARGEST_HEAD + 1), 'too large');
  refused(`GET /${'a'.repeat(LARGEST_HEAD)}`, 'too large');
});
