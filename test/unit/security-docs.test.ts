// Holds SECURITY.md and docs/security.md to the tests: every promise and every known attack names a test that exists, and
// what it says exists by that name.
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

/** `path` “name”: what a table says holds something. */
const REFERENCE = /`(test\/[\w./-]+\.(?:ts|c|sh))`(?: “([^”]+)”)?/g;

interface Row {
  readonly what: string;
  readonly held: string;
}

/** The rows of the table below a heading. */
function rowsBelow(text: string, heading: string): Row[] {
  const [, section = ''] = text.split(`\n## ${heading}\n`);
  const [own = ''] = section.split('\n## ');
  return own
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('|--'))
    .slice(1)
    .map((line) => {
      const cells = line.slice(2, -2).split(' | ');
      return { what: cells[0]!, held: cells.at(-1)! };
    });
}

const TABLES = [
  ['SECURITY.md', 'What is promised', 15],
  ['docs/security.md', 'Known attacks and pitfalls', 35],
] as const;

describe.each(TABLES)('%s: %s', (file, heading, atLeast) => {
  const rows = rowsBelow(read(file), heading);

  it('is a table', () => expect(rows.length).toBeGreaterThanOrEqual(atLeast));

  it.each(rows.map(({ what, held }) => [what, held] as const))('%s', (_, held) => {
    const references = [...held.matchAll(REFERENCE)];
    // An attack that can't concern us says why.
    if (references.length === 0) return expect(held).toMatch(/^no concern: .{20,}/);
    for (const [, path = '', name] of references) {
      expect(existsSync(new URL(path, root)), path).toBe(true);
      if (name === undefined) continue;
      const text = read(path).replaceAll("\\'", "'");
      const quoted = [`'${name}'`, `"${name}"`, `\`${name}\``].some((one) => text.includes(one));
      expect(quoted, `${path} has no ${name}`).toBe(true);
    }
  });
});

it('a name that is no test’s would be caught', () => {
  const [, path, name] = [...'`test/e2e/gateway.test.ts` “no such test”'.matchAll(REFERENCE)][0] ?? [];
  expect([path, name]).toEqual(['test/e2e/gateway.test.ts', 'no such test']);
  expect(read(path!)).not.toContain(name);
});
