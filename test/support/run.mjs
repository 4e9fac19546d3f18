// `npm test`: runs vitest, with its own output, and says the sum in one last line, `N passed, N failed`, with
// `, N skipped` where any were. Arguments go to vitest. No test at all, or a vitest that did not get to the end, is a failure.
import { conclude, runVitest, sumOf } from './vitest.mjs';

const given = process.argv.slice(2);
/** Coverage is that of the unit tests: what the others test runs in processes of its own, which are not measured. */
const unmeasured = given.some((arg) => arg.startsWith('--coverage')) ? [] : ['--coverage.enabled=false'];
/** And of all of them: what a part covers can't meet the thresholds. */
const ofUnits = given.some((arg) => !arg.startsWith('-')) ? unmeasured : [];

const runs = [];
for (const project of [
  ['unit', ...ofUnits],
  ['e2e', ...unmeasured],
]) {
  // A pattern may fit files of one project alone.
  runs.push(await runVitest(['--project', ...project, '--passWithNoTests', ...given]));
}
conclude(sumOf(runs));
