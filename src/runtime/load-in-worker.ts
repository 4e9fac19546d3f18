// Loads a config file in a thread of its own: a file of tens of thousands of routes takes seconds to parse and check,
// in which the event loop must go on. Plain values are passed between the threads; their positions in the file stay in
// the worker.
import { Worker } from 'node:worker_threads';
import type { Loaded } from '../config/load.ts';
import type { LocatedProblem } from '../config/problem.ts';
import type { Env } from '../config/yaml/env.ts';
import type { Loading } from './prepare.ts';

/** What the thread is started with. */
export interface LoadOrder {
  readonly file: string;
  readonly env: Env;
}

/** As loadConfig() does. Rejects where the thread can't be started or fails, out of memory for one. */
export async function loadInWorker(file: string, env: Env): Promise<Loading> {
  const order: LoadOrder = { file, env: { ...env } };
  const worker = new Worker(new URL('./load-worker.js', import.meta.url), { workerData: order });
  const failed = failureOf(worker);
  const answer = <T>() => Promise.race([failed, new Promise<T>((resolve) => worker.once('message', resolve))]);
  const found = await answer<Omit<Loaded, 'locate'>>();
  return {
    ...found,
    locate: (problems) => {
      const placed = answer<LocatedProblem[]>();
      worker.postMessage(problems);
      return placed;
    },
    close: () => void worker.terminate(),
  };
}

/** Rejects once the thread can't answer any more, listened to or not. */
function failureOf(worker: Worker): Promise<never> {
  const failed = new Promise<never>((_, reject) => {
    worker.on('error', reject).on('messageerror', reject);
    worker.on('exit', () => reject(new Error('the thread that reads the config has ended')));
  });
  failed.catch(() => {});
  return failed;
}
