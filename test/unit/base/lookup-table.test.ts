import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { lookupTable } from '../../../src/base/lookup-table.ts';

it('has its entries and no other word', () => {
  const table = lookupTable({ a: 1 });
  expect(table['a']).toBe(1);
  for (const word of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) expect(table[word]).toBeUndefined();
  expect(Object.entries(table)).toEqual([['a', 1]]);
});

it('stands wherever a table of src is asked for any word', () => {
  const src = new URL('../../../src/', import.meta.url);
  const plain = readdirSync(src, { recursive: true, encoding: 'utf8' })
    // The demo's is asked for the names of the shipped config.
    .filter((file) => file.endsWith('.ts') && !file.startsWith('demo/'))
    .filter((file) =>
      /const [A-Z_]+: Readonly<Record<string, [^=;]*>> = \{/.test(readFileSync(new URL(file, src), 'utf8')),
    );
  expect(plain).toEqual([]);
});
