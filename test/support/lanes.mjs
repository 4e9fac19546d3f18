// Runs the steps of several lanes, `--lane NAME STEP…` for each: the lanes side by side, the steps of one lane one after
// another, each a command for the shell. The first lane's output is shown as it comes, that of the others whole once they
// have ended. A step that fails ends nothing. At the end stand a line for each step with its seconds, and in the last line the
// sum of all steps' `N passed, N failed`; a failed step that counted no failed test is one failure.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { conclude, sumOf } from './vitest.mjs';

const SUM = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/;

const lanes = [];
const args = process.argv.slice(2);
while (args.length > 0) {
  const word = args.shift();
  if (word === '--lane') lanes.push({ name: args.shift(), steps: [], lines: [] });
  else lanes.at(-1)?.steps.push(word);
}
if (lanes.length === 0 || lanes.some(({ steps }) => steps.length === 0)) {
  console.error('usage: lanes.mjs --lane NAME STEP…');
  process.exit(2);
}

/** The shells that run, each with a process group of its own: all of it ends with us. */
const running = new Set();
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.on(signal, () => {
    for (const { pid } of running) process.kill(-pid, 'SIGTERM');
    process.exit(code);
  });
}

const [first, ...others] = lanes;
const ended = others.map((lane) => runLane(lane, () => {}));
const results = [await runLane(first, console.log)];
for (const [index, lane] of others.entries()) {
  const result = await ended[index];
  for (const line of [`== lane ${lane.name}`, ...lane.lines]) console.log(line);
  results.push(result);
}
console.log('');
for (const { line } of results.flat()) console.log(line);
conclude(sumOf(results.flat().map(({ counts }) => counts)));

async function runLane(lane, show) {
  const hear = (line) => {
    lane.lines.push(line);
    show(line);
  };
  const results = [];
  for (const command of lane.steps) results.push(await runStep(lane.name, command, hear));
  return results;
}

async function runStep(lane, command, hear) {
  hear(`== ${command}`);
  const began = Date.now();
  const child = spawn('/bin/bash', ['-c', `exec 2>&1; ${command}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  running.add(child);
  const exited = new Promise((resolve) => child.on('exit', (code) => resolve(code ?? -1)));
  const sums = [];
  for await (const line of createInterface({ input: child.stdout })) {
    hear(line);
    const [found, ...figures] = SUM.exec(line) ?? [];
    const [passed, failed, skipped] = figures.map((figure) => Number(figure ?? 0));
    if (found !== undefined) sums.push({ passed, failed, skipped });
  }
  const code = await exited;
  running.delete(child);
  const counts = sumOf(sums);
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  const seconds = Math.round((Date.now() - began) / 1000);
  const good = counts.failed === 0;
  const line = `${good ? 'ok    ' : 'FAILED'} ${`${seconds}`.padStart(4)} s  ${lane}: ${command}`;
  hear(line);
  return { line, counts };
}
