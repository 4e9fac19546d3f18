// Users and the hashes of their passwords: from the config, or from a file with a line `name:hash` for each, as htpasswd
// writes it. Pure.
import { type PasswordHash, parseHash } from './password.ts';

/** Hashes by name. */
export type Users = ReadonlyMap<string, PasswordHash>;

/** What is wrong with a users file; lines count from 1. */
export interface UsersFault {
  readonly line: number;
  readonly message: string;
}

/** RFC 7617 §2: a user-id has no colon, and neither it nor a password has control characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const NO_NAME = /[:\x00-\x1f\x7f]/;

/** Whether a text can be the name of a user. */
export function isUserName(text: string): boolean {
  return text !== '' && text.length <= 256 && !NO_NAME.test(text);
}

/** Hashes by name, of a config that was checked. */
export function usersOf(hashes: Readonly<Record<string, string>>): Users {
  const users = new Map<string, PasswordHash>();
  for (const [name, text] of Object.entries(hashes)) {
    const hash = parseHash(text);
    if (typeof hash !== 'string') users.set(name, hash);
  }
  return users;
}

/** What is wrong with a name or its hash; null: nothing. The text may be a password in clear: it is never repeated. */
export function faultOfUser(name: string, text: string): string | null {
  if (!isUserName(name)) return 'there is no name before the first colon';
  const hash = parseHash(text);
  return typeof hash === 'string' ? `what stands behind ${name} ${hash}` : null;
}

/** Lines of a users file, as hashes by name; empty ones and those that begin with `#` are ignored. */
export function readUsers(text: string): { hashes: Readonly<Record<string, string>>; faults: UsersFault[] } {
  const hashes = new Map<string, string>();
  const faults: UsersFault[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const [name, hash] = [line.slice(0, Math.max(colon, 0)), line.slice(colon + 1)];
    const message = hashes.has(name) ? `${name} is there twice` : faultOfUser(name, hash);
    if (message !== null) faults.push({ line: index + 1, message });
    else hashes.set(name, hash);
  }
  return { hashes: Object.fromEntries(hashes), faults };
}
