// `npm run build`: makes dist, the program and the packages that it can't do without in a few files, which node loads in half
// the time of a thousand. Optional packages stay outside, since an install may leave them out. Nothing is shortened: a stack
// trace shows our names, and `--enable-source-maps` our files. Types are checked by `npm run typecheck`. npm runs it as `prepare`,
// too, so that `npx upgate` works behind `npm ci`; an install with `--omit=dev` has nothing to build with, and lets dist be.
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const { rolldown } = await import('rolldown').catch((error) => {
  if (process.env.npm_lifecycle_event === 'prepare' && error.code === 'ERR_MODULE_NOT_FOUND') process.exit(0);
  throw error;
});
const begun = performance.now();
const root = dirname(fileURLToPath(import.meta.url));
const { optionalDependencies } = manifestOf(root);

const bundled = await rolldown({
  input: { main: 'src/main.ts', 'load-worker': 'src/runtime/load-worker.ts' },
  cwd: root,
  platform: 'node',
  // Of OpenTelemetry the API that users bring is asked for by src/observe/spans.ts alone; a package that needs it has it in the bundle.
  external: (id, importer) =>
    id in optionalDependencies || (id === '@opentelemetry/api' && importer?.endsWith('src/observe/spans.ts') === true),
  plugins: [licenses()],
});
await bundled.write({
  dir: join(root, 'dist'),
  cleanDir: true,
  sourcemap: true,
  entryFileNames: '[name].js',
  chunkFileNames: '[name].js',
});
await bundled.close();
// Where src/admin/console.ts finds it from here.
cpSync(join(root, 'src/admin/page'), join(root, 'dist/page'), { recursive: true });
// npm does it at an install only.
chmodSync(join(root, 'dist/main.js'), 0o755);
process.stderr.write(`dist/ is built (${((performance.now() - begun) / 1000).toFixed(1)} s)\n`);

/** Writes the licenses of the packages that are in the bundle beside it, as they ask for. */
function licenses() {
  return {
    name: 'licenses',
    generateBundle(_options, bundle) {
      const modules = Object.values(bundle).flatMap(({ moduleIds = [] }) => moduleIds);
      const packages = new Set(modules.filter((id) => id.includes('node_modules')).map(packageOf));
      const texts = [...packages].sort().map(licenseOf);
      this.emitFile({ type: 'asset', fileName: 'licenses.txt', source: texts.join('\n\n') });
    },
  };
}

function packageOf(file) {
  let folder = dirname(file);
  // Some have one without a name within, which only says how modules are to be read.
  while (!existsSync(join(folder, 'package.json')) || !manifestOf(folder).version) folder = dirname(folder);
  return folder;
}

function licenseOf(folder) {
  const { name, version, license } = manifestOf(folder);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
  return `# ${name} ${version} (${license})\n\n${text}`;
}

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}
