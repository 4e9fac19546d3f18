// Keys of session tickets from files.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { ConfigPath, Problem } from '../../config/problem.ts';
import { parseTicketKeys, type TicketKey } from '../../net/ticket-keys.ts';
import { fail, TlsConfigError, whyUnreadable } from './pem.ts';

/** So that the search for a ticket's key stays short. */
const MOST = 16;

/** All keys of these files in their order, or everything that is wrong; null where no file is named. */
export async function loadTicketKeys(
  files: readonly string[] | undefined,
  baseDir: string,
): Promise<readonly TicketKey[] | null> {
  if (files === undefined) return null;
  const path = ['ticket_key_file'];
  const read = await Promise.allSettled(files.map((file) => readKeys(resolve(baseDir, file), path)));
  const problems: Problem[] = [];
  const keys: TicketKey[] = [];
  for (const result of read) {
    if (result.status === 'fulfilled') keys.push(...result.value);
    else if (result.reason instanceof TlsConfigError) problems.push(...result.reason.problems);
    else throw result.reason;
  }
  if (problems.length > 0) throw new TlsConfigError(problems);
  if (keys.length > MOST) throw fail(path, `more than ${MOST} keys`, 'sessions live for a day at most');
  return keys;
}

async function readKeys(file: string, path: ConfigPath): Promise<readonly TicketKey[]> {
  let content: Buffer;
  try {
    content = await readFile(file);
  } catch (error) {
    throw fail(path, `cannot read ${file}: ${whyUnreadable(error)}`);
  }
  const keys = parseTicketKeys(content);
  if (keys !== null) return keys;
  const message = `${file} holds no ticket keys: 48 or 80 octets, or lines of so many in base64`;
  throw fail(path, message, `openssl rand -base64 48 > ${file}`);
}
