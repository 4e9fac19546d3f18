// How the tests run. Coverage is measured with COVERAGE=1 and in CI; the pure layers must have every branch covered.
import { defineConfig } from 'vitest/config';
import { TEST_TIMEOUT_MS } from './test/support/test-timeout.ts';

const measured = process.env['COVERAGE'] === '1' || process.env['CI'] !== undefined;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Files run in processes of their own, two at a time: most start real programs, and small machines have two cores.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 2 * TEST_TIMEOUT_MS,
    hookTimeout: 2 * TEST_TIMEOUT_MS,
    expect: { poll: { timeout: TEST_TIMEOUT_MS } },
    teardownTimeout: 10_000,
    restoreMocks: true,
    unstubEnvs: true,
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
