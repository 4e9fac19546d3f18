// Where the certificates of an authority (ACME, RFC 8555) are kept: the same for who orders them and who serves them. Pure.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { AcmeConfig } from './schema/schema-acme.ts';

/** What no name of a file should have; a slash above all. */
const UNSAFE = /[^a-z0-9.-]+/g;
const LONGEST = 100;

/** The folder of an authority: its account, and its certificates. Relative where the storage is. */
export function authorityFolder({ storage, directory }: Pick<AcmeConfig, 'storage' | 'directory'>): string {
  const { host, pathname } = new URL(directory);
  return join(storage, safe(`${host}${pathname}`));
}

/** The file of the key and the chain for these names, which are one certificate's in any order. */
export function certificateFile(config: Pick<AcmeConfig, 'storage' | 'directory' | 'domains'>): string {
  const domains = config.domains.toSorted();
  const [first = ''] = config.domains;
  const all = createHash('sha256').update(domains.join(' ')).digest('hex').slice(0, 8);
  return join(authorityFolder(config), `${safe(first)}${domains.length > 1 ? `-${all}` : ''}.pem`);
}

function safe(text: string): string {
  return text
    .toLowerCase()
    .slice(0, LONGEST)
    .replace(UNSAFE, '-')
    .replace(/^[.-]+|[.-]+$/g, '');
}
