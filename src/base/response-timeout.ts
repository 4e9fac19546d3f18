// For how long somebody who was asked something has been silent.
import { guarded } from './guard.ts';

/**
 * Tells, once, that nothing came for so many milliseconds, unless what it returns is called before. Where it was this
 * process that was busy or stood still, the other side is not to blame: time counts from when the question is out, which it
 * is with the immediates of this turn, and what has come by the time the timer is late is read before an immediate.
 */
export function startResponseTimeout(ms: number, onTimeout: () => void): () => void {
  let over = false;
  let timer: NodeJS.Timeout | undefined;
  const due = guarded('redis', () => {
    if (!over) onTimeout();
  });
  setImmediate(() => {
    if (!over) timer = setTimeout(() => setImmediate(due), ms);
  });
  return () => {
    over = true;
    clearTimeout(timer);
  };
}
