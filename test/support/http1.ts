// Our server's connection over a socket that is none: what it reads is given to it piece by piece, at once, and what it
// serves and writes is recorded. For what depends on octets and their order; what depends on the system is in e2e/.
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Deadlines, Expirable } from '../../src/base/deadlines.ts';
import { MemoryBudget } from '../../src/base/memory-budget.ts';
import type { Rejection } from '../../src/handshake/rejection.ts';
import { readHead, readRequest } from '../../src/http/head.ts';
import { ClientConnection } from '../../src/listen/http1/connection.ts';
import type { Http1Services, Http1Settings } from '../../src/listen/http1/services.ts';
import type { ClientRequest, ClientResponse } from '../../src/proxy/client.ts';
import type { ReadRequest } from './llhttp.ts';

/** As much of a socket as a connection uses. */
class StubSocket extends EventEmitter {
  destroyed = false;
  writable = true;
  errored: Error | null = null;
  writableLength = 0;
  readonly writableHighWaterMark = 16 * 1024;
  writableNeedDrain = false;
  paused = false;
  /** What it was given to write. */
  written = '';
  ended = false;
  /** What is called when it is told to take what waits. */
  readonly #flushed: (() => void)[] = [];
  /** The system takes nothing. */
  stalled = false;

  write(data: string | Buffer, then?: unknown): boolean {
    const text = typeof data === 'string' ? data : data.toString('latin1');
    this.written += text;
    if (this.stalled) this.writableLength += text.length;
    if (typeof then === 'function') {
      if (this.writableLength === 0) queueMicrotask(() => then());
      else this.#flushed.push(() => then());
    }
    return this.writableLength < this.writableHighWaterMark;
  }

  /** The system takes all of it, and what comes. */
  flush(): void {
    this.stalled = false;
    this.writableLength = 0;
    for (const then of this.#flushed.splice(0)) then();
  }

  cork(): void {}
  uncork(): void {}
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  end(): void {
    this.ended = true;
    this.writable = false;
  }
  resetAndDestroy(): void {
    this.destroy();
  }
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.writable = false;
    this.emit('close');
  }
}

/** One request, as it was served. */
export interface Served {
  readonly request: ClientRequest;
  readonly response: ClientResponse;
}

export interface DrivenOptions {
  readonly serve: (served: Served) => void;
  readonly settings?: Partial<Http1Settings>;
  readonly waiting?: MemoryBudget;
}

/** A connection on which nothing has come. */
export function driveConnection({ serve, settings = {}, waiting = new MemoryBudget(1 << 20) }: DrivenOptions) {
  const socket = new StubSocket();
  const refusals: Rejection[] = [];
  const upgrades: { method: string; target: string; rest: string }[] = [];
  const all = {
    maxHead: 16_384,
    headMs: 1000,
    keepAliveMs: 5000,
    keepAlive: 'Connection: keep-alive\r\n',
    ...settings,
  };
  let left = 0;
  // Deadlines are looked at by the test alone.
  const deadlines = {
    add: (member: Expirable) => ({ member }),
    moved: () => {},
    remove: () => {},
  } as unknown as Deadlines;
  const services: Http1Services = {
    settings: () => all,
    deadlines,
    waiting,
    date: () => 'now',
    serve: (request, response) => serve({ request, response }),
    onUpgrade: ({ method, target }, _, rest) => void upgrades.push({ method, target, rest: rest.toString('latin1') }),
    onRefused: (_, rejection) => void refusals.push(rejection),
    onLeft: () => void left++,
  };
  const connection = new ClientConnection(socket as unknown as Socket, services);
  connection.open(Buffer.alloc(0));
  return {
    connection,
    socket,
    refusals,
    upgrades,
    left: () => left,
    read: (bytes: string | Buffer) =>
      void socket.emit('data', typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
    /** Statuses of the answers, in their order. */
    statuses: () => [...socket.written.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status)),
  };
}

/** Takes the whole body of a request, then answers as a gateway that finds nothing else to say. */
function answerWhole({ request, response }: Served, record: ReadRequest): void {
  request.read({
    onBodyPart(part) {
      record.content += part.toString('latin1');
      return true;
    },
    onBodyEnd() {
      record.complete = true;
      record.trailers = request.trailers;
      response.answer({ status: 200, phrase: null, fields: ['Content-Length', '0'], framing: 'length' }, null);
    },
  });
}

/** What becomes of the requests in some pieces where each is answered as soon as it is whole. */
export function serveAll(pieces: readonly Buffer[]) {
  const requests: ReadRequest[] = [];
  const driven = driveConnection({
    serve(served) {
      const { request, response } = served;
      const { method = '', url = '', httpVersion, rawHeaders } = request.message;
      const judged = readRequest(readHead(request.message, false, ''));
      if ('fault' in judged) {
        response.closeAfter();
        return response.answer({ status: 400, phrase: null, fields: ['Content-Length', '0'], framing: 'length' }, null);
      }
      const record = {
        method,
        target: url,
        version: httpVersion,
        fields: rawHeaders,
        content: '',
        trailers: [],
        complete: false,
      };
      requests.push(record);
      answerWhole(served, record);
    },
  });
  for (const piece of pieces) inTurns(() => driven.read(piece));
  return { ...driven, requests };
}

/** Does something, and at once what it leaves for the turns of the event loop behind it. */
function inTurns(run: () => void): void {
  const later: (() => void)[] = [];
  const { setImmediate } = globalThis;
  globalThis.setImmediate = ((then: () => void) => void later.push(then)) as never;
  try {
    run();
    for (let i = 0; i < later.length; i++) later[i]?.();
  } finally {
    globalThis.setImmediate = setImmediate;
  }
}
