// Looks at a search from a thread of its own: an input that never comes back is written down, and the process ended, since
// nothing else can be done to a loop.
import { Worker } from 'node:worker_threads';
import { corpusOf } from './target.ts';

export interface Watch {
  begin(input: Buffer): void;
  end(): void;
  close(): void;
}

const LONGEST = 1 << 20;
const HUNG_MS = 60_000;

/** Its words: [0] counts inputs, [1] is the length of the one being tried, 0 for none. */
const LOOK = `
const { workerData } = require('node:worker_threads');
const { writeFileSync } = require('node:fs');
const words = new Int32Array(workerData.shared, 0, 2);
let last = -1;
setInterval(() => {
  const count = Atomics.load(words, 0);
  const length = Atomics.load(words, 1);
  if (count !== last || length === 0) { last = count; return; }
  writeFileSync(workerData.file, Buffer.from(workerData.shared, 8, length - 1));
  process.stderr.write('an input never came back; kept as ' + workerData.file + '\\n');
  process.kill(process.pid, 'SIGKILL');
}, workerData.everyMs);
`;

export function openWatch(name: string): Watch {
  const shared = new SharedArrayBuffer(8 + LONGEST);
  const words = new Int32Array(shared, 0, 2);
  const bytes = new Uint8Array(shared, 8);
  const workerData = { shared, file: `${corpusOf(name)}/find-hung`, everyMs: HUNG_MS };
  const worker = new Worker(LOOK, { eval: true, workerData });
  worker.unref();
  return {
    begin(input) {
      bytes.set(input.subarray(0, LONGEST));
      Atomics.add(words, 0, 1);
      Atomics.store(words, 1, Math.min(input.length, LONGEST) + 1);
    },
    end: () => void Atomics.store(words, 1, 0),
    close: () => void worker.terminate(),
  };
}
