// `auth.basic`: a name and a password (RFC 7617) against hashes. A hash is expensive to check, and meant to be. Right
// passwords are cached for a while, so that a page with a hundred requests costs one check.
import { createHmac, randomBytes } from 'node:crypto';
import { type Rejection, reject } from '../handshake/rejection.ts';
import { addressKey } from '../http/address-key.ts';
import { valuesOf } from '../http/fields.ts';
import type { Authenticator, AuthRequest, AuthResult, Principal } from './authenticator.ts';
import { FairSemaphore } from './fair-semaphore.ts';
import type { PasswordHash } from './password.ts';
import type { Users } from './users.ts';

export interface BasicOptions {
  readonly realm: string;
  readonly users: Users;
  /** For checks of all routes; see PASSWORD_CHECKS. */
  readonly checks?: FairSemaphore;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** How many passwords are checked, and queued: guesses can't pile up, and delay the address that makes them. */
export const PASSWORD_CHECKS = {
  /** Of the thread pool's four threads, files and names need the others. */
  permits: 2,
  /** Of one address; of IPv6, of its first 64 bits. */
  maxQueue: 64,
  maxWaiting: 1024,
} as const;
const REMEMBERED_MS = 60_000;
const MAX_REMEMBERED = 1000;
/** Base64 of the longest name and password taken. */
const LONGEST = 4096;

/** Passwords that were right, by a keyed digest of them: a dump of the memory reveals none. */
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
    if (this.#until.size > MAX_REMEMBERED && oldest !== undefined) this.#until.delete(oldest);
  }
}

/** Name and password as a client sent them. */
interface BasicCredentials {
  readonly name: string;
  readonly password: string;
}

/** Checks name and password (RFC 7617) against the hashes of a users file. */
export function createBasic(options: BasicOptions): Authenticator {
  const { realm, users, checks = new FairSemaphore(PASSWORD_CHECKS), now = () => performance.now() } = options;
  const challenge = ['WWW-Authenticate', `Basic realm="${realm.replace(/[\\"]/g, '\\$&')}", charset="UTF-8"`];
  const remembered = new Remembered(now);
  const refuse = (detail: string): Rejection => reject('auth', detail, challenge);
  // An unknown name is checked like a known one: the time must not reveal which names exist.
  const [stranger] = users.values();

  /** The result that is known without a check; null: none is. */
  const recall = ({ name, password }: BasicCredentials): Principal | null => {
    const known = users.get(name);
    return known !== undefined && remembered.has(remembered.digest(known, password)) ? principalOf(name) : null;
  };

  async function check(credentials: BasicCredentials, { client, clientClosed }: AuthRequest): Promise<AuthResult> {
    const release = await checks.acquire(addressKey(client.address), clientClosed.signal());
    if (release === null) return reject('limit', 'too many passwords are being checked');
    try {
      // An earlier request in the queue may have sent the same: a page makes many requests at once.
      const recalled = recall(credentials);
      if (recalled !== null) return recalled;
      const known = users.get(credentials.name);
      const hash = known ?? stranger;
      const right = hash !== undefined && (await hash.matches(credentials.password)) && known !== undefined;
      if (!right) return refuse('the name or the password is wrong');
      remembered.add(remembered.digest(known, credentials.password));
      return principalOf(credentials.name);
    } finally {
      release();
    }
  }

  return {
    authenticate(asking) {
      const credentials = readCredentials(valuesOf(asking.request.head, 'authorization'));
      return typeof credentials === 'string'
        ? refuse(credentials)
        : (recall(credentials) ?? check(credentials, asking));
    },
  } satisfies Authenticator;
}

function principalOf(name: string): Principal {
  return { subject: name, claims: { sub: name }, expiresAt: null, fields: [] };
}

const CREDENTIALS = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 7617 §2 allows none in either
const CONTROL = /[\x00-\x1f\x7f]/;

/** RFC 7617 §2, in UTF-8, which the challenge requests (§2.1); a string is the reason why there is no name and password. */
function readCredentials(values: readonly string[]): BasicCredentials | string {
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
