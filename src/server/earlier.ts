// A request that node reports as an upgrade while earlier requests of its connection are still being answered: node
// raises the event at once, and an answer written then would overtake theirs.
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How long earlier answers may take before the connection is given up. */
const PATIENCE_MS = 60_000;

/** node keeps the response that a connection is busy with here; there is no public way to ask (checked on node 20 to 26). */
interface Busy {
  readonly _httpMessage?: ServerResponse | null;
}

/** The response that the connection is busy with, or null. */
export function pendingAnswer(socket: Socket): ServerResponse | null {
  return (socket as Busy)._httpMessage ?? null;
}

/** Resolves once every earlier answer is written: true where the connection can still be answered on. */
export async function afterEarlierAnswers(socket: Socket): Promise<boolean> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let answer = pendingAnswer(socket); answer !== null; answer = pendingAnswer(socket)) {
    if (socket.destroyed || !(await closed(answer, socket, deadline - performance.now()))) {
      socket.destroy();
      return false;
    }
  }
  return answerable(socket);
}

/** Of a connection without an earlier answer: whether it can still be answered on. */
export function answerable(socket: Socket): boolean {
  // The end of an answer starts node's keep-alive timer, which would cut a session.
  socket.setTimeout(0);
  return socket.writable;
}

function closed(answer: ServerResponse, socket: Socket, waitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (answered: boolean): void => {
      clearTimeout(timer);
      answer.removeListener('close', onClose);
      socket.removeListener('close', onGone);
      resolve(answered);
    };
    const onClose = (): void => settle(true);
    const onGone = (): void => settle(false);
    const timer = setTimeout(() => settle(false), waitMs);
    answer.once('close', onClose);
    socket.once('close', onGone);
  });
}
