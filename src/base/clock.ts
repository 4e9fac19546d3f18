// Time as something that is handed in, so that what happens in weeks can be tested: the wall clock, and what is to be called
// later by it. For deadlines of connections node's own timers are used.
import { guarded, type Where } from './guard.ts';

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `then` once so many milliseconds are over, unless what is returned is called before. */
  after(ms: number, then: () => void): () => void;
}

/** The longest that node's timers can be set to. */
const LONGEST_MS = 2 ** 31 - 1;

/** The system's. It keeps no process alive; what `then` throws is reported under `where`. */
export function systemClock(where: Where): Clock {
  return {
    now: Date.now,
    after(ms, then) {
      const timer = setTimeout(guarded(where, then), Math.min(ms, LONGEST_MS)).unref();
      return () => clearTimeout(timer);
    },
  };
}

/** Resolves after so many milliseconds; rejects with the signal's reason once it is aborted. */
export function elapsed(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const onAbort = (): void => {
      cancel();
      reject(signal.reason);
    };
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
