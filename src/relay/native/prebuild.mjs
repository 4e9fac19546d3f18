// Compiles the native relay for machines without a compiler: linux x64 and arm64, glibc and musl, stripped, into prebuilds/. It
// runs before `npm pack`, and fails where one of them can't be built. Debian's gcc-aarch64-linux-gnu and musl-tools are needed,
// and musl-dev of arm64, installed (dpkg --add-architecture arm64) or unpacked where MUSL_ARM64 says.
//   node src/relay/native/prebuild.mjs [target …]
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const muslArm64 = join(process.env.MUSL_ARM64 ?? '/', 'usr/include/aarch64-linux-musl');
const cross = 'aarch64-linux-gnu-gcc';

/** The headers of the compiler itself, which stand apart from those of a libc. */
function ownHeaders() {
  return execFileSync(cross, ['-print-file-name=include'], { encoding: 'utf8' }).trim();
}

/** The C library is the process's own: nothing of it is linked, for it stands in no fixed place. */
const targets = {
  'linux-x64-glibc': () => ({ cc: 'x86_64-linux-gnu-gcc', flags: [] }),
  'linux-arm64-glibc': () => ({ cc: cross, flags: [] }),
  'linux-x64-musl': () => ({ cc: 'musl-gcc', flags: [] }),
  'linux-arm64-musl': () => {
    if (!existsSync(muslArm64)) throw new Error(`there is no ${muslArm64}: see musl-dev of arm64`);
    // Atomics in line: the functions that the compiler would else call stand in a library of its own.
    const alone = ['-nostdinc', '-nostdlib', '-mno-outline-atomics'];
    return { cc: cross, flags: [...alone, '-isystem', muslArm64, '-isystem', ownHeaders()] };
  },
};

const wanted = process.argv.slice(2);
for (const name of wanted.length > 0 ? wanted : Object.keys(targets)) {
  const target = targets[name];
  if (target === undefined) throw new Error(`there is no target ${name}; there are ${Object.keys(targets).join(', ')}`);
  const { cc, flags } = target();
  const output = join(root, 'prebuilds', name, 'upgate-relay.node');
  mkdirSync(dirname(output), { recursive: true });
  const build = join(root, 'src/relay/native/build.mjs');
  const said = execFileSync(process.execPath, [build, '--output', output, '-s', ...flags], {
    encoding: 'utf8',
    env: { ...process.env, CC: cc },
  });
  if (!said.startsWith('native relay: ')) throw new Error(`${name}: ${said}`);
  process.stdout.write(`${name}: ${output}\n`);
}
