// The config from its file, with the certificates it names held against their keys. The only file here that touches the
// disk. It checks certificates and hands none on: runtime/tls.ts reads them anew when it builds its contexts.
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { systemCode } from '../errors.ts';
import type { Env } from './env.ts';
import { type Parsed, parseConfig } from './parse.ts';
import type { ConfigPath, Problem } from './problem.ts';
import type { Config } from './schema.ts';

export interface Loaded extends Parsed {
  /** What relative paths of the config are relative to: the directory of its file. */
  readonly baseDir: string;
  /**
   * SHA-256, in hex, of the text, of the values it takes from the environment, and of the certificates and keys: the same
   * as before means that there is nothing to reload. Empty where the file cannot be read.
   */
  readonly hash: string;
}

/** Reads, parses and checks the file. What is wrong is in `problems`; rejects for a defect of the gateway only. */
export async function loadConfig(file: string, env: Env): Promise<Loaded> {
  const baseDir = dirname(resolve(file));
  const text = await readText(file);
  if (text instanceof Unreadable) {
    const place = (problem: Problem) => ({ ...problem, file, line: 1, column: 1 });
    const problem = place({ severity: 'error', path: [], message: text.message });
    return { config: null, partial: null, problems: [problem], place, baseDir, hash: '' };
  }
  const parsed = parseConfig(text, { file, env });
  const hash = createHash('sha256').update(text).update(JSON.stringify(parsed.config));
  const found: Problem[] = [];
  for (const pair of certificatesOf(parsed.partial)) {
    const read = async (name: string) => await readText(resolve(baseDir, name));
    const [cert, key] = [await read(pair.cert), await read(pair.key)];
    for (const content of [cert, key]) hash.update('\0').update(content instanceof Unreadable ? '' : content);
    found.push(...checkPair(cert, key, pair.path));
  }
  const placed = found.map(parsed.place);
  const problems = [...parsed.problems, ...placed].toSorted(
    (one, other) => one.line - other.line || one.column - other.column,
  );
  const config = placed.length === 0 ? parsed.config : null;
  return { ...parsed, config, problems, baseDir, hash: hash.digest('hex') };
}

interface Pair {
  readonly path: ConfigPath;
  readonly cert: string;
  readonly key: string;
}

function certificatesOf(config: Config | null): readonly Pair[] {
  return (config?.listeners ?? []).flatMap(({ tls }, listener) =>
    (tls?.certificates ?? []).map((pair, index) => ({
      path: ['listeners', listener, 'tls', 'certificates', index],
      ...pair,
    })),
  );
}

/** A file that cannot be read, as a value: one of several is no reason not to look at the others. */
class Unreadable {
  readonly message: string;

  constructor(error: unknown) {
    const code = systemCode(error) ?? 'unknown reason';
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: 'there is no such file',
      EACCES: 'this user may not read it',
      EISDIR: 'it is a directory',
    };
    this.message = `cannot be read: ${reasons[code] ?? code}`;
  }
}

async function readText(file: string): Promise<string | Unreadable> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    return new Unreadable(error);
  }
}

/** Holds a certificate against its key. No message holds anything of the key. */
function checkPair(cert: string | Unreadable, key: string | Unreadable, path: ConfigPath): readonly Problem[] {
  const leaf = cert instanceof Unreadable ? cert.message : readCertificate(cert);
  const own = key instanceof Unreadable ? key.message : readKey(key);
  const problems: Problem[] = [];
  if (typeof leaf === 'string') problems.push({ severity: 'error', path: [...path, 'cert'], message: leaf });
  if (typeof own === 'string') problems.push({ severity: 'error', path: [...path, 'key'], message: own });
  if (typeof leaf === 'string' || typeof own === 'string' || leaf.checkPrivateKey(own)) return problems;
  const hint = 'the certificate of the server itself comes first in its file, before those that vouch for it';
  return [{ severity: 'error', path: [...path, 'key'], message: 'the key does not fit the certificate', hint }];
}

function readCertificate(pem: string): X509Certificate | string {
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
    const swapped = pem.includes('PRIVATE KEY-----') ? '; it holds a key: are "cert" and "key" swapped?' : '';
    return `holds no certificate in PEM form${swapped}`;
  }
  try {
    return new X509Certificate(pem);
  } catch {
    return 'holds a broken certificate';
  }
}

function readKey(pem: string): ReturnType<typeof createPrivateKey> | string {
  if (!pem.includes('PRIVATE KEY-----')) {
    const swapped = pem.includes('-----BEGIN CERTIFICATE-----') ? '; it holds a certificate' : '';
    return `holds no private key in PEM form${swapped}`;
  }
  if (pem.includes('ENCRYPTED')) return 'holds an encrypted key, which needs a passphrase; store it without one';
  try {
    return createPrivateKey(pem);
  } catch {
    return 'holds a broken private key';
  }
}
