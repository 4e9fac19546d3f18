// The handler `push`: one configured text at once, and again after each interval; what the client sends is ignored.
import type { ConnectionHandlerFactory } from '../handler.ts';

export interface PushOptions {
  readonly text: string;
  /** Milliseconds between two messages. */
  readonly every: number;
}

/** The handler, of one text and one interval. */
export function createPush(options: PushOptions): ConnectionHandlerFactory {
  const message = Buffer.from(options.text);
  return {
    open(connection) {
      connection.send('text', message);
      // Node keeps timers of one duration in one list, so that a timer for each connection costs next to nothing.
      const timer = setInterval(() => connection.send('text', message), options.every).unref();
      return {
        message() {},
        closed() {
          clearInterval(timer);
        },
      };
    },
  };
}
