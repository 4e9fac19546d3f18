// Certificates and keys from their files, each error with its position in the config. They are used by tls.ts and
// backend-tls.ts.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ConfigPath, Problem } from '../../config/problem.ts';
import { systemCode } from '../../errors.ts';

/** Everything wrong with a `tls` block; paths count from that block. */
export class TlsConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map((problem) => `${problem.path.join('.')}: ${problem.message}`).join('\n'));
    this.name = 'TlsConfigError';
    this.problems = problems;
  }
}

/** The text of a file. */
export async function readPem(file: string, path: ConfigPath): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw fail(path, `cannot read ${file}: ${whyUnreadable(error)}`);
  }
}

/** Of a file, from the system's error. */
export function whyUnreadable(error: unknown): string {
  const code = systemCode(error);
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'EISDIR') return 'it is a directory';
  return error instanceof Error ? error.message : String(error);
}

const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Every certificate of a PEM file, at least one. */
export function parseChain(pem: string, file: string, path: ConfigPath): X509Certificate[] {
  const blocks = pem.match(CERTIFICATE_BLOCK);
  if (blocks === null) throw fail(path, `${file} holds no PEM certificate`);
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw fail(path, `certificate ${index + 1} of ${file} cannot be read`);
    }
  });
}

/** The private key of a PEM file. */
export function parseKey(pem: string, file: string, path: ConfigPath): KeyObject {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) throw fail(path, `${file} holds no PEM private key`);
  // `BEGIN ENCRYPTED PRIVATE KEY` of PKCS #8, `Proc-Type: 4,ENCRYPTED` of the older form.
  if (pem.includes('ENCRYPTED')) {
    throw fail(path, `the private key in ${file} is encrypted`, 'decrypt it with `openssl pkey`, and guard the file');
  }
  try {
    return createPrivateKey(pem);
  } catch {
    // The parser's own message has nothing of use, and may quote what is secret.
    throw fail(path, `the private key in ${file} cannot be read`);
  }
}

/** One thing that is wrong. */
export function fail(path: ConfigPath, message: string, hint?: string): TlsConfigError {
  return new TlsConfigError([{ severity: 'error', path, message, ...(hint === undefined ? {} : { hint }) }]);
}
