// Hashes of passwords, as they stand in a users file: scrypt in PHC form and bcrypt. A check runs in the thread pool
// and compares in constant time. basic.ts bounds how often a client may try.
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/** A hash that can be checked against. */
export interface PasswordHash {
  /** The hash as it was written: it identifies the hash, and no password can be read from it. */
  readonly text: string;
  /** Whether the password is the one that was hashed. */
  matches(password: string): Promise<boolean>;
}

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

/** `$scrypt$ln=15,r=8,p=1$salt$hash`, in base64 without padding, as the PHC string format has it. */
const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;
/** Of a hash above this a single check would cost more than a gateway can spare. */
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_PARALLEL = 8;

/** `$2y$` is what htpasswd writes for what others call `$2b$`. A cost above 14 takes seconds. */
const BCRYPT = /^\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$/;
/** bcrypt looks at no more; a longer password would match by its first 72 bytes alone. */
const MAX_BCRYPT_BYTES = 72;

/** What a new hash costs: 32 MiB and some tens of milliseconds (RFC 7914 §2). */
const NEW = { logN: 15, r: 8, p: 1, bytes: 32, salt: 16 };

/** A hash of a password by scrypt, with a salt of its own, as a users file takes it. */
export async function hashPassword(password: string): Promise<string> {
  const { logN, r, p, bytes, salt: length } = NEW;
  const salt = randomBytes(length);
  const hash = await derive(password, salt, bytes, { N: 2 ** logN, r, p, maxmem: 2 * 128 * 2 ** logN * r });
  const text = (octets: Buffer): string => octets.toString('base64').replaceAll('=', '');
  return `$scrypt$ln=${logN},r=${r},p=${p}$${text(salt)}$${text(hash)}`;
}

/** Whether a text is a hash of bcrypt, for which the package has to be installed. */
export function isBcrypt(text: string): boolean {
  return BCRYPT.test(text);
}

/** The package `bcrypt`: loaded once a hash needs it. Null where it is not installed. */
export async function loadBcrypt(): Promise<typeof import('bcrypt') | null> {
  try {
    return (await import('bcrypt')).default;
  } catch {
    return null;
  }
}

/** Reads a hash; a string is the error. */
export function parseHash(text: string): PasswordHash | string {
  const found = SCRYPT.exec(text);
  if (found) return scryptHash(text, found);
  if (!isBcrypt(text)) return 'is no hash of scrypt ($scrypt$ln=…) or bcrypt ($2b$, cost 4 to 14)';
  // The package supports `$2a$` and `$2b$`; `$2y$` is the same algorithm.
  const known = text.replace(/^\$2y/, '$2b');
  return {
    text,
    async matches(password) {
      const tooLong = Buffer.byteLength(password) > MAX_BCRYPT_BYTES;
      const bcrypt = await loadBcrypt();
      const same = bcrypt !== null && (await bcrypt.compare(tooLong ? '' : password, known));
      return same && !tooLong;
    },
  };
}

function scryptHash(text: string, found: RegExpExecArray): PasswordHash | string {
  const [logN = 0, r = 0, p = 0] = found.slice(1, 4).map(Number);
  const [salt, hash] = found.slice(4).map((part) => Buffer.from(part, 'base64')) as [Buffer, Buffer];
  const bytes = 128 * 2 ** logN * r;
  if (logN < 10 || r < 1 || p < 1) return 'is a hash of scrypt that is too weak: ln is at least 10, r and p at least 1';
  if (bytes > MAX_BYTES || p > MAX_PARALLEL) return `is a hash of scrypt that takes more than ${MAX_BYTES} bytes`;
  const options = { N: 2 ** logN, r, p, maxmem: bytes + 1024 * 1024 };
  return {
    text,
    matches: async (password) => timingSafeEqual(await derive(password, salt, hash.length, options), hash),
  };
}
