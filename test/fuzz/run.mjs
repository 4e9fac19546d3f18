// `npm run fuzz -- [target…] [--seconds N] [--seed N] [--keep]`: searches for inputs that break a promise, guided by
// coverage. A find is written to test/fixtures/corpus/<target> and ends the run. `--keep` writes what led on there, too.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const config = fileURLToPath(new URL('vitest.config.ts', import.meta.url));
const env = {
  ...process.env,
  FUZZ_TARGETS: positionals.join(','),
  FUZZ_SECONDS: values.seconds,
  ...(values.seed === undefined ? {} : { FUZZ_SEED: values.seed }),
  ...(values.keep ? { FUZZ_KEEP: '1' } : {}),
};
const child = spawn(process.execPath, [vitest, 'run', '--config', config], { stdio: 'inherit', env });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
