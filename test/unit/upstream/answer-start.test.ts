// The start of an answer, before undici's parser gets it.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AnswerStart, shownName } from '../../../src/upstream/answer-start.ts';

interface Taken {
  readonly passed: string;
  readonly continues: number;
  readonly version: string;
  readonly phrase: string;
  readonly waiting: boolean;
}

/** Feeds the pieces as long as the start is waited for; the rest goes by, as in a line. */
function feed(pieces: readonly string[]): Taken {
  let continues = 0;
  let passed = '';
  const start = new AnswerStart(() => continues++);
  start.expect();
  for (const piece of pieces) {
    let bytes: Buffer | null = Buffer.from(piece, 'latin1');
    if (start.waiting) bytes = start.take(bytes);
    for (; bytes !== null; bytes = start.waiting ? start.take(null) : null) passed += bytes.toString('latin1');
  }
  return { passed, continues, version: start.version, phrase: start.phrase, waiting: start.waiting };
}

const FINAL = 'HTTP/1.1 200 Quite Fine, caf\xe9\r\nContent-Length: 2\r\n\r\nok';
const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
const CONTINUE = 'HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\n';

describe('AnswerStart', () => {
  it('reads version and phrase, and passes all', () => {
    expect(feed([FINAL])).toEqual({
      passed: FINAL,
      continues: 0,
      version: '1.1',
      phrase: 'Quite Fine, caf\xe9',
      waiting: false,
    });
    expect(feed(['HTTP/1.0 404\r\n\r\n'])).toMatchObject({ version: '1.0', phrase: '', waiting: false });
  });

  it('takes every 100 out, and tells of it; other interim answers pass', () => {
    expect(feed([CONTINUE + HINTS + CONTINUE + FINAL])).toMatchObject({ passed: HINTS + FINAL, continues: 2 });
  });

  it('says the same however the bytes are cut', () => {
    const parts = fc.array(fc.constantFrom(CONTINUE, HINTS), { maxLength: 3 });
    fc.assert(
      fc.property(parts, fc.array(fc.nat(200), { maxLength: 8 }), (before, cuts) => {
        const text = before.join('') + FINAL;
        const at = [...new Set(cuts.filter((cut) => cut < text.length))].sort((a, b) => a - b);
        const pieces = [0, ...at].map((from, i) => text.slice(from, at[i] ?? text.length));
        expect(feed(pieces)).toEqual(feed([text]));
      }),
    );
  });

  it('leaves a line that a bare LF ends to the parser, at once', () => {
    for (const text of ['HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'HTTP\n'])
      expect(feed([text])).toMatchObject({ passed: text, waiting: false, version: '' });
  });

  it('knows HTTP/2.0 for what it is', () => {
    expect(feed(['HTTP/2.0 200 OK\r\n\r\n'])).toMatchObject({ version: '2.0' });
  });

  it('leaves a 100 that is none to the parser', () => {
    const text = 'HTTP/1.1 100 Continue\nX: 1\n\n\r\n\r\nHTTP/1.1 200 OK\r\n\r\n';
    expect(feed([text])).toMatchObject({ passed: text, continues: 0 });
  });

  it('does not hold for ever what has no end', () => {
    const text = `HTTP/1.1 103 x\r\n${'a'.repeat(70_000)}`;
    expect(feed([text])).toMatchObject({ passed: text, waiting: false });
  });

  it('hides the length of a 304 from the parser, and only that', () => {
    const head =
      'HTTP/1.1 304 Not Modified\r\nX-Content-Length: 1\r\ncontent-LENGTH: 12\r\nETag: content-length:\r\n\r\n';
    const { passed } = feed([head.slice(0, 60), head.slice(60)]);
    expect(passed).toBe(head.replace('content-LENGTH: 12', 'content-LENGTI: 12'));
    expect(['content-LENGTI', 'Content-Lengti', 'ETag'].map(shownName)).toEqual([
      'content-LENGTH',
      'Content-Length',
      'ETag',
    ]);
    const other = head.replace('304', '200');
    expect(feed([other]).passed).toBe(other);
  });
});
