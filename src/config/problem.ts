// What is wrong with a config: found by the parser, the schema, the cross-field checks and the route compiler alike, and
// given its place in the file by parse.ts.

/** Keys and indexes from the root of the file, as in `['routes', 0, 'match', 'path']`. */
export type ConfigPath = readonly (string | number)[];

export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly path: ConfigPath;
  readonly message: string;
  /** What to do about it, where there is something to say. */
  readonly hint?: string;
  /** Set where the last key of the path is wrong itself; unset, it is the value (or the lack of it). */
  readonly at?: 'key';
}

/** A problem at its place; line and column count from 1. */
export interface LocatedProblem extends Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `gateway.yaml:3:11: error: routes[0].name: missing (what to do)`, one line. */
export function formatProblem(problem: LocatedProblem): string {
  const at = problem.path.length === 0 ? '' : `${formatPath(problem.path)}: `;
  const hint = problem.hint === undefined ? '' : ` (${problem.hint})`;
  const line = `${problem.file}:${problem.line}:${problem.column}: ${problem.severity}: ${at}${problem.message}${hint}`;
  return line.replaceAll(/\p{Cc}+/gu, ' ');
}

/** `routes[0].match.path`; a key that is no plain word is quoted, so that a line break in it stays on the line. */
export function formatPath(path: ConfigPath): string {
  const steps = path.map((step, index) => {
    if (typeof step === 'number') return `[${step}]`;
    const key = /^[\w-]+$/.test(step) ? step : JSON.stringify(step);
    return index === 0 ? key : `.${key}`;
  });
  return steps.join('');
}
