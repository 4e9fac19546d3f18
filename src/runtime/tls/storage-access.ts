// Whether certificates can be kept in a directory that may not be there yet.
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCode } from '../../errors.ts';

/** Why nothing can be written there, in a few words; null: it can, or what is there already lets it be made. */
export async function whyUnwritable(directory: string): Promise<string | null> {
  try {
    await access(directory, constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    const parent = dirname(directory);
    if (systemCode(error) === 'ENOENT' && parent !== directory) return whyUnwritable(parent);
    return `${directory}: ${systemCode(error) ?? String(error)}`;
  }
}
