// Users and the hashes of their passwords: from the config, or from a file with a line `name:hash` for each, as htpasswd
// writes it. Pure.
import { type Bcrypt, type PasswordHash, parseHash } from './password.ts';

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

/** Lines as pairs of name and hash; empty ones and those that begin with `#` are nothing. */
export function readUsers(text: string, bcrypt: Bcrypt | null): { users: Users; faults: UsersFault[] } {
  const users = new Map<string, PasswordHash>();
  const faults: UsersFault[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const message = readUser(line, users, bcrypt);
    if (message !== null) faults.push({ line: index + 1, message });
  }
  return { users, faults };
}

function readUser(line: string, users: Map<string, PasswordHash>, bcrypt: Bcrypt | null): string | null {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0));
  if (!isUserName(name)) return 'there is no name before the first colon';
  if (users.has(name)) return `${name} is there twice`;
  const hash = parseHash(line.slice(colon + 1), bcrypt);
  // What stands there may be a password in clear: it is never repeated.
  if (typeof hash === 'string') return `what stands behind ${name} ${hash}`;
  users.set(name, hash);
  return null;
}
