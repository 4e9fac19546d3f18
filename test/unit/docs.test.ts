// Holds the docs to the code, both ways: every reason code and its status in docs/answers.md and nothing else there; every
// file of src/pipeline/ in docs/handshake.md; every example config that passes for one is one.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../src/errors.ts';
import { REJECTIONS } from '../../src/handshake/rejection.ts';
import { PARSER_ERRORS } from '../../src/listen/parser-errors.ts';

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

/** The first cell of every row of the tables in a text that starts with a name in code quotes. */
const rows = (text: string) =>
  [...text.matchAll(/^\| `([a-z_]+)` \| (\d+)[^|]*\|([^|]*)\|([^|]*)\|$/gm)].map(([, name, status, when, then]) => ({
    name,
    status: Number(status),
    explained: when!.trim().length > 10 && then!.trim().length > 5,
  }));

describe('docs/answers.md', () => {
  const codes = [...Object.entries(REJECTIONS), ...Object.entries(ERRORS)];
  const documented = rows(read('answers.md'));

  it('has every reason code of the code, and no other', () => {
    expect(documented.map(({ name }) => name).sort()).toEqual([...new Set(codes.map(([name]) => name))].sort());
  });

  it.each(codes)('%s has its status, when it comes and what to do', (name, { status }) => {
    expect(documented.find((row) => row.name === name)).toEqual({ name, status, explained: true });
  });

  it.each(Object.entries(PARSER_ERRORS))('%s has its sentence', (code, sentence) => {
    expect(read('answers.md')).toContain(`| ${sentence} | \`${code}\` |`);
  });
});

describe('docs/handshake.md', () => {
  const text = read('handshake.md');
  const table = [...text.matchAll(/^\| `([a-z-]+\.ts)` \|/gm)].map(([, name]) => name!);

  it('has each file of src/pipeline/ once, and no other', () => {
    expect([...table].sort()).toEqual(readdirSync(new URL('../../src/pipeline', import.meta.url)).sort());
  });

  it('names the steps in the order in which a handshake takes them', () => {
    const steps = ['handshakes.ts', 'incoming.ts', 'decide-incoming.ts', 'access.ts'];
    expect(table.filter((name) => steps.includes(name))).toEqual(steps);
    const headings = [...text.matchAll(/^## .*$/gm)].join('\n');
    const at = ['pipeline/handshakes.ts', 'pipeline/decide-incoming.ts', 'pipeline/access.ts', 'actions/splice.ts'];
    expect([...at].sort((a, b) => headings.indexOf(a) - headings.indexOf(b))).toEqual(at);
    expect(at.filter((path) => !headings.includes(path))).toEqual([]);
  });

  it('names no file of src that is not there', () => {
    const named = [...text.matchAll(/`((?:[a-z0-9-]+\/)+[a-z0-9-]+\.(?:ts|c|mjs))`/g)].map(([, path]) => path!);
    expect(named.length).toBeGreaterThan(30);
    const missing = named.filter((path) => !existsSync(new URL(`../../src/${path}`, import.meta.url)));
    expect(missing.filter((path) => !path.startsWith('src/'))).toEqual([]);
  });
});
