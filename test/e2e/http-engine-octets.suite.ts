// HTTP engines: octets beyond ASCII in fields. node's own code treats some fields apart, by name and by what stands before
// them; none may be changed on its way, whichever it is.
import { expect, it } from 'vitest';
import type { Stages } from './http-engine.suite.ts';

/** Every octet that a value may have beyond ASCII (obs-text, RFC 9110 §5.5). */
const OCTETS = Array.from({ length: 128 }, (_, i) => String.fromCharCode(128 + i)).join('');
const NAMES = [
  ...[
    'Content-Disposition',
    'content-disposition',
    'Content-Location',
    'Content-Type',
    'Cookie',
    'Date',
    'ETag',
    'From',
  ],
  ...['Link', 'Referer', 'Set-Cookie', 'User-Agent', 'Warning', 'X-Any'],
];
const FRAMINGS = [
  ['a length', 'Content-Length: 5', 'hello'],
  ['chunks', 'Transfer-Encoding: chunked', '5\r\nhello\r\n0\r\n\r\n'],
] as const;
const CASES = NAMES.flatMap((name) =>
  FRAMINGS.flatMap(([framing, field, body]) =>
    ['before', 'behind'].map((where) => ({ name, framing, where, field, body })),
  ),
);

export function describeOctets(stages: Stages): void {
  it.each(CASES)('of $name in a request, $where $framing', async ({ name, where, field, body }) => {
    const { ask } = await stages.set();
    const told = `${name}: "caf${OCTETS}.txt"`;
    const lines = where === 'before' ? [told, field] : [field, told];
    const { peer } = await ask(`POST / HTTP/1.1\r\nHost: a\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
    const text = await peer.until(body);
    expect(text).toContain(`\r\n${told}\r\n`);
    expect(text.endsWith(`\r\n\r\n${body}`)).toBe(true);
  });

  it.each(CASES)('of $name in an answer, $where $framing', async ({ name, where, field, body }) => {
    const told = `${name}: "caf${OCTETS}.txt"`;
    const lines = where === 'before' ? [told, field] : [field, told];
    // Head and body together, and the head alone.
    for (const method of ['GET', 'HEAD']) {
      for (const together of [true, false]) {
        const { ask } = await stages.set();
        const { peer, client } = await ask(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
        const head = `HTTP/1.1 200 caf${OCTETS}\r\n${lines.join('\r\n')}\r\n\r\n`;
        peer.write(together && method === 'GET' ? head + body : head);
        if (!together) await client.until('\r\n\r\n');
        if (!together && method === 'GET') peer.write(body);
        const text = (await client.until(method === 'GET' ? body : '\r\n\r\n')).toString('latin1');
        expect(text).toContain(`\r\n${told}\r\n`);
        expect(text.startsWith(`HTTP/1.1 200 caf${OCTETS}\r\n`)).toBe(true);
        client.socket.destroy();
      }
    }
  });
}
