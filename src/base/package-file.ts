// Files that the package brings beside the program: it is bundled, so that a module can't know where it stands by itself.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * The path of a file by its name from the root of the package, whether this runs from dist or from src. The file need not be
 * there. Throws where no folder above this module is the root of a package.
 */
export function packageFile(name: string): string {
  let folder = new URL('./', import.meta.url);
  while (!existsSync(new URL('package.json', folder))) {
    const parent = new URL('../', folder);
    if (parent.href === folder.href) throw new Error(`no package.json above ${fileURLToPath(import.meta.url)}`);
    folder = parent;
  }
  return fileURLToPath(new URL(name, folder));
}
