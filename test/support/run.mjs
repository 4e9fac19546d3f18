// `npm test`: runs vitest, with its own output, and says the sum in one last line, `N passed, N failed`, with
// `, N skipped` where any were. Arguments go to vitest. No test at all, or a vitest that did not get to the end, is a failure.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const directory = mkdtempSync(join(tmpdir(), 'upgate-report-'));
const report = join(directory, 'report.json');
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');

const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));

child.on('exit', (code) => {
  const { passed, failed, skipped } = summarise();
  rmSync(directory, { recursive: true, force: true });
  process.exitCode = code === 0 && failed === 0 && passed > 0 ? 0 : 1;
  // Broken outside the tests (a crash, an unhandled rejection, coverage below its threshold): one failure, so that the
  // line and the exit code never disagree.
  const counted = process.exitCode !== 0 && failed === 0 ? 1 : failed;
  console.log(`${passed} passed, ${counted} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
});

function summarise() {
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
    const states = testResults.flatMap((file) => file.assertionResults.map((test) => test.status));
    const count = (...wanted) => states.filter((state) => wanted.includes(state)).length;
    // A file that could not be loaded has no tests, and is a failure of its own.
    const broken = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
    const failed = count('failed') + broken;
    return { passed: count('passed'), failed, skipped: count('skipped', 'pending', 'todo', 'disabled') };
  } catch {
    return { passed: 0, failed: 0, skipped: 0 };
  }
}
