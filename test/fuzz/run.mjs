// `npm run fuzz -- [target…] [--seconds N] [--seed N] [--keep]`: searches for inputs that break a promise, guided by
// coverage. A find is written to test/fixtures/corpus/<target> and ends the run. `--keep` writes what led on there, too.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { conclude, runVitest } from '../support/vitest.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const config = fileURLToPath(new URL('vitest.config.ts', import.meta.url));
const env = {
  ...process.env,
  FUZZ_TARGETS: positionals.join(','),
  FUZZ_SECONDS: values.seconds,
  ...(values.seed === undefined ? {} : { FUZZ_SEED: values.seed }),
  ...(values.keep ? { FUZZ_KEEP: '1' } : {}),
};
conclude(await runVitest(['--config', config], env));
