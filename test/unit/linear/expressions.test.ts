// Every regular expression of the source takes linear time on text made of what it looks for: the expressions are read off
// the source itself, so that a new one is in the sweep without being listed. What they are part of is parsers.test.ts.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAst } from 'vitest/node';
import { faultOf, fillings } from '../../support/linear.ts';

const SRC = new URL('../../../src/', import.meta.url).pathname;

interface Found {
  readonly file: string;
  readonly expression: RegExp;
}

/** The literals of a file's syntax tree. */
function* expressionsOf(file: string): Generator<Found> {
  const nodes: unknown[] = [parseAst(readFileSync(join(SRC, file), 'utf8'), { lang: 'ts' })];
  while (nodes.length > 0) {
    const node = nodes.pop();
    if (typeof node !== 'object' || node === null) continue;
    const { regex } = node as { readonly regex?: { readonly pattern: string; readonly flags: string } };
    if (regex !== undefined) yield { file, expression: new RegExp(regex.pattern, regex.flags) };
    nodes.push(...Object.values(node));
  }
}

const all = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .flatMap((file) => [...expressionsOf(file)]);
const distinct = [...new Map(all.map((found) => [String(found.expression), found])).values()];

/** A character of each kind that an expression could mean: by name where it stands for others. */
const KINDS = [...' \t\n\r,;"\\=a0./:[]{}$<>%-_+@?#*&()|!~^\'`', '\u00e9'];

/** Those that it tells apart: it takes them somewhere, or names them. */
function piecesOf({ source }: RegExp): string[] {
  const named = KINDS.filter((kind) => source.includes(kind));
  const words = /\\w|a-z|\[\^|\\S|\.[*+]/i.test(source) ? ['a'] : [];
  const digits = /\\d|\\w|0-9|\[\^/.test(source) ? ['0'] : [];
  const blanks = /\\s|\\t|\\x20/.test(source) ? [' ', '\t'] : [];
  const literals = source.match(/[A-Za-z]{3,}/g) ?? [];
  return [...new Set([...named, ...words, ...digits, ...blanks, ...literals.slice(0, 2), 'x'])]
    .filter((piece) => !'^$|()?*+'.includes(piece) || source.includes(`\\${piece}`) || source.includes('['))
    .slice(0, 6);
}

const use = (expression: RegExp) => (text: string) => {
  if (expression.global) return text.replace(expression, '');
  return expression.test(text);
};

it('are found', () => {
  expect(distinct.length).toBeGreaterThan(150);
  expect(all.map(({ file }) => file)).toContain('http/forwarding/hops.ts');
});

describe('the sweep finds', () => {
  it.each<[string, RegExp]>([
    ['two optional runs of blanks side by side', /[ \t]*(?:a=b)?[ \t]*(?:;|$)/g],
    ['a run of blanks before a separator, wherever it begins', /[ \t]*,[ \t]*/g],
    ['a nested quantifier', /^(?:a+)+$/],
    ['a run that may begin anywhere', /\s+$/],
  ])('%s', { timeout: 120_000 }, (_, expression) => {
    const slow = [...fillings(piecesOf(expression))].find(([, fill]) => faultOf(fill, use(expression), 8192) !== null);
    expect(slow).toBeDefined();
  });
});

it.each(distinct.map(({ file, expression }) => [`${file}: ${expression}`, expression] as const))(
  '%s is linear',
  { timeout: 120_000 },
  (_, expression) => {
    for (const [name, fill] of fillings(piecesOf(expression))) expect(faultOf(fill, use(expression)), name).toBeNull();
  },
);
