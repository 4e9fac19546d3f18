// Moving a request's body to the server, no faster than it is taken.
import type { IncomingMessage } from 'node:http';

export interface Sink {
  /** Takes a part; false: the next one has to wait until `resume` says that there is room. */
  write(part: Buffer): boolean;
  /** All parts were moved. */
  end(): void;
}

export interface Pump {
  /** There is room again. */
  resume(): void;
  /** Stops, and leaves the body paused. */
  stop(): void;
}

/** Starts moving. */
export function pump(from: IncomingMessage, to: Sink): Pump {
  const onData = (part: Buffer): void => {
    if (!to.write(part)) from.pause();
  };
  const onEnd = (): void => {
    stop();
    to.end();
  };
  const stop = (): void => {
    from.off('data', onData).off('end', onEnd);
    if (!from.readableEnded) from.pause();
  };
  from.on('end', onEnd).on('data', onData);
  return { resume: () => from.resume(), stop };
}
