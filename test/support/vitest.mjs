// Runs vitest with its own output, and counts its tests.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');

/**
 * One run; resolves with its counts. What breaks outside the tests (a crash, an unhandled rejection, coverage below its
 * threshold) is one failure, so that the counts and vitest's exit code never disagree. A signal to us is passed on.
 */
export async function runVitest(args, env = process.env) {
  const directory = mkdtempSync(join(tmpdir(), 'upgate-report-'));
  const report = join(directory, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...args], { stdio: 'inherit', env });
  const pass = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, pass);
  const code = await new Promise((resolve) => child.on('exit', resolve));
  for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, pass);
  const counts = countsOf(report);
  rmSync(directory, { recursive: true, force: true });
  return code === 0 || counts.failed > 0 ? counts : { ...counts, failed: 1 };
}

/** The sum of some runs. */
export function sumOf(runs) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const run of runs) for (const key of Object.keys(sum)) sum[key] += run[key];
  return sum;
}

/** As the last line of output has it; no test at all is a failure. Sets the exit code. */
export function conclude({ passed, failed, skipped }) {
  const counted = passed === 0 && failed === 0 ? 1 : failed;
  process.exitCode = counted === 0 ? 0 : 1;
  console.log(`${passed} passed, ${counted} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}

function countsOf(report) {
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
    const states = testResults.flatMap((file) => file.assertionResults.map((test) => test.status));
    const count = (...wanted) => states.filter((state) => wanted.includes(state)).length;
    // A file that could not be loaded has no tests, and is a failure of its own.
    const broken = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
    return {
      passed: count('passed'),
      failed: count('failed') + broken,
      skipped: count('skipped', 'pending', 'todo', 'disabled'),
    };
  } catch {
    // It did not get to the end.
    return { passed: 0, failed: 1, skipped: 0 };
  }
}
