// One connection to a server, on which one request at a time is written and its answer read (RFC 9112). The socket is read
// all the time, idle or not: that it has ended is known before the next request, and bytes that nobody asked for end it.

import type { Socket } from 'node:net';
import { guarded, ignore } from '../../base/guard.ts';
import { asGatewayError, GatewayError } from '../../errors.ts';
import { type AnswerHead, answerFraming, type BodyCursor, type Framing, followBody } from '../../http/answer.ts';
import { AnswerReader } from '../../http/answer-reader.ts';
import { formatFields } from '../../http/problem.ts';
import { receive, stopReceiving } from '../../net/direct-socket.ts';
import type { HttpExchange } from '../exchange.ts';
import type { Exchange } from '../http-engine.ts';
import { IDLE_MS } from '../http-engine.ts';
import type { UpstreamStream } from '../upstream-stream.ts';
import type { Connect } from './connect.ts';
import { persistence } from './persistence.ts';

/** Is notified of a connection's state; of its end after the exchange on it is. */
export interface ConnectionOwner {
  /** It can serve another request. */
  free(connection: Http1Connection): void;
  /** It will serve none. */
  gone(connection: Http1Connection): void;
  /** The head of an answer on it, before anything of it is passed on. */
  answered(connection: Http1Connection, exchange: Exchange, head: AnswerHead): void;
}

/**
 * `idle`: no request; `waiting`: one that was not begun; `head`: it was, and the head of its answer is awaited; `body`:
 * of the answer.
 */
type State = 'idle' | 'waiting' | 'head' | 'body';

export class Http1Connection implements UpstreamStream {
  /** By performance.now(), until when it may be used again; what it says holds while it is idle. */
  usableUntil = 0;
  /** How long it may be idle where the server names no shorter time; milliseconds. */
  idleMs = IDLE_MS;
  readonly #connect: Connect;
  readonly #owner: ConnectionOwner;
  readonly #reader = new AnswerReader((head) => this.#transfer?.interim(head.status, head.phrase, head.fields));
  #socket: Socket | null = null;
  #exchange: Exchange | null = null;
  #transfer: HttpExchange | null = null;
  #state: State = 'idle';
  #dropped = false;
  #served = 0;
  /** Whether an answer ended in this turn of the event loop: what came along with it may not have been read yet. */
  #justRead = false;
  #touched = false;
  /** The head of the request, until it is written. */
  #head: string | null = null;
  /** Whether the request was written to its end. */
  #sent = false;
  #answer: AnswerHead | null = null;
  #body: BodyCursor | null = null;
  #framing: Framing['kind'] = 'none';
  readonly #onContent = (part: Buffer): void => {
    if (this.#transfer?.part(part) === false) this.#socket?.pause();
  };

  constructor(connect: Connect, owner: ConnectionOwner) {
    this.#connect = connect;
    this.#owner = owner;
  }

  get reused(): boolean {
    return this.#served > 1;
  }

  get touched(): boolean {
    return this.#touched;
  }

  /** Carries one exchange; there is no other one on the connection. */
  carry(exchange: Exchange, transfer: HttpExchange): void {
    const { fields } = transfer.head;
    this.#exchange = exchange;
    this.#transfer = transfer;
    this.#state = 'waiting';
    this.#touched = false;
    this.#sent = false;
    this.#served++;
    transfer.start(this);
    try {
      this.#head = `${exchange.request.message.method} ${exchange.target} HTTP/1.1\r\n${formatFields(fields)}\r\n`;
    } catch (thrown) {
      return void transfer.fail(asGatewayError(thrown, 'request'));
    }
    if (this.#socket === null) return void this.#open(transfer);
    // A server may end the connection in the same moment: what has arrived already is read before the request is begun,
    // so that it can go over another connection, whatever its method.
    setImmediate(this.#justRead ? this.#beginNextTurn : this.#begin);
  }

  /** Begins with a socket that handshakes have used so far; `head`: of the last answer on it, which was whole. */
  attach(socket: Socket, head: AnswerHead): void {
    this.#served++;
    this.#listen(socket);
    this.#rest(persistence(head, this.idleMs));
  }

  /** Gives the socket of an idle connection away, paused and half-open as a dialled one is; null where it is closed. */
  detach(): Socket | null {
    const socket = this.#socket;
    if (this.#dropped || socket === null) return null;
    stopReceiving(socket, this.#onData).off('drain', this.#onDrain);
    socket.off('end', this.#onEnd).off('error', this.#onError).off('close', this.#onEnd);
    this.#dropped = true;
    this.#owner.gone(this);
    socket.allowHalfOpen = true;
    return socket.pause();
  }

  /** Ends the connection, whatever it is doing. */
  drop(): void {
    if (this.#dropped) return;
    this.#dropped = true;
    this.#socket?.destroy();
    this.#owner.gone(this);
  }

  sendHead(): void {
    const socket = this.#socket;
    if (socket === null) return;
    // It leaves together with what has come of the body, and alone where nothing has.
    socket.cork();
    this.#writeHead(socket);
    setImmediate(() => socket.uncork());
  }

  write(part: Buffer): boolean {
    const socket = this.#socket;
    if (socket === null) return true;
    if (this.#transfer?.head.chunked !== true) return socket.write(part);
    socket.cork();
    socket.write(`${part.length.toString(16)}\r\n`, 'latin1');
    socket.write(part);
    const room = socket.write('\r\n', 'latin1');
    socket.uncork();
    return room;
  }

  finish(trailers: readonly [string, string][]): void {
    const socket = this.#socket;
    if (socket === null) return;
    this.#writeHead(socket);
    if (this.#transfer?.head.chunked === true) socket.write(`0\r\n${formatFields(trailers.flat())}\r\n`, 'latin1');
    this.#sent = true;
  }

  resume(): void {
    this.#socket?.resume();
  }

  destroy(): void {
    this.#transfer = null;
    this.drop();
  }

  #open(transfer: HttpExchange): void {
    transfer.connecting();
    this.#socket = this.#connect(this.#onConnected);
    // What is below TLS may go on failing when nobody waits for it any more.
    this.#socket.on('error', ignore);
  }

  readonly #onConnected = this.#guard((error: Error | null, socket: Socket | null) => {
    if (socket === null) return void this.#break(error ?? new Error('no connection'));
    this.#listen(socket);
    this.#begin();
  });

  #listen(socket: Socket): void {
    this.#socket = socket;
    receive(socket, this.#onData).on('drain', this.#onDrain);
    socket.on('end', this.#onEnd).on('error', this.#onError).on('close', this.#onEnd);
    socket.resume();
  }

  readonly #begin = this.#guard(() => {
    if (this.#dropped) return;
    this.#state = 'head';
    this.#transfer?.connected();
  });

  /** A defect costs the exchange and its connection. */
  #guard<A extends readonly unknown[]>(callback: (...args: A) => void): (...args: A) => void {
    return guarded('upstream', callback, () => this.#break(DEFECT));
  }

  readonly #beginNextTurn = (): void => void setImmediate(this.#begin);

  #writeHead(socket: Socket): void {
    if (this.#head === null) return;
    socket.write(this.#head, 'latin1');
    this.#head = null;
  }

  readonly #onDrain = this.#guard(() => this.#transfer?.drained());

  readonly #onError = this.#guard((error: Error) => this.#break(error));

  readonly #onData = this.#guard((chunk: Buffer) => {
    if (this.#state === 'head') this.#onHead(chunk);
    else if (this.#state === 'body') this.#onBody(chunk);
    // Nobody asked for it, and nobody may take it for an answer (RFC 9112 §9.2).
    else this.#break(UNASKED);
  });

  #onHead(chunk: Buffer): void {
    this.#touched = true;
    const read = this.#reader.take(chunk);
    if (read === null || this.#dropped) return;
    if ('fault' in read) return void this.#refuse(read.fault);
    const { head, rest } = read;
    const exchange = this.#exchange as Exchange;
    // It ends the exchange: nobody asked for another protocol.
    if (head.status === 101) return void this.#transfer?.interim(101, head.phrase, head.fields);
    const framing = answerFraming(head, exchange.request.message.method);
    if ('fault' in framing) return void this.#refuse(framing.fault);
    this.#state = 'body';
    this.#answer = head;
    this.#framing = framing.kind;
    this.#body = followBody(framing);
    this.#owner.answered(this, exchange, head);
    this.#transfer?.answer(head);
    this.#onBody(rest);
    if (this.#state === 'body') this.#transfer?.flush();
  }

  #onBody(chunk: Buffer): void {
    const body = this.#body;
    if (this.#dropped || body === null) return;
    const taken = body.take(chunk, this.#onContent);
    if (this.#dropped) return;
    if (typeof taken !== 'number') return void this.#refuse(taken.fault);
    if (body.done) this.#complete(taken === chunk.length);
  }

  /** The answer is whole; `clean`: nothing stands behind it. */
  #complete(clean: boolean): void {
    const transfer = this.#transfer;
    const answer = this.#answer as AnswerHead;
    const trailers = (this.#body as BodyCursor).trailers;
    this.#settle();
    transfer?.end(trailers);
    if (this.#dropped) return;
    const keepMs = persistence(answer, this.idleMs);
    // Nothing may follow half a request, or an answer with something behind it.
    if (!this.#sent || !clean || keepMs === 0) return void this.drop();
    this.#socket?.resume();
    this.#rest(keepMs);
  }

  /** It is idle, and may be used again for so long. */
  #rest(keepMs: number): void {
    this.usableUntil = performance.now() + keepMs;
    this.#justRead = true;
    setImmediate(this.#onTurn);
    this.#owner.free(this);
  }

  readonly #onTurn = (): void => {
    this.#justRead = false;
  };

  #settle(): void {
    this.#state = 'idle';
    this.#transfer = null;
    this.#exchange = null;
    this.#answer = null;
    this.#body = null;
  }

  /** The server has ended it; `close` without an `end` before it is a reset, and no end of a body. */
  readonly #onEnd = this.#guard(() => {
    if (this.#socket?.readableEnded === true && this.#state === 'body' && this.#framing === 'close')
      this.#complete(false);
    else this.#break(ENDED);
  });

  #refuse(fault: string): void {
    const url = this.#exchange?.server.url ?? '';
    this.#break(new GatewayError('bad_accept', `${url}: ${fault}`));
  }

  /** The connection can't go on; the exchange on it fails with the cause. */
  #break(cause: Error): void {
    const transfer = this.#transfer;
    this.#transfer = null;
    this.drop();
    transfer?.lost(cause);
  }
}

const ENDED = Object.assign(new Error('the server ended the connection'), { code: 'ECONNRESET' });
const DEFECT = new GatewayError('internal', 'reading or writing the connection to the server broke');
const UNASKED = Object.assign(new Error('the server sent what nobody asked for'), { code: 'ECONNRESET' });
