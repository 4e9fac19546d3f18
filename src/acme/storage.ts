// The folder of one authority on disk: the account and its key, and the certificates. Only its owner may read it. Each
// file is written under a temporary name and renamed, so that no reader sees half of one. Several gateways may share the folder.
import { createPrivateKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { background } from '../base/guard.ts';
import { systemCode } from '../errors.ts';
import { AcmeError } from './acme-error.ts';
import { AccountKey } from './jws.ts';

/** An account, without its key. */
export interface StoredAccount {
  readonly url: string;
  /** The contact address that the authority has. */
  readonly email: string | null;
}

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

export class AcmeStorage {
  readonly #folder: string;

  /** An absolute path; created at the first write. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The account's key; created if there is none. If several gateways create one at a time, all use the one that was stored first. */
  async accountKey(): Promise<AccountKey> {
    const file = join(this.#folder, 'account.key');
    const kept = await readOrNull(file);
    if (kept !== null) return parseAccountKey(kept, file);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await this.#write(file, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), link);
    return parseAccountKey((await readOrNull(file)) ?? '', file);
  }

  async account(): Promise<StoredAccount | null> {
    const text = await readOrNull(this.#accountFile);
    if (text === null) return null;
    try {
      const { url, email } = JSON.parse(text) as { url?: unknown; email?: unknown };
      if (typeof url === 'string') return { url, email: typeof email === 'string' ? email : null };
    } catch {
      // The account is found again by its key.
    }
    return null;
  }

  async keepAccount(account: StoredAccount): Promise<void> {
    await this.#write(this.#accountFile, `${JSON.stringify(account)}\n`, rename);
  }

  /** Replaces the file of a certificate. */
  async keepCertificate(file: string, pem: string): Promise<void> {
    await this.#write(file, pem, rename);
  }

  /** Stores the answer to a challenge for other gateways; resolves with what removes it. */
  async keepChallenge(token: string, keyAuthorization: string): Promise<() => void> {
    const file = join(this.challengeFolder, token);
    await this.#write(file, keyAuthorization, rename);
    return () => background('config', rm(file, { force: true }));
  }

  get challengeFolder(): string {
    return join(this.#folder, 'challenges');
  }

  get #accountFile(): string {
    return join(this.#folder, 'account.json');
  }

  /** Writes under a temporary name, then puts the file in place: `rename` replaces a file, `link` only creates one. */
  async #write(file: string, text: string, put: (from: string, to: string) => Promise<void>): Promise<void> {
    const aside = join(dirname(file), `.${randomUUID()}.new`);
    try {
      await mkdir(dirname(file), { recursive: true, mode: DIRECTORY_MODE });
      await writeWhole(aside, text);
      await put(aside, file).catch((error: unknown) => {
        if (put !== link || systemCode(error) !== 'EEXIST') throw error;
      });
    } catch (error) {
      throw new AcmeError('storage', `cannot write ${file}: ${reasonOf(error)}`);
    } finally {
      await rm(aside, { force: true });
    }
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', FILE_MODE);
  try {
    await handle.writeFile(text);
    // A file that is renamed before it is on the disk could be empty after a power cut.
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Null: there is no such file. */
export async function readOrNull(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw new AcmeError('storage', `cannot read ${file}: ${reasonOf(error)}`);
  }
}

function parseAccountKey(pem: string, file: string): AccountKey {
  try {
    return new AccountKey(createPrivateKey(pem));
  } catch {
    throw new AcmeError('storage', `${file} holds no private key of EC P-256; move it away, and a new one is made`);
  }
}

const reasonOf = (error: unknown): string =>
  systemCode(error) ?? (error instanceof Error ? error.message : String(error));
