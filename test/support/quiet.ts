// Observing that nothing moves any more, for what must stop by itself. Not for waiting until something has happened.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

/** Gives the number once it has stood still for a while. */
export async function settled(read: () => number, quietMs = 300): Promise<number> {
  let last = read();
  for (;;) {
    await sleep(quietMs);
    const now = read();
    if (now === last) return now;
    last = now;
  }
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
