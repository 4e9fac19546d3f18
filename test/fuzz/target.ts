// What a fuzz target is: a promise about every input. A new one is one file in targets/, its line in targets.ts, and a
// folder of seeds in test/fixtures/corpus.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sha256 } from '../support/quiet.ts';

/** Throws where the input breaks a promise; gives a word for what became of it, so that an input with a new one is kept. */
export type Check = (input: Buffer) => string | Promise<string>;

export interface Target {
  readonly name: string;
  /** What means something to it, put in now and then. */
  readonly words: readonly string[];
  /** Longer inputs are not tried. */
  readonly longest: number;
  /** Makes what the check needs; `close` gives it back. */
  open(): { check: Check; close(): void } | Promise<{ check: Check; close(): void }>;
}

/** Where a target's inputs are. */
export const corpusOf = (name: string): string => fileURLToPath(new URL(`../fixtures/corpus/${name}`, import.meta.url));

/** The inputs kept for a target, by file name: seeds, and what once broke a promise. */
export function readCorpus(name: string): [file: string, input: Buffer][] {
  const folder = corpusOf(name);
  mkdirSync(folder, { recursive: true });
  return readdirSync(folder)
    .sort()
    .map((file) => [file, readFileSync(join(folder, file))]);
}

/** Keeps an input under a name made from what it is; tells where. */
export function keepInput(name: string, kind: 'find' | 'kept', input: Buffer): string {
  const file = join(corpusOf(name), `${kind}-${sha256(input).slice(0, 12)}`);
  writeFileSync(file, input);
  return file;
}

/** Throws what is wrong, unless it holds. */
export function promise(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
