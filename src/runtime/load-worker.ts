// The thread beside load-in-worker.ts: loads one config file, then gives the problems that are found in it later their
// places, for where everything stands is known here only. It ends when it has nothing more to hear.
import { parentPort, workerData } from 'node:worker_threads';
import { loadConfig } from '../config/load.ts';
import type { Problem } from '../config/problem.ts';
import type { LoadOrder } from './load-in-worker.ts';

const { file, env } = workerData as LoadOrder;
const { locate, ...found } = await loadConfig(file, env);
parentPort?.once('message', (problems: readonly Problem[]) => parentPort?.postMessage(problems.map(locate)));
parentPort?.postMessage(found);
