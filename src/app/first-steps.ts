// The commands for the first hour: a config to begin with, and hashes of passwords.
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { hashPassword } from '../auth/password.ts';
import { packageFile } from '../base/package-file.ts';
import { systemCode } from '../errors.ts';

/** The config of a command that names none, in its working directory. */
export const DEFAULT_CONFIG = 'gateway.yaml';

/** How one calls this program where it runs: npm runs it where it need not be on the PATH. `env` is the process's environment. */
export function programName(env: NodeJS.ProcessEnv): 'npx upgate' | 'upgate' {
  return env['npm_command'] === undefined ? 'upgate' : 'npx upgate';
}

/** What to do if the default config does not exist; null if it does. */
export function missingConfig(program: string): string | null {
  if (existsSync(DEFAULT_CONFIG)) return null;
  return `there is no ${DEFAULT_CONFIG} here; name a config with -c FILE, or write one with: ${program} init`;
}

/** Characters of a password. */
const MAX_PASSWORD = 1024;

/**
 * Writes the shipped, commented config to a file that is not there yet; the files that its comments name are those of this
 * installation, and the commands name `file`. Returns what is wrong, or null.
 */
export async function init(file: string, program: string): Promise<string | null> {
  const installed = packageFile('gateway.yaml');
  const shipped = await readFile(installed, 'utf8').catch(() => null);
  if (shipped === null) return `cannot read the config of this installation: ${installed}`;
  const text = shipped
    .replace(/(?<=[ =])(?:\.\/)?(?=(?:config|docs)\/)/g, () => packageFile(''))
    .replace(/\bupgate (\w+) -c gateway\.yaml/g, (_command, name) => `${program} ${name} -c ${file}`);
  try {
    await writeFile(file, text, { flag: 'wx' });
    return null;
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    return code === 'EEXIST' ? `${file} exists already; nothing was written` : `${file} can't be written: ${code}`;
  }
}

/** Reads one line and gives its hash as a users file takes it; a terminal does not show what is typed. Null: no password was given. */
export async function hashFrom(input: NodeJS.ReadStream): Promise<string | null> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  if (input.isTTY) process.stderr.write('Password: ');
  const lines = createInterface({ input, output: silent, terminal: input.isTTY });
  let password: string | null = null;
  for await (const line of lines) {
    password = line;
    break;
  }
  lines.close();
  if (input.isTTY) process.stderr.write('\n');
  if (password === null || password === '' || password.length > MAX_PASSWORD) return null;
  return hashPassword(password);
}
