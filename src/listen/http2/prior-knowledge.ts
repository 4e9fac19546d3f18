// HTTP/2 without TLS and without asking (RFC 9113 §3.3): a connection that begins with HTTP/2's preface is one of HTTP/2,
// any other is HTTP/1.1's from its first byte on.
import type { Socket } from 'node:net';
import { guarded, ignore } from '../../base/guard.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Whether a connection that begins with these bytes is HTTP/2's; null while they could still become its preface. */
export function beginsHttp2(bytes: Buffer): boolean | null {
  const length = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) return false;
  return length === PREFACE.length ? true : null;
}

/**
 * Reads the first bytes of connections. All of a connection is put back before it is given on; one that says too little for
 * too long is destroyed, as one that sends no head is.
 */
export class PriorKnowledge {
  readonly #waiting = new Set<Socket>();

  /** Calls `then` once, with whether it is HTTP/2, unless the connection is lost before. */
  read(socket: Socket, timeoutMs: number, then: (http2: boolean) => void): void {
    let held = Buffer.alloc(0);
    const destroy = (): void => void socket.destroy();
    const settle = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
      socket.off('data', onData).off('end', onEnd).off('close', settle);
      if (!socket.destroyed) socket.off('error', ignore);
    };
    const onData = guarded(
      'connection',
      (chunk: Buffer) => {
        held = Buffer.concat([held, chunk]);
        const http2 = beginsHttp2(held);
        if (http2 === null) return;
        socket.pause();
        socket.unshift(held);
        settle();
        then(http2);
      },
      destroy,
    );
    // It ends before it has said anything that could be answered.
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
