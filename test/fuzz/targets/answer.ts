// Answers of a backend to a handshake. The first octet of the input says how the bytes behind it are cut. However they are:
// the same head and the same rest, or a fault; and what is taken is taken by llhttp too, as the same.
import { answerFraming, followBody } from '../../../src/http/answer.ts';
import { AnswerReader } from '../../../src/http/answer-reader.ts';
import { listHas } from '../../../src/http/fields.ts';
import { readAnswerByLlhttp } from '../../support/llhttp.ts';
import { LARGEST_HEAD } from '../../support/requests.ts';
import { promise, type Target } from '../target.ts';

/** What a reader says of the bytes in pieces of this size, and what stands behind the head. */
function read(bytes: Buffer, size: number) {
  let closes = false;
  const reader = new AnswerReader((interim) => {
    closes ||= listHas(interim, 'connection', 'close');
  });
  for (let at = 0; at < bytes.length; at += size) {
    const said = reader.take(bytes.subarray(at, at + size));
    if (said === null) continue;
    if ('fault' in said) return said;
    return { head: said.head, rest: Buffer.concat([said.rest, bytes.subarray(at + size)]), closes };
  }
  return null;
}

/** A fault's words may say how far it had come. */
const shown = (of: ReturnType<typeof read>) =>
  of === null ? 'null' : 'fault' in of ? 'a fault' : JSON.stringify({ ...of, rest: of.rest.toString('latin1') });

/** Where the body ends, how many bytes are its, -1 where it goes on, and what it holds; null where it can't be followed. */
function follow(framing: Parameters<typeof followBody>[0], rest: Buffer, size: number) {
  const cursor = followBody(framing);
  const parts: Buffer[] = [];
  let taken = 0;
  for (let at = 0; at < rest.length && !cursor.done; at += size) {
    const of = cursor.take(rest.subarray(at, at + size), (part) => parts.push(part));
    if (typeof of !== 'number') return null;
    taken += of;
  }
  return { end: cursor.done ? taken : -1, content: Buffer.concat(parts).toString('latin1'), trailers: cursor.trailers };
}

function checkWithLlhttp(bytes: Buffer, said: NonNullable<ReturnType<typeof read>>): string {
  // What an answer begins with is quoted, and is no outcome of its own.
  if ('fault' in said) return said.fault.replace(/it begins with .*/, 'it begins with …');
  const { head, rest, closes } = said;
  const theirs = readAnswerByLlhttp(bytes, LARGEST_HEAD);
  // White space behind a value may be a tab (RFC 9110 §5.6.3); behind a length or a coding node takes none.
  const tab = bytes.includes('\t');
  const framing = answerFraming(head);
  // llhttp judges the framing with the head: what it refuses for that is refused here, too, but a step later.
  // For llhttp nothing follows an interim answer with `Connection: close`; the connection ends behind the final one here.
  if (theirs === null) {
    const known = 'fault' in framing || head.status === 101 || tab || closes;
    promise(known, `llhttp refuses an answer that is taken: ${shown(said)}`);
    return 'fault' in framing ? framing.fault : tab ? 'a tab that llhttp refuses' : 'an answer that llhttp refuses';
  }
  promise(theirs.status === head.status && theirs.version === head.version, 'llhttp reads another status');
  promise(
    theirs.phrase === head.phrase,
    `llhttp reads another phrase: ${JSON.stringify([theirs.phrase, head.phrase])}`,
  );
  promise(
    JSON.stringify(theirs.fields) === JSON.stringify(head.fields),
    `llhttp reads other fields: ${JSON.stringify([theirs.fields, head.fields])}`,
  );
  if ('fault' in framing) return framing.fault;
  if (head.status === 101) return 'a 101';
  const followed = follow(framing, rest, rest.length || 1);
  const same = JSON.stringify(followed) === JSON.stringify(follow(framing, rest, rest.length > 1024 ? 7 : 1));
  promise(same, 'a body is read in another way when it comes in pieces');
  const end = followed === null ? null : followed.end;
  if (framing.kind === 'length' && end !== null && end >= 0)
    promise(theirs.body?.equals(rest.subarray(0, end)) === true, 'llhttp reads another body');
  if (framing.kind === 'chunked' && end !== null) {
    // Of extensions llhttp takes fewer than RFC 9112 §7.1.1 allows; the end is where it is.
    const plain = !rest.includes(';') && !tab;
    promise(theirs.body !== null ? end >= 0 : end < 0 || !plain, `a chunked body ends for one reader only: ${end}`);
    if (theirs.body !== null)
      promise(theirs.body.toString('latin1') === followed?.content, 'llhttp reads another body');
  }
  return `${framing.kind}, ${end === null ? 'malformed' : end >= 0 ? 'whole' : 'open'}`;
}

export const answer: Target = {
  name: 'answer',
  words: [
    'HTTP/1.1 101 Switching Protocols\r\n',
    'HTTP/1.1 200 OK\r\n',
    'HTTP/1.0 204 x\r\n',
    'HTTP/1.1 304 \r\n',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 103 x\r\n',
    'HTTP/1.1 ',
    'HTTP/2 200',
    '\r\n',
    '\r\n\r\n',
    '\n',
    '\r',
    ':',
    ': ',
    ' ',
    '\t',
    '\0',
    '\x80',
    'Content-Length: 5\r\n',
    'Content-Length: 0\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Connection: Upgrade\r\n',
    'Upgrade: websocket\r\n',
    '5\r\nabcde\r\n',
    '0\r\n',
    '0\r\n\r\n',
    'a;x=y\r\n',
    'X: y\r\n',
    'Set-Cookie: a=b\r\n',
  ],
  longest: 8192,
  open: () => ({
    close() {},
    check(input) {
      const bytes = input.subarray(1);
      const whole = read(bytes, bytes.length || 1);
      // Octet by octet a long one takes most of the time of a search, and has no more ways to be cut.
      for (const size of bytes.length > 1024 ? [1 + (input[0] ?? 0)] : [1, 1 + (input[0] ?? 0)])
        promise(shown(read(bytes, size)) === shown(whole), 'an answer is read in another way when it comes in pieces');
      if (whole === null) return 'more is wanted';
      return checkWithLlhttp(bytes, whole);
    },
  }),
};
