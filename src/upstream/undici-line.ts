// One connection to a server, carried by an undici Client: undici keeps it, ends it when it is idle for long, and parses
// what comes back. What undici has no words for goes past it on the socket: the head of a request is written as it was
// made (undici writes Host, Connection and Content-Length its own way, and refuses Expect and `*`), its body with chunks
// and trailers behind it, and the start of an answer is read first (answer-start.ts).
import type { Socket } from 'node:net';
import { Client, type Dispatcher } from 'undici';
import { systemCode } from '../errors.ts';
import { LARGEST_ANSWER_HEAD } from '../http/answer.ts';
import { formatFields } from '../http/problem.ts';
import { AnswerStart, shownName } from './answer-start.ts';
import type { Connected } from './dial.ts';
import type { Exchange } from './http-engine.ts';
import type { Link } from './link.ts';
import type { Transfer } from './transfer.ts';

/**
 * How long a connection is kept idle where the server names no time of its own: shorter than servers wait, so that they
 * seldom close one under a request. The server's `Keep-Alive: timeout` shortens it.
 */
const IDLE_MS = 4000;
/** How much sooner than the server says. */
const BEFORE_SERVER_MS = 1000;

/** Starts a connection; what it gives ends it when destroyed, and what is connected may be another socket above it. */
export type Open = (connected: Connected) => Socket;

/** What became of a line; told later than the transfer is. */
export interface LineOwner {
  /** It can serve another request. */
  free(line: Line): void;
  /** It will serve none. */
  gone(line: Line): void;
}

/** undici's word for a connection that was ended, by either side. */
const CLOSED = 'UND_ERR_SOCKET';
const LENGTH_MISMATCH = 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH';

function noop(): void {}

/** Octets as the characters that node's own HTTP makes of them. */
function latin1(text: Buffer): string {
  return text.toString('latin1');
}

export class Line implements Link, Dispatcher.DispatchHandler {
  readonly #client: Client;
  readonly #owner: LineOwner;
  readonly #start = new AnswerStart(() => this.#transfer?.interim(100, '', []));
  #socket: Socket | null = null;
  #transfer: Transfer | null = null;
  #dropped = false;
  #served = 0;
  #readBefore = 0;
  /** The head to be written in place of undici's. */
  #head: string | null = null;
  #chunked = false;
  /** Whether the request was sent to its end. */
  #sent = false;
  #answered = false;
  #broken: Error | null = null;
  #resume: () => void = noop;

  constructor(origin: string, open: Open, owner: LineOwner) {
    this.#owner = owner;
    this.#client = new Client(origin, {
      connect: (_, callback) => this.#connect(open, callback),
      // The exchange has a clock of its own.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
      keepAliveTimeoutThreshold: BEFORE_SERVER_MS,
      maxHeaderSize: LARGEST_ANSWER_HEAD,
      pipelining: 1,
    });
    this.#client.on('disconnect', () => this.drop());
    this.#client.on('connectionError', () => this.drop());
  }

  get reused(): boolean {
    return this.#served > 1;
  }

  get touched(): boolean {
    return this.#socket === null || this.#socket.bytesRead !== this.#readBefore;
  }

  /** Carries one exchange; there is no other one on the line. */
  carry({ req, target }: Exchange, transfer: Transfer): void {
    const method = req.method ?? '';
    const { fields, hasBody, chunked } = transfer.head;
    this.#transfer = transfer;
    this.#head = `${method} ${target} HTTP/1.1\r\n${formatFields(fields)}\r\n`;
    this.#chunked = chunked;
    this.#sent = !hasBody;
    this.#answered = false;
    transfer.start(this);
    // undici needs to know of a HEAD that its answer has no body; the rest of what it would write is replaced.
    this.#client.dispatch({ path: '/', method: method === 'HEAD' ? 'HEAD' : 'GET', reset: false }, this);
  }

  /** Ends the line, whatever it is doing. */
  drop(): void {
    if (this.#dropped) return;
    this.#dropped = true;
    this.#socket?.destroy();
    this.#client.destroy(noop);
    this.#owner.gone(this);
  }

  sendHead(): void {}

  write(part: Buffer): boolean {
    const socket = this.#socket;
    if (socket === null) return true;
    if (!this.#chunked) return socket.write(part);
    socket.cork();
    socket.write(`${part.length.toString(16)}\r\n`, 'latin1');
    socket.write(part);
    const room = socket.write('\r\n', 'latin1');
    socket.uncork();
    return room;
  }

  finish(trailers: readonly [string, string][]): void {
    if (this.#chunked) this.#socket?.write(`0\r\n${formatFields(trailers.flat())}\r\n`, 'latin1');
    this.#sent = true;
  }

  resume(): void {
    this.#resume();
  }

  destroy(): void {
    this.#transfer = null;
    this.drop();
  }

  onConnect(): void {
    const { bytesRead = 0 } = this.#socket ?? {};
    this.#readBefore = bytesRead;
    this.#served++;
    this.#start.expect();
  }

  /** undici has written what it takes for the whole request. */
  onRequestSent(): void {
    this.#transfer?.connected();
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void, phrase: string): boolean {
    const fields = raw.map(latin1);
    const transfer = this.#transfer;
    if (status >= 100 && status < 200) {
      transfer?.interim(status, phrase, fields);
      return true;
    }
    if (status === 304) for (let i = 0; i < fields.length; i += 2) fields[i] = shownName(fields[i] as string);
    this.#answered = true;
    this.#resume = resume;
    transfer?.answer({ version: this.#start.version, status, phrase: this.#start.phrase, fields });
    return true;
  }

  onData(part: Buffer): boolean {
    return this.#transfer?.part(part) ?? true;
  }

  onComplete(trailers: unknown): void {
    const transfer = this.#transfer;
    this.#transfer = null;
    this.#resume = noop;
    if (this.#broken !== null) {
      // undici takes a reset for the end of a body that ends with its connection.
      this.drop();
      return void transfer?.lost(this.#broken);
    }
    transfer?.end((trailers as Buffer[]).map(latin1));
    // Nothing may follow half a request.
    if (!this.#sent) return void this.drop();
    // By then undici has ended the connection where the server wants it ended.
    queueMicrotask(() => {
      if (this.#dropped) return;
      if (this.#socket === null || this.#socket.destroyed) this.drop();
      else this.#owner.free(this);
    });
  }

  onError(error: Error): void {
    const transfer = this.#transfer;
    this.#transfer = null;
    const cause = this.#translate(error);
    this.drop();
    transfer?.lost(cause);
  }

  /** What broke, by the code that node's own client would give it. */
  #translate(error: Error): Error {
    const code = systemCode(error) ?? '';
    const malformed =
      error.name === 'HTTPParserError' ||
      code === 'UND_ERR_HEADERS_OVERFLOW' ||
      code === LENGTH_MISMATCH ||
      (code === CLOSED && error.message === 'bad upgrade');
    // Where the connection's end came before the body's, undici says that the body is malformed.
    const ended = this.#answered && (this.#socket?.readableEnded === true || code === LENGTH_MISMATCH);
    if (malformed && !ended) return Object.assign(new Error(error.message), { code: 'HPE_MALFORMED' });
    if (!malformed && code !== CLOSED) return error;
    return Object.assign(new Error(`the server ended the connection (${error.message})`), { code: 'ECONNRESET' });
  }

  #connect(open: Open, callback: (...args: [null, Socket] | [Error, null]) => void): void {
    this.#served = 0;
    this.#transfer?.connecting();
    this.#socket = open((error, socket) => {
      if (socket === null) return callback(error ?? new Error('no connection'), null);
      this.#socket = socket;
      this.#watch(socket);
      callback(null, socket);
    });
  }

  /** Puts itself between undici and the socket. */
  #watch(socket: Socket): void {
    const { write, read } = socket;
    socket.write = (chunk: Uint8Array | string, ...rest: unknown[]): boolean => {
      const head = this.#head;
      this.#head = null;
      return Reflect.apply(write, socket, [head ?? chunk, ...rest]);
    };
    socket.read = (size?: number): Buffer | null => {
      const chunk: Buffer | null = read.call(socket, size);
      return this.#start.waiting ? this.#start.take(chunk) : chunk;
    };
    socket.on('drain', () => this.#transfer?.drained());
    socket.on('error', (error) => {
      this.#broken = error;
    });
  }
}
