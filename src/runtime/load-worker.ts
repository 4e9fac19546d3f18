// The thread beside load-in-worker.ts: loads one config file, then adds positions to the problems that are found in it
// later, for only this thread has the positions. It ends when no further message can come.
import { parentPort, workerData } from 'node:worker_threads';
import { loadConfig } from '../config/load.ts';
import type { Problem } from '../config/problem.ts';
import type { LoadOrder } from './load-in-worker.ts';

const { file, env } = workerData as LoadOrder;
const { locate, ...found } = await loadConfig(file, env);
parentPort?.once('message', (problems: readonly Problem[]) => parentPort?.postMessage(problems.map(locate)));
parentPort?.postMessage(found);
