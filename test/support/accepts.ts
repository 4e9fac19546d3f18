// For programs that say nothing when they are ready.
import { setTimeout as wait } from 'node:timers/promises';
import { connectRaw } from './raw.ts';
import { TEST_TIMEOUT_MS } from './test-timeout.ts';

const BETWEEN_MS = 25;

/** Asks for a connection until one is taken; rejects with what came of the last try where the program has ended. */
export async function untilAccepts(port: number, exited: Promise<unknown>): Promise<void> {
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  for (let tries = 0; ; tries++) {
    try {
      (await connectRaw(port)).socket.destroy();
      return;
    } catch (error) {
      if (ended || tries > TEST_TIMEOUT_MS / BETWEEN_MS) throw error;
      await wait(BETWEEN_MS);
    }
  }
}
