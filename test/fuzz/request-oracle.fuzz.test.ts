// Whole requests, one behind the other, by our reader and by llhttp, on the same bytes, ours cut at each octet.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { numRuns } from '../support/arbitraries.ts';
import { readByLlhttp } from '../support/llhttp.ts';
import { LARGEST_HEAD, readByOurs } from '../support/requests.ts';
import { APART, checkRequests } from '../support/requests-oracle.ts';

const content = fc.constantFrom('', 'a', 'hello', '\r\n', '0\r\n\r\n', 'GET / HTTP/1.1\r\nHost: b\r\n\r\n', '\xff\x00');
/** Mostly what is sound, so that requests behind others are met. */
const mostly = (sound: readonly string[], odd: readonly string[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...sound) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });
const chunks = fc
  .tuple(
    fc.array(
      content.filter((text) => text !== ''),
      { maxLength: 3 },
    ),
    mostly(['', ';a=b'], [' ', ';']),
    mostly(['', 'X: y\r\n', 'A:\r\nB: \xe9\r\n'], ['Content-Length: 1\r\n']),
  )
  .map(([parts, extension, trailers]) => {
    const lines = parts.map((part) => `${part.length.toString(16)}${extension}\r\n${part}\r\n`);
    return { field: 'Transfer-Encoding: chunked\r\n', body: `${lines.join('')}0\r\n${trailers}\r\n` };
  });
const framed = fc.oneof(
  chunks,
  content.map((body) => ({ field: `Content-Length: ${body.length}\r\n`, body })),
  fc.constant({ field: '', body: '' }),
);
const request = fc
  .tuple(
    mostly(['', '', '\r\n'], ['\n', '\r\n\r\n']),
    mostly(['GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'M-SEARCH'], ['LIST', 'get']),
    mostly(['/', '/a?b=c%20d', '//'], ['*', 'http://a/b', '/\xe9', '/a b', '', 'a', '/"<>^`{|}\\', '/#']),
    mostly(['HTTP/1.1'], ['HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1', '']),
    mostly(['', 'X: y\r\n', 'Empty:\r\n', 'Latin: \xe9 x\r\n'], ['Connection: close\r\n', 'A : b\r\n', ' fold\r\n']),
    framed,
  )
  .map(([before, method, target, version, fields, { field, body }]) =>
    Buffer.from(`${before}${method} ${target} ${version}\r\nHost: a\r\n${fields}${field}\r\n${body}`, 'latin1'),
  );
const connection = fc.array(request, { minLength: 1, maxLength: 3 }).map((parts) => Buffer.concat(parts));
/** As it is, or with one octet changed, put in or taken out. */
const damaged = fc
  .tuple(
    connection,
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

it('what ours takes llhttp takes as the same, however it is cut', { timeout: 120_000 }, () => {
  fc.assert(
    fc.property(damaged, (bytes) => {
      checkRequests(
        bytes,
        Array.from({ length: bytes.length - 1 }, (_, at) => at + 1),
      );
    }),
    { numRuns },
  );
});

it('the two do read requests: what is generated is taken by both, refused by both, and refused by ours alone', () => {
  const seen = new Map<string, number>();
  const count = (key: string): void => void seen.set(key, (seen.get(key) ?? 0) + 1);
  fc.assert(
    fc.property(damaged, (bytes) => {
      const ours = readByOurs([bytes]);
      const whole = ours.requests.filter(({ complete }) => complete).length;
      if (whole > 1) count('several');
      count(`${ours.end} and ${readByLlhttp(bytes, LARGEST_HEAD).end}`);
    }),
    { numRuns: 2000, seed: 1 },
  );
  for (const key of ['several', 'open and open', 'refused and refused', 'refused and open'])
    expect(seen.get(key) ?? 0, key).toBeGreaterThan(20);
});

describe('the list of what ours takes alone', () => {
  const head = 'Host: a\r\n\r\n';
  const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  it.each([
    ['a method that llhttp does not know', `LIST / HTTP/1.1\r\n${head}`],
    ['a tab around a value', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\t\r\n\r\na'],
    ['what a chunk extension holds', `${chunked}1; a\r\na\r\n0\r\n\r\n`],
  ])('has no entry without an example: %s', (what, text) => {
    const bytes = Buffer.from(text);
    const ours = readByOurs([bytes]);
    expect(ours.requests).toMatchObject([{ complete: true }]);
    // Newer nodes strip tabs as ours does.
    const strips = what === 'a tab around a value' && !process.versions.node.startsWith('20.');
    expect(['refused', ...(strips ? ['open'] : [])]).toContain(readByLlhttp(bytes, LARGEST_HEAD).end);
    expect(APART.filter(([, applies]) => applies(bytes, ours)).map(([name]) => name)).toEqual([what]);
  });
});
