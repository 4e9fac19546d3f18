// `auth.basic`: a name and a password (RFC 7617) against hashes. A hash is dear to check, and meant to be; what was right
// is remembered for a while, so that a page with a hundred requests costs one check.
import { createHmac, randomBytes } from 'node:crypto';
import { type Rejection, reject } from '../handshake/rejection.ts';
import { valuesOf } from '../http/fields.ts';
import { Turns } from '../upstream/turns.ts';
import type { Asking, Authenticator, Finding, Principal } from './authenticator.ts';
import type { PasswordHash } from './password.ts';
import type { Users } from './users.ts';

export interface BasicOptions {
  readonly realm: string;
  readonly users: Users;
  /** For checks of all routes; how many run at a time. */
  readonly turns?: Turns;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** Checks that run at a time: of the thread pool's four threads, files and names need the others. */
export const PASSWORDS_AT_A_TIME = 2;
/** Those who wait for one; more are refused, so that guessing can't pile up. */
const LONGEST_LINE = 64;
const REMEMBERED_MS = 60_000;
const MOST_REMEMBERED = 1000;
/** Base64 of the longest name and password taken. */
const LONGEST = 4096;

/** Passwords that were right, by a keyed digest of them: a dump of the memory gives none away. */
class Remembered {
  readonly #key = randomBytes(32);
  readonly #until = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  digest(hash: PasswordHash, password: string): string {
    return createHmac('sha256', this.#key).update(`${hash.text}\0${password}`).digest('base64');
  }

  has(digest: string): boolean {
    const until = this.#until.get(digest);
    if (until === undefined) return false;
    if (until > this.#now()) return true;
    this.#until.delete(digest);
    return false;
  }

  add(digest: string): void {
    this.#until.delete(digest);
    this.#until.set(digest, this.#now() + REMEMBERED_MS);
    const [oldest] = this.#until.keys();
    if (this.#until.size > MOST_REMEMBERED && oldest !== undefined) this.#until.delete(oldest);
  }
}

/** Name and password as a client showed them. */
interface Shown {
  readonly name: string;
  readonly password: string;
}

export function createBasic(options: BasicOptions): Authenticator {
  const { realm, users, turns = new Turns(PASSWORDS_AT_A_TIME), now = () => performance.now() } = options;
  const challenge = ['WWW-Authenticate', `Basic realm="${realm.replace(/[\\"]/g, '\\$&')}", charset="UTF-8"`];
  const remembered = new Remembered(now);
  const refuse = (detail: string): Rejection => reject('auth', detail, challenge);
  // Somebody nobody knows is checked like everybody else: time must not tell which names there are.
  const [stranger] = users.values();

  async function check({ name, password }: Shown, gone: Asking['gone']): Promise<Finding> {
    if (turns.waiting >= LONGEST_LINE) return reject('limit', 'too many passwords are being checked');
    const known = users.get(name);
    const hash = known ?? stranger;
    const done = await turns.take(gone.signal());
    try {
      const right = hash !== undefined && (await hash.matches(password)) && known !== undefined;
      if (!right) return refuse('the name or the password is wrong');
      remembered.add(remembered.digest(known, password));
      return principalOf(name);
    } finally {
      done();
    }
  }

  return {
    authenticate({ request, gone }) {
      const shown = readShown(valuesOf(request.head, 'authorization'));
      if (typeof shown === 'string') return refuse(shown);
      const known = users.get(shown.name);
      if (known !== undefined && remembered.has(remembered.digest(known, shown.password)))
        return principalOf(shown.name);
      return check(shown, gone);
    },
  } satisfies Authenticator;
}

function principalOf(name: string): Principal {
  return { subject: name, claims: { sub: name }, expiresAt: null, fields: [] };
}

const CREDENTIALS = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 7617 §2 allows none in either
const CONTROL = /[\x00-\x1f\x7f]/;

/** RFC 7617 §2, in UTF-8, which the challenge asks for (§2.1); a string says why there is no name and password. */
function readShown(values: readonly string[]): Shown | string {
  const [value] = values;
  if (value === undefined) return 'credentials are missing';
  if (values.length > 1) return 'Authorization is there more than once';
  const encoded = CREDENTIALS.exec(value)?.[1];
  if (encoded === undefined || encoded.length > LONGEST) return 'Authorization is not Basic as RFC 7617 has it';
  const text = decode(Buffer.from(encoded, 'base64'));
  const colon = text?.indexOf(':') ?? -1;
  if (text === null || colon < 0 || CONTROL.test(text)) return 'Authorization is not Basic as RFC 7617 has it';
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

function decode(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
