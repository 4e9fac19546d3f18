// A real redis-server on a port of its own, with an append-only file, so that a killed one can be started again with what it
// had. Debian's package `redis-server`.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LineChild, startChild } from './child.ts';
import { closedPort } from './scripted.ts';

/** In memory where that can be, so that no answer waits for a disk to take the append-only file. */
const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export interface Redis {
  readonly url: string;
  /** SIGKILL, and the end of the process. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same data; `fresh` throws the data away. */
  restart(data?: 'kept' | 'fresh'): Promise<void>;
  /** Stops and continues the process, so that connections stand and nobody answers. */
  signal(name: NodeJS.Signals): void;
  stop(): Promise<void>;
}

/** Starts one; with `later` it is started by the first restart(). */
export async function startRedis(when: 'now' | 'later' = 'now'): Promise<Redis> {
  const port = await closedPort();
  let dir = mkdtempSync(join(PLACE, 'upgate-redis-'));
  let child: LineChild | null = null;
  const start = async () => {
    const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--appendonly', 'yes', '--save', ''];
    child = await startChild('redis-server', settings);
    await child.line((line) => (line.includes('Ready to accept connections') ? true : undefined), 'redis to be ready');
  };
  const kill = async () => {
    await child?.stop('SIGKILL');
    child = null;
  };
  if (when === 'now') await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    kill,
    async restart(data = 'kept') {
      await kill();
      if (data === 'fresh') {
        rmSync(dir, { recursive: true, force: true });
        dir = mkdtempSync(join(PLACE, 'upgate-redis-'));
      }
      await start();
    },
    signal: (name) => child?.signal(name),
    async stop() {
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
