// How the cross-field checks word what they find.
import { type ConfigPath, formatPath, type Problem } from '../problem.ts';
import type { Written } from '../problems/prune.ts';

export type Problems = Iterable<Problem>;

type Extra = Pick<Problem, 'hint' | 'at'>;

/** A problem that makes the config unusable. */
export function error(path: ConfigPath, message: string, extra: Extra = {}): Problem {
  return { severity: 'error', path, message, ...extra };
}

/** A problem beside which the config can be used. */
export function warning(path: ConfigPath, message: string, extra: Extra = {}): Problem {
  return { severity: 'warning', path, message, ...extra };
}

/** What a value is called in the message about another one. */
export function nameOf(path: ConfigPath, written: Written): string {
  return formatPath(written.pathInFile(path));
}

/** The same value twice in a list. */
export function* findDuplicates(values: readonly string[], path: ConfigPath, written: Written): Problems {
  const firsts = new Map<string, number>();
  for (const [index, value] of values.entries()) {
    const first = firsts.get(value);
    if (first === undefined) {
      firsts.set(value, index);
      continue;
    }
    yield error([...path, index], `the same as ${nameOf([...path, first], written)}`, { hint: 'take it out' });
  }
}
