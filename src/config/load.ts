// The config from its file. The only file here that touches the disk; the certificates that the config names are read and
// checked where they are used, in runtime/tls/tls.ts.

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { lookupTable } from '../base/lookup-table.ts';
import { systemCode } from '../errors.ts';
import { type Parsed, parseConfig } from './parse.ts';
import type { Problem } from './problem.ts';
import type { Env } from './yaml/env.ts';

export interface Loaded extends Parsed {
  /** What relative paths of the config are relative to: the directory of its file. */
  readonly baseDir: string;
  /** What the file holds; empty where it can't be read. */
  readonly text: string;
}

const REASONS: Readonly<Record<string, string>> = lookupTable({
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'it is a directory',
});

/** Reads, parses and checks the file. What is wrong is in `problems`; rejects for a defect of the gateway only. */
export async function loadConfig(file: string, env: Env): Promise<Loaded> {
  const baseDir = dirname(resolve(file));
  try {
    const text = await readFile(file, 'utf8');
    return { ...parseConfig(text, { file, env }), baseDir, text };
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    const locate = (problem: Problem) => ({ ...problem, file, line: 1, column: 1 });
    const message = `cannot be read: ${REASONS[code] ?? code}`;
    const problems = [locate({ severity: 'error', path: [], message })];
    return {
      config: null,
      partial: null,
      widened: new Map(),
      problems,
      positions: new Map(),
      locate,
      baseDir,
      text: '',
    };
  }
}
