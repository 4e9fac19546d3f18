// Aborts an answer so that its client can't take it for a complete one; for both servers of HTTP/1.1.
import type { Socket } from 'node:net';
import { guarded } from '../base/guard.ts';
import type { BodyFraming } from '../proxy/client.ts';

/** Milliseconds that the kernel has to send what was written: a RST drops the rest, and the kernel does not report when it is done. */
const KERNEL_MS = 1000;
const NOTHING = Buffer.alloc(0);

/** Ends a connection in the middle of an answer of this framing. */
export function cutAnswer(socket: Socket, framing: BodyFraming): void {
  if (framing !== 'close') return void socket.destroy();
  try {
    // Where the end of the connection ends the body, a FIN would make the answer look complete.
    socket.resetAndDestroy();
  } catch {
    // TLS and unix sockets have no RST; a TLS client sees the missing close_notify.
    socket.destroy();
  }
}

/** When to cut the connection behind what was written so far, and how. */
export interface CutBehind {
  readonly framing: BodyFraming;
  /** Milliseconds that the client has for what was written. */
  readonly most: number;
  /** Called once: everything written was sent, the client stopped reading, or the connection is closed. */
  readonly cut: () => void;
}

/** Cuts the connection behind what was written to the socket so far. */
export function cutBehindWritten(socket: Socket, { framing, most, cut }: CutBehind): void {
  const settle = guarded('request', (): void => {
    clearTimeout(timer);
    socket.off('close', settle);
    cut();
  });
  let timer = setTimeout(settle, most);
  socket.once('close', settle);
  // Called when all that stands before it has been given to the kernel.
  socket.write(NOTHING, () => {
    if (framing !== 'close') return settle();
    clearTimeout(timer);
    timer = setTimeout(settle, KERNEL_MS);
  });
}
