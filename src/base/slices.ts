// Long work between other work of the event loop: a few milliseconds at a time.
import { setImmediate } from 'node:timers/promises';

/** About what a frame of a busy connection takes; it delays no connection noticeably. */
const SLICE_MS = 5;

/** Runs the steps to their end and returns their result; after every few milliseconds the event loop goes round once. */
export async function runInSlices<T>(steps: Iterator<unknown, T>): Promise<T> {
  let until = performance.now() + SLICE_MS;
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() < until) continue;
    await setImmediate();
    until = performance.now() + SLICE_MS;
  }
}

/** Runs the steps to their end at once. */
export function runAtOnce<T>(steps: Iterator<unknown, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
