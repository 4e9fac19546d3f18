// `upgate import`: the config of another proxy in, the text of a gateway.yaml out.
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { importCaddy } from './caddy.ts';
import { ImportError } from './draft.ts';
import { importNginx } from './nginx.ts';
import { writeDraft } from './write.ts';

const KINDS = { nginx: importNginx, caddy: importCaddy } as const;

/** Bytes of the largest file read. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Whether there is an importer of this name. */
export function isImportKind(kind: string | undefined): kind is keyof typeof KINDS {
  return kind !== undefined && Object.hasOwn(KINDS, kind);
}

/** The text; rejects with an Error whose message is for the operator. */
export async function importFile(kind: keyof typeof KINDS, file: string): Promise<string> {
  try {
    const text = await readFile(file, 'utf8');
    if (text.length > MAX_BYTES) throw new ImportError('it is larger than 4 MiB');
    return writeDraft(KINDS[kind](text, `${basename(file)} of ${kind}`));
  } catch (error) {
    throw new ImportError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
