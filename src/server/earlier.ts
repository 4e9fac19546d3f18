// Requests behind unfinished answers of their connection. node raises each as soon as it is read: a plain one would be
// carried out beside those before it, and the answer to an upgrade would overtake theirs. Here they wait for their turn.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How long earlier answers may take before the connection is given up. */
const PATIENCE_MS = 60_000;

/** node keeps the response that a connection is busy with here; there is no public way to ask (checked on node 20 to 26). */
interface Busy {
  readonly _httpMessage?: ServerResponse | null;
}

/** Plain requests that may wait on one connection; no client of the field pipelines as many. */
const MOST_WAITING = 100;

/** Lets one request of a connection be carried out at a time, so that none can open backends without end. */
export class Turns {
  readonly #waiting = new WeakMap<Socket, number>();

  /** Calls `start`, which may not throw, when it is this request's turn; false where too many wait already, and the connection is destroyed. */
  take(req: IncomingMessage, res: ServerResponse, start: () => void): boolean {
    // node gives a response its connection when those before it are written.
    if (res.socket !== null) {
      start();
      return true;
    }
    const { socket } = req;
    const waiting = (this.#waiting.get(socket) ?? 0) + 1;
    if (waiting > MOST_WAITING) {
      socket.destroy();
      return false;
    }
    this.#waiting.set(socket, waiting);
    res.once('socket', () => {
      this.#waiting.set(socket, (this.#waiting.get(socket) ?? 1) - 1);
      start();
    });
    return true;
  }
}

/** The response that the connection is busy with, or null. */
export function pendingAnswer(socket: Socket): ServerResponse | null {
  return (socket as Busy)._httpMessage ?? null;
}

/**
 * Resolves once every earlier answer is written: true where the connection can still be answered on. A request whose body
 * has not come whole is no earlier one: where this is asked nothing reads on, and its answer may never come.
 */
export async function afterEarlierAnswers(socket: Socket): Promise<boolean> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let answer = pendingAnswer(socket); answer?.req.complete; answer = pendingAnswer(socket)) {
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
