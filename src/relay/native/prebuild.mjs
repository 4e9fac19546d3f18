// Compiles the native relay for machines without a compiler: linux x64 and arm64, glibc and musl, stripped, into prebuilds/. It
// runs before `npm pack`, which leaves out a target whose compiler is not installed. Named targets, `all` and `npm publish` fail
// there. Debian's gcc-aarch64-linux-gnu and musl-tools are needed, and musl-dev of arm64, installed
// (dpkg --add-architecture arm64) or unpacked at MUSL_ARM64.
//   node src/relay/native/prebuild.mjs [all | target …]
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const muslArm64 = join(process.env.MUSL_ARM64 ?? '/', 'usr/include/aarch64-linux-musl');
const cross = 'aarch64-linux-gnu-gcc';

/** The compiler of a target, or what it needs, is not installed. */
class Missing extends Error {}

/** The headers of the compiler itself, which stand apart from those of a libc. */
function ownHeaders() {
  if (spawnSync(cross, ['--version']).error !== undefined) throw new Missing(`${cross} is not installed`);
  return execFileSync(cross, ['-print-file-name=include'], { encoding: 'utf8' }).trim();
}

/** The C library is the process's own: nothing of it is linked, for it stands in no fixed place. */
const targets = {
  'linux-x64-glibc': () => ({ cc: 'x86_64-linux-gnu-gcc', flags: [] }),
  'linux-arm64-glibc': () => ({ cc: cross, flags: [] }),
  'linux-x64-musl': () => ({ cc: 'musl-gcc', flags: [] }),
  'linux-arm64-musl': () => {
    if (!existsSync(muslArm64)) throw new Missing(`${muslArm64} is not there: install musl-dev of arm64`);
    // Atomics in line: the functions that the compiler would else call stand in a library of its own.
    const alone = ['-nostdinc', '-nostdlib', '-mno-outline-atomics'];
    return { cc: cross, flags: [...alone, '-isystem', muslArm64, '-isystem', ownHeaders()] };
  },
};

function compile(name) {
  const { cc, flags } = targets[name]();
  const output = join(root, 'prebuilds', name, 'upgate-relay.node');
  mkdirSync(dirname(output), { recursive: true });
  const build = join(root, 'src/relay/native/build.mjs');
  const said = execFileSync(process.execPath, [build, '--output', output, '-s', ...flags], {
    encoding: 'utf8',
    env: { ...process.env, CC: cc },
  });
  if (/there is no C compiler|it needs Linux/.test(said)) throw new Missing(`${cc} is not installed`);
  if (!said.startsWith('native relay: ')) throw new Error(`${name}: ${said}`);
  process.stdout.write(`${name}: ${output}\n`);
}

const named = process.argv.slice(2);
const everything = named.length === 0 || named.includes('all');
const required = named.length > 0 || process.env.npm_command === 'publish';
for (const name of everything ? Object.keys(targets) : named) {
  if (targets[name] === undefined)
    throw new Error(`there is no target ${name}; there are ${Object.keys(targets).join(', ')}`);
  try {
    compile(name);
  } catch (error) {
    if (required || !(error instanceof Missing)) throw error;
    // An older build of it must not be packed in its place.
    rmSync(join(root, 'prebuilds', name), { recursive: true, force: true });
    process.stdout.write(`${name}: left out, ${error.message}\n`);
  }
}
