// Compiles the native relay with `cc` and the headers of node-api-headers; runs as npm's postinstall. It never fails an
// install: without Linux, a compiler or the headers it says so in one line, and the gateway uses the js engine. An install
// leaves one alone that is newer than its sources.
//   node src/relay/native/build.mjs [--output FILE] [compiler flags]       CC names another compiler
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = join(dirname(fileURLToPath(import.meta.url)), 'c');
const names = [
  'addon',
  'addon-tls',
  'worker',
  'tunnel',
  'ping',
  'ending',
  'conn',
  'tls',
  'tls-context',
  'client-hello',
  'openssl',
  'pipe',
  'timer-wheel',
  'cursor',
  'dial',
  'listener',
  'fd-passing',
  'addon-fd-passing',
];
const sources = names.map((name) => `${name}.c`);
const flags = [
  '-std=c11',
  '-O2',
  '-g',
  '-fPIC',
  '-shared',
  '-fvisibility=hidden',
  '-pthread',
  '-Wall',
  '-Wextra',
  '-Werror=implicit-function-declaration',
];
const extra = process.argv.slice(2);
const chosen = extra[0] === '--output' ? extra.splice(0, 2)[1] : undefined;
const output = chosen ?? join(here, '..', '..', '..', '..', 'native', 'upgate-relay.node');

function build() {
  if (process.platform !== 'linux') return 'it needs Linux';
  if (!existsSync(join(here, sources[0]))) return 'its sources are not here';
  let headers;
  try {
    headers = createRequire(import.meta.url)('node-api-headers').include_dir;
  } catch {
    return 'node-api-headers is not installed';
  }
  // Written beside its place and then moved there: a process that has the old one loaded keeps it.
  const fresh = `${output}.${process.pid}`;
  const args = [...flags, ...extra, '-isystem', headers, '-o', fresh];
  try {
    mkdirSync(dirname(output), { recursive: true });
    execFileSync(process.env.CC ?? 'cc', [...args, ...sources.map((name) => join(here, name))], {
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    renameSync(fresh, output);
    return null;
  } catch (error) {
    rmSync(fresh, { force: true });
    if (error.code === 'ENOENT') return 'there is no C compiler (cc)';
    return `the compiler failed: ${String(error.stderr ?? error.message)
      .trim()
      .split('\n')
      .slice(0, 5)
      .join('\n')}`;
  }
}

/** What a package brings for this machine; native/addon.ts looks in the same places. */
function prebuilt() {
  const { glibcVersionRuntime } = process.report.getReport().header;
  const target = `linux-${process.arch}-${glibcVersionRuntime === undefined ? 'musl' : 'glibc'}`;
  return join(here, '..', '..', '..', '..', 'prebuilds', target, 'upgate-relay.node');
}

function isCurrent() {
  if (!existsSync(output) || !existsSync(here)) return false;
  const { mtimeMs } = statSync(output);
  const read = [fileURLToPath(import.meta.url), here, ...readdirSync(here).map((name) => join(here, name))];
  return read.every((path) => statSync(path).mtimeMs < mtimeMs);
}

const why = process.env.npm_lifecycle_event === 'postinstall' && isCurrent() ? null : build();
if (why === null) process.stdout.write(`native relay: ${output}\n`);
else if (chosen === undefined && process.platform === 'linux' && existsSync(prebuilt()))
  process.stdout.write(`native relay: ${prebuilt()} (not compiled here: ${why})\n`);
else process.stdout.write(`native relay not built, the js engine serves: ${why}\n`);
