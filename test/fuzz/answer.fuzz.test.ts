// What a backend sends: any octets are a head or a fault, and a body ends at the same octet however it is cut.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { answerFraming, followBody, parseAnswerHead } from '../../src/http/answer.ts';
import { AnswerReader } from '../../src/http/answer-reader.ts';
import { isToken } from '../../src/http/fields.ts';
import { always, fieldValue, octets } from '../support/arbitraries.ts';

const statusLine = fc.oneof(
  fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 101 x', 'HTTP/1.0 204', 'HTTP/1.1 304 '),
  octets,
);
const field = fc.oneof(
  fc.constantFrom(
    'Content-Length: 5',
    'Content-Length: 6',
    'Transfer-Encoding: chunked',
    'Upgrade: websocket',
    ' fold',
    ':',
  ),
  fc.tuple(fc.constantFrom('A', 'Connection', 'x y', ''), fieldValue).map(([name, value]) => `${name}: ${value}`),
  octets,
);

it('a head is read line by line, or refused', () => {
  always(fc.tuple(statusLine, fc.array(field, { maxLength: 4 })), ([first, lines]) => {
    const head = parseAnswerHead([first, ...lines].join('\r\n'));
    if ('fault' in head) return expect(head.fault).not.toBe('');
    expect(head.fields).toHaveLength(2 * head.names.length);
    expect(head.names.every(isToken)).toBe(true);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    expect([head.phrase, ...head.fields].join('')).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f]/);
    const framing = answerFraming(head);
    if ('fault' in framing) return expect(framing.fault).not.toBe('');
    expect(['none', 'length', 'chunked', 'close']).toContain(framing.kind);
  });
});

/** A chunked body, and what stands behind it. */
const chunked = fc
  .tuple(fc.array(octets, { maxLength: 4 }), fc.constantFrom('', ';a=b'), fc.constantFrom('', 'X: y\r\n'), octets)
  .map(([parts, ext, trailers, rest]) => {
    const chunks = parts
      .filter((part) => part !== '')
      .map((part) => `${part.length.toString(16)}${ext}\r\n${part}\r\n`);
    const body = `${chunks.join('')}0\r\n${trailers}\r\n`;
    return { body, sent: Buffer.from(body + rest, 'latin1') };
  });

/** The bytes taken, or null where the body was refused. */
function takenOf(sent: Buffer, cuts: readonly number[]): number | null {
  const cursor = followBody({ kind: 'chunked' });
  const at = [...new Set([0, ...cuts.map((cut) => cut % (sent.length + 1)), sent.length])].sort((a, b) => a - b);
  let taken = 0;
  for (const [i, start] of at.slice(0, -1).entries()) {
    const piece = sent.subarray(start, at[i + 1]);
    const of = cursor.take(piece);
    if (typeof of !== 'number') return null;
    taken += of;
    if (cursor.done) return taken;
    expect(of).toBe(piece.length);
  }
  return taken;
}

it('a chunked body ends where it ends, however it is cut', () => {
  always(fc.tuple(chunked, fc.array(fc.nat(), { maxLength: 6 })), ([{ body, sent }, cuts]) =>
    expect(takenOf(sent, cuts)).toBe(body.length),
  );
});

it('a damaged one is refused, or taken, the same way however it is cut', () => {
  always(
    fc.tuple(chunked, fc.nat(), fc.nat(255), fc.array(fc.nat(), { maxLength: 6 })),
    ([{ sent }, at, octet, cuts]) => {
      sent[at % sent.length] = octet;
      expect(takenOf(sent, cuts)).toBe(takenOf(sent, []));
    },
  );
});

/** What a reader says of these bytes, cut like this: `null` where it wants more. */
function readOf(sent: Buffer, cuts: readonly number[]): { read: unknown; behind: string } | null {
  const reader = new AnswerReader();
  const at = [...new Set([0, ...cuts.map((cut) => cut % (sent.length + 1)), sent.length])].sort((a, b) => a - b);
  for (const [i, start] of at.slice(0, -1).entries()) {
    const read = reader.take(sent.subarray(start, at[i + 1]));
    if (read === null) continue;
    // Its words may say how far it had come.
    if ('fault' in read) return { read: 'a fault', behind: '' };
    const behind = Buffer.concat([read.rest, sent.subarray(at[i + 1])]).toString('latin1');
    return { read: read.head, behind };
  }
  return null;
}

/** An answer with interim ones before it and bytes behind it, whole or damaged. */
const answers = fc
  .tuple(
    fc.array(fc.constantFrom('HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 x\r\nLink: </a>\r\n\r\n'), {
      maxLength: 3,
    }),
    statusLine,
    fc.array(field, { maxLength: 3 }),
    fc.constantFrom('\r\n\r\n', '\r\n\r\n\r\n\r\n', '\n\n', '\r\n', ''),
    octets,
  )
  .map(([interims, first, lines, end, rest]) =>
    Buffer.from([...interims, [first, ...lines].join('\r\n'), end, rest].join(''), 'latin1'),
  );

it('an answer is read the same however it is cut: its head and what stands behind it, or a fault', () => {
  always(fc.tuple(answers, fc.array(fc.nat(), { maxLength: 6 })), ([sent, cuts]) => {
    const whole = readOf(sent, []);
    expect(readOf(sent, cuts)).toEqual(whole);
    if (whole !== null) expect(sent.toString('latin1').endsWith(whole.behind)).toBe(true);
  });
});

it('a damaged answer too', () => {
  always(fc.tuple(answers, fc.nat(), fc.nat(255), fc.array(fc.nat(), { maxLength: 6 })), ([sent, at, octet, cuts]) => {
    if (sent.length > 0) sent[at % sent.length] = octet;
    expect(readOf(sent, cuts)).toEqual(readOf(sent, []));
  });
});
