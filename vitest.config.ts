// How the tests run. Coverage is measured with COVERAGE=1 and in CI; the pure layers must have every branch covered.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { TEST_TIMEOUT_MS } from './test/support/test-timeout.ts';

const measured = process.env['COVERAGE'] === '1' || process.env['CI'] !== undefined;

/**
 * What takes long first, and what is short fills the end: the suites of whole engines before the other files of test/e2e,
 * and unit tests last. Within that vitest's own order: by size, and by the time it took before.
 */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => length(other) - length(one));
  }
}

function length({ project, moduleId }: TestSpecification): number {
  if (project.name !== 'e2e') return 0;
  return /from '.*\.suite\.ts'/.test(readFileSync(moduleId, 'utf8')) ? 2 : 1;
}

/** Of each file a process of its own: it starts real programs, or measures its own processor time. */
const ALONE = ['test/e2e/**/*.test.ts', 'test/unit/linear/**/*.test.ts'];

export default defineConfig({
  test: {
    pool: 'forks',
    // Most tests of whole programs wait for them: with a file for each core, the cores would be idle half the time.
    maxWorkers: availableParallelism() + 2,
    sequence: { sequencer: LongFirst },
    testTimeout: 2 * TEST_TIMEOUT_MS,
    hookTimeout: 2 * TEST_TIMEOUT_MS,
    expect: { poll: { timeout: TEST_TIMEOUT_MS } },
    teardownTimeout: 10_000,
    restoreMocks: true,
    unstubEnvs: true,
    projects: [
      { extends: true, test: { name: 'e2e', include: ALONE } },
      // Functions and classes, which keep nothing: files share their processes, and what they import is loaded once.
      { extends: true, test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ALONE, isolate: false } },
    ],
    coverage: {
      enabled: measured,
      provider: 'v8',
      include: ['src/**/*.ts'],
      // The rim is tested through the built program, which runs in processes that are not measured.
      reporter: ['text-summary', 'json-summary', 'html'],
      reportsDirectory: 'coverage',
      thresholds: {
        'src/http/**/*.ts': { branches: 100 },
        'src/handshake/**/*.ts': { branches: 100 },
        'src/routing/**/*.ts': { branches: 100 },
      },
    },
  },
});
