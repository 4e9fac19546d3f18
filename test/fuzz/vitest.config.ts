// How `npm run fuzz` runs: one process with bounded memory, and no coverage measured but the search's own.
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['test/fuzz/long.fuzz.ts'],
    pool: 'forks',
    maxWorkers: 1,
    execArgv: ['--max-old-space-size=512'],
    disableConsoleIntercept: true,
  },
});
