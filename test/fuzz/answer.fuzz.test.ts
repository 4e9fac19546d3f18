// What a backend sends: any octets are a head or a fault, and a body ends at the same octet however it is cut.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { answerFraming, followBody, parseAnswerHead } from '../../src/http/answer.ts';
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
