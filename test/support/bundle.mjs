// One module of src with what it imports as a file that plain node loads, for programs that vitest does not run.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Packages are found from there; of each process one, since several write at once. */
const folder = join(root, 'node_modules/.cache/upgate', `${process.pid}`);
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Bundles modules, named from the root of the repository; gives the URLs of the files, which go with this process. */
export async function bundle(...modules) {
  const input = Object.fromEntries(modules.map((name) => [name.replace(/\.ts$/, ''), join(root, name)]));
  const bundled = await rolldown({ input, cwd: root, platform: 'node', external: /^[^./]/ });
  await bundled.write({ dir: folder });
  await bundled.close();
  return Object.keys(input).map((name) => pathToFileURL(join(folder, `${name}.js`)).href);
}
