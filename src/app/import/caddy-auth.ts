// Who may come to what a block of a Caddyfile proxies: names and passwords are carried. What stands behind a guard that can't be
// is shut, for without it everybody could come.
import type { CaddyLine } from './caddy-syntax.ts';
import type { Value } from './draft.ts';

const BASIC: ReadonlySet<string> = new Set(['basic_auth', 'basicauth']);

/** Whether a directive asks who a client is. */
export function isGuard({ words: [word = ''] }: CaddyLine): boolean {
  return BASIC.has(word) || word === 'forward_auth';
}

/** The `auth` of a route; undefined: anybody may come; null: it is shut, and a remark says why. */
export function authOf(guards: readonly CaddyLine[], remarks: string[]): Value | undefined | null {
  const [guard, ...others] = guards;
  if (guard === undefined) return undefined;
  const [word = '', ...args] = guard.words;
  const users = (guard.block ?? []).map(({ words }) => words);
  const carried = others.length === 0 && BASIC.has(word) && args.every((each) => each === '*' || each === 'bcrypt');
  if (carried && users.length > 0 && users.every(({ length }) => length === 2))
    return { basic: { users: Object.fromEntries(users.map(([name = '', hash = '']) => [name, hash])) } };
  for (const { words, line } of guards)
    remarks.push(`line ${line}: ${words.join(' ')} is not carried: it is shut until you say who may come`);
  return null;
}
