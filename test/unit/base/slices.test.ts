// Long work in steps: all of them are run, and the event loop goes round in between.
import { expect, it } from 'vitest';
import { runAtOnce, runInSlices } from '../../../src/base/slices.ts';

/** Steps that take as long as they are said to, by the processor. */
function* busySteps(count: number, stepMs: number): Generator<void, string> {
  for (let i = 0; i < count; i++) {
    const until = performance.now() + stepMs;
    while (performance.now() < until);
    yield;
  }
  return `${count} steps`;
}

it('gives what the steps return', async () => {
  expect(runAtOnce(busySteps(3, 0))).toBe('3 steps');
  expect(await runInSlices(busySteps(3, 0))).toBe('3 steps');
  expect(await runInSlices(busySteps(0, 0))).toBe('0 steps');
});

it('lets the event loop go round while it runs', async () => {
  let turns = 0;
  let over = false;
  const turn = (): void => {
    if (over) return;
    turns++;
    setImmediate(turn);
  };
  setImmediate(turn);
  await runInSlices(busySteps(20, 6));
  over = true;
  expect(turns).toBeGreaterThanOrEqual(19);
});

it('rejects with what a step throws', async () => {
  function* broken(): Generator<void, never> {
    yield;
    throw new Error('broken step');
  }
  await expect(runInSlices(broken())).rejects.toThrow('broken step');
});
