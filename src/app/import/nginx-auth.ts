// Who may come to a location of nginx: names and passwords are carried. A location with a guard that can't be is shut, for without
// it everybody could come.
import type { Value } from './draft.ts';
import type { Directive } from './nginx-syntax.ts';

/** Taken from outside into each location within, as other settings are. */
export const AUTH: readonly string[] = ['auth_basic', 'auth_basic_user_file', 'auth_request', 'auth_jwt', 'satisfy'];
/** Of a location alone. */
export const INTERNAL = 'internal';

/** The `auth` of a route; undefined: anybody may come; null: the location is shut, and a remark says why. */
export function authOf(settings: readonly Directive[], remarks: string[]): Value | undefined | null {
  const of = (wanted: string) => settings.find(({ name, args }) => name === wanted && args[0] !== 'off');
  const guard = of('auth_request') ?? of('auth_jwt') ?? settings.find(({ name }) => name === INTERNAL);
  const [basic, file] = [of('auth_basic'), of('auth_basic_user_file')?.args[0]];
  const left = guard ?? (basic !== undefined && file === undefined ? basic : undefined);
  if (left !== undefined) {
    const { name, args, line } = left;
    remarks.push(`line ${line}: ${[name, ...args].join(' ')} is not carried: it is shut until you say who may come`);
    return null;
  }
  if (basic === undefined || file === undefined) return undefined;
  remarks.push('of the hashes in users_file bcrypt and scrypt are read (htpasswd -B)');
  const [realm = ''] = basic.args;
  return {
    basic: { realm: /^[\x20-\x7e]+$/.test(realm) && !realm.includes('$') ? realm : undefined, users_file: file },
  };
}
