// A timeout for the response to a request.
import { guarded } from './guard.ts';

/**
 * Calls back once when no response came for so many milliseconds, unless the function that it returns is called before.
 * Where this process was busy or stalled, the peer must not time out for it: time counts from when the request is sent,
 * which it is with the immediates of this turn, and what has come by the time the timer is late is read before an
 * immediate.
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
