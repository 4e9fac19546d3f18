// Reads the first bytes of connections to choose the server for each. The bytes are put back before the connection is handed
// over. A connection that sends too few of them in time is destroyed, like one that sends no head.
import type { Socket } from 'node:net';
import { guarded, ignore } from '../base/guard.ts';

export class FirstBytes {
  readonly #waiting = new Set<Socket>();

  /**
   * Gives each part that comes to `judge`, until that gives something other than null, which `then` is called with once; never,
   * where the connection is lost before.
   */
  read<T>(socket: Socket, timeoutMs: number, judge: (part: Buffer) => T | null, then: (judged: T) => void): void {
    const parts: Buffer[] = [];
    const destroy = (): void => void socket.destroy();
    const settle = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
      socket.off('data', onData).off('end', onEnd).off('close', settle);
      if (!socket.destroyed) socket.off('error', ignore);
    };
    const onData = guarded(
      'connection',
      (part: Buffer) => {
        parts.push(part);
        const judged = judge(part);
        if (judged === null) return;
        socket.pause();
        socket.unshift(Buffer.concat(parts));
        settle();
        then(judged);
      },
      destroy,
    );
    // It ended before there was anything to answer.
    const onEnd = guarded('connection', destroy, destroy);
    const timer = setTimeout(onEnd, timeoutMs);
    this.#waiting.add(socket);
    socket.on('error', ignore).on('data', onData).on('end', onEnd).on('close', settle);
  }

  /** Destroys the connections whose first bytes are awaited. */
  cut(): void {
    for (const socket of this.#waiting) socket.destroy();
  }
}
