// Breaking an answer off so that its client can't take what it got for a whole one, whatever server wrote it.
import type { Socket } from 'node:net';
import { guarded } from '../base/guard.ts';
import type { BodyFraming } from '../proxy/client.ts';

/** How long the kernel has for what it was given: a RST throws the rest away, and it does not say when it is done. */
const KERNEL_MS = 1000;
const NOTHING = Buffer.alloc(0);

/** Ends a connection in the middle of an answer of this framing. */
export function cutAnswer(socket: Socket, framing: BodyFraming): void {
  if (framing !== 'close') return void socket.destroy();
  try {
    // Where the end of the connection is the end of the body, a FIN would be a lie.
    socket.resetAndDestroy();
  } catch {
    // TLS and unix sockets know no RST; a TLS client sees that no close_notify came.
    socket.destroy();
  }
}

/** When to cut behind what was written so far, and what does so. */
export interface CutBehind {
  readonly framing: BodyFraming;
  /** Milliseconds that the client has for what was written. */
  readonly most: number;
  /** Called once: what was written has left, the client takes it no more, or the connection is closed. */
  readonly cut: () => void;
}

/** Cuts behind what a socket was given so far. */
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
