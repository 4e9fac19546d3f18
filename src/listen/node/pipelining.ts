// The queue of requests behind unfinished answers of their connection. Node emits each request as soon as it is parsed: a plain
// one would run beside earlier ones, and the answer to an upgrade would overtake theirs. Here they wait for their turn.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ignore } from '../../base/guard.ts';
import type { MemoryBudget } from '../../base/memory-budget.ts';
import { responseUnderWay } from '../../net/node-internals.ts';

/** Milliseconds that earlier answers may take before the connection is closed. */
const EARLIER_RESPONSE_MS = 60_000;

/** Waiting plain requests at which reading of their connection stops. What node has parsed by then waits too. */
const MAX_WAITING = 100;

/** Bytes that node keeps for a waiting request beside its head: its message, its response, their listeners. */
const KEPT_BYTES = 6 * 1024;

/** Of a connection on which nothing has been answered. */
const UNANSWERED = -1;

/** Of one connection on which requests wait. */
interface ConnectionQueue {
  waiting: number;
  bytes: number;
  /** The last response of the queue. */
  last: ServerResponse;
  /** Nothing more is read from the connection. */
  paused: boolean;
}

/**
 * Runs one request of a connection at a time, so that no client can open requests toward servers without bound. Reading stops
 * where many wait, and the memory of all waiting requests together is bounded.
 */
export class PipelineQueue {
  readonly #queues = new WeakMap<Socket, ConnectionQueue>();
  /** Connections that a parser reads, each with the bytes read when its last answer was written. */
  readonly #read = new Map<Socket, number>();
  /** Those that are not read before the next turn of the event loop. */
  #heldBack: Socket[] = [];
  readonly #budget: MemoryBudget;

  /** `budget`: of all requests that wait, together. */
  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  /** A parser reads the connection from now on, until `release`. */
  watch(socket: Socket): void {
    if (!this.#read.has(socket)) this.#read.set(socket, UNANSWERED);
    if (this.#heldBack.length > 0) this.#pause(socket);
  }

  /**
   * Calls `start` when it is this request's turn. False where there is no room for one more that waits: its connection is
   * destroyed.
   */
  take(req: IncomingMessage, res: ServerResponse, start: () => void): boolean {
    // node gives a response its connection when those before it are written.
    if (res.socket !== null) {
      start();
      return true;
    }
    const { socket } = req;
    // Further requests that were read along with the one that had no room.
    if (socket.destroyed) return true;
    const bytes = KEPT_BYTES + sizeOf(req);
    if (!this.#budget.fits(bytes)) {
      socket.destroy();
      this.#holdBack();
      return false;
    }
    const queue = this.#queues.get(socket) ?? this.#open(socket, res);
    this.#budget.add(bytes);
    queue.bytes += bytes;
    queue.last = res;
    queue.waiting++;
    if (queue.waiting >= MAX_WAITING && !queue.paused) {
      queue.paused = true;
      socket.pause();
    }
    res.once('socket', () => {
      this.#returnBytes(queue, bytes);
      queue.waiting--;
      if (queue.waiting < MAX_WAITING && queue.paused) {
        queue.paused = false;
        socket.resume();
      }
      start();
    });
    return true;
  }

  /** The response to the newest request of the connection that is not answered yet, or null. */
  newest(socket: Socket): ServerResponse | null {
    const queue = this.#queues.get(socket);
    return queue !== undefined && queue.waiting > 0 ? queue.last : responseUnderWay(socket);
  }

  /** An answer on this connection has been written. */
  answered(socket: Socket): void {
    if (this.#read.has(socket)) this.#read.set(socket, socket.bytesRead);
  }

  /**
   * Closes the connections that wait for a next request. node's own `closeIdleConnections` closes those that wait for their
   * first one as well, from node 26 on: a client that has just connected would be refused.
   */
  closeIdle(): void {
    for (const [socket, bytesRead] of this.#read) {
      if (bytesRead === socket.bytesRead && this.newest(socket) === null) socket.destroy();
    }
  }

  /** No parser reads the connection any more: it is closed, or its new owner decides when it is read. */
  release(socket: Socket): void {
    this.#read.delete(socket);
    const queue = this.#queues.get(socket);
    if (queue !== undefined) queue.paused = false;
  }

  #open(socket: Socket, last: ServerResponse): ConnectionQueue {
    const queue: ConnectionQueue = { waiting: 0, bytes: 0, last, paused: false };
    this.#queues.set(socket, queue);
    // node resumes a connection at the end of each answer.
    socket.on('resume', () => {
      if (queue.paused) socket.pause();
    });
    socket.once('close', () => this.#returnBytes(queue, queue.bytes));
    return queue;
  }

  /** Behind the connection's end, where all was returned, node may still come to a response that waited. */
  #returnBytes(queue: ConnectionQueue, bytes: number): void {
    const kept = Math.min(bytes, queue.bytes);
    queue.bytes -= kept;
    this.#budget.remove(kept);
  }

  /**
   * Reads no connection any more in this turn of the event loop. node's parser goes on to the end of what was read, up to
   * 64 KiB, although its connection is destroyed, and keeps all those requests until the connection's 'close', which comes
   * behind the reads of the turn: a few hundred connections that are refused in one turn would take a heap of any size.
   */
  #holdBack(): void {
    if (this.#heldBack.length > 0) return;
    for (const socket of this.#read.keys()) this.#pause(socket);
    setImmediate(() => {
      // One that is to be read no further until its answers are written stays paused (the listener of 'resume').
      for (const socket of this.#heldBack.splice(0)) socket.resume();
    });
  }

  /** Reads it no further in this turn. */
  #pause(socket: Socket): void {
    if (socket.isPaused()) return;
    // What came along with the connection is in its stream yet, and node's parser reads past the stream unless that has a
    // listener.
    if (socket.readableLength > 0 && !socket.listeners('data').includes(ignore)) socket.on('data', ignore);
    socket.pause();
    this.#heldBack.push(socket);
  }
}

/** How long a head is, as text. */
function sizeOf({ url = '', rawHeaders }: IncomingMessage): number {
  let size = url.length;
  for (const text of rawHeaders) size += text.length;
  return size;
}

/**
 * Resolves once every earlier answer is written: true where the connection can still be answered on. A request whose body
 * has not come whole is no earlier one: where this is asked nothing reads on, and its answer may never come.
 */
export async function afterEarlierAnswers(socket: Socket): Promise<boolean> {
  const deadline = performance.now() + EARLIER_RESPONSE_MS;
  for (let answer = responseUnderWay(socket); answer?.req.complete; answer = responseUnderWay(socket)) {
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
      socket.removeListener('close', onSocketClosed);
      resolve(answered);
    };
    const onClose = (): void => settle(true);
    const onSocketClosed = (): void => settle(false);
    const timer = setTimeout(() => settle(false), waitMs);
    answer.once('close', onClose);
    socket.once('close', onSocketClosed);
  });
}
