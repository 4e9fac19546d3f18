// Getting rid of a request's body that nobody wants any more. Closing a connection with unread input sends a RST, and a
// RST takes an answer away that the client has not read yet (RFC 9112 §9.6).
import type { IncomingMessage } from 'node:http';
import { background } from '../base/guard.ts';

const LONGEST_MS = 2000;
const MAX_BYTES = 64 * 1024 * 1024;

/** Reads and drops the rest of a request's body; calls `then` at its end, or when it has taken too long or too much. */
export function afterDiscard(req: IncomingMessage, then: () => void): void {
  background('request', discardBody(req).then(then));
}

function discardBody(req: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    if (req.readableEnded || req.destroyed) return resolve();
    let left = MAX_BYTES;
    const onData = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left < 0) done();
    };
    const done = (): void => {
      clearTimeout(timer);
      req.off('data', onData).off('end', done).off('close', done);
      resolve();
    };
    const timer = setTimeout(done, LONGEST_MS);
    req.on('data', onData).on('end', done).on('close', done);
    req.resume();
  });
}
