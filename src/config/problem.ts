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
}

/** A problem at its place; line and column count from 1. */
export interface PlacedProblem extends Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `gateway.yaml:3:11: error: routes.0.name: ...; hint`, one line. */
export function formatProblem(problem: PlacedProblem): string {
  const at = problem.path.length === 0 ? '' : `${problem.path.join('.')}: `;
  const hint = problem.hint === undefined ? '' : ` (${problem.hint})`;
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.severity}: ${at}${problem.message}${hint}`;
}
