// Moving a body from one message to another, no faster than it is taken.
import type { IncomingMessage, OutgoingMessage } from 'node:http';

export interface Watcher {
  /** A part was moved, or a full receiver has room again. `full`: the next part has to wait for room. */
  progress(full: boolean): void;
  /** All parts were moved; ending the receiver is the watcher's. */
  end(): void;
}

/** Starts moving; the result stops it and leaves `from` paused. */
export function pump(from: IncomingMessage, to: OutgoingMessage, watcher: Watcher): () => void {
  const onData = (part: Buffer): void => {
    const full = !to.write(part);
    if (full) from.pause();
    watcher.progress(full);
  };
  const onDrain = (): void => {
    from.resume();
    watcher.progress(false);
  };
  const onEnd = (): void => {
    stop();
    watcher.end();
  };
  const stop = (): void => {
    from.off('data', onData).off('end', onEnd);
    to.off('drain', onDrain);
    if (!from.readableEnded) from.pause();
  };
  from.on('end', onEnd).on('data', onData);
  to.on('drain', onDrain);
  return stop;
}
