// A plain request and its response on node's HTTP server. It prevents what node would change: the octets of a head, interim
// answers, and the end of a connection that must not look like the end of an answer.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { guarded, reportDefect } from '../../base/guard.ts';
import type {
  BodyFraming,
  BodySink,
  ClientRequest,
  ClientResponse,
  ResponseEvents,
  ResponseHead,
} from '../../proxy/client.ts';
import { isPhrase, lengthLast } from '../../proxy/framing.ts';
import { cutAnswer, cutBehindWritten } from '../cut.ts';

/** Bounds of a body that is read and dropped: time and bytes. */
const LONGEST_MS = 2000;
const MAX_DISCARDED = 64 * 1024 * 1024;
/** Up to this many bytes copying a part into the head's text is cheaper than writing both side by side. */
const SMALL = 16 * 1024;

/** Whether a message has a body. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

export class NodeRequest implements ClientRequest {
  readonly message: IncomingMessage;
  readonly connection: Socket;
  readonly authScope: Socket;
  #stopReading: (() => void) | null = null;

  constructor(message: IncomingMessage) {
    this.message = message;
    this.connection = message.socket;
    this.authScope = message.socket;
  }

  get hasBody(): boolean {
    return hasBody(this.message);
  }

  get expectsContinue(): boolean {
    return /^100-continue$/i.test(this.message.headers.expect ?? '');
  }

  get complete(): boolean {
    return this.message.complete;
  }

  get bodyUsed(): boolean {
    return this.message.readableDidRead;
  }

  get bodyEnded(): boolean {
    return this.message.readableEnded;
  }

  get trailers(): readonly string[] {
    return this.message.rawTrailers;
  }

  read(sink: BodySink): void {
    const onData = (part: Buffer): void => {
      if (!sink.onBodyPart(part)) this.message.pause();
    };
    const onEnd = (): void => {
      this.stop();
      sink.onBodyEnd();
    };
    this.#stopReading = () => {
      this.message.off('data', onData).off('end', onEnd);
    };
    this.message.on('end', onEnd).on('data', onData);
  }

  resume(): void {
    this.message.resume();
  }

  stop(): void {
    if (this.#stopReading === null) return;
    this.#stopReading();
    this.#stopReading = null;
    if (!this.message.readableEnded) this.message.pause();
  }

  discard(then: () => void): void {
    const { message } = this;
    if (message.readableEnded || message.destroyed) return void then();
    let left = MAX_DISCARDED;
    const onData = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left < 0) done();
    };
    const done = guarded(
      'request',
      () => {
        clearTimeout(timer);
        message.off('data', onData).off('end', done).off('close', done);
        then();
      },
      () => this.abandon(),
    );
    const timer = setTimeout(done, LONGEST_MS);
    message.on('data', onData).on('end', done).on('close', done);
    message.resume();
  }

  abandon(): void {
    this.connection.destroy();
  }
}

export class NodeResponse implements ClientResponse {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  /** Bytes written to the connection before this answer. */
  readonly #writtenBefore: number;
  #onClosed: readonly (() => void)[] = NOBODY;
  #events: ResponseEvents | null = null;
  #framing: BodyFraming = 'none';
  #closed = false;
  /** Nothing was written since the head was set. */
  #headWaits = false;
  /** `drain` is awaited. */
  #full = false;

  /** The response must be the one that its connection is busy with: node holds those behind it back. */
  constructor(response: ServerResponse) {
    this.#request = response.req;
    this.#response = response;
    this.#writtenBefore = response.req.socket.bytesWritten;
    if (response.destroyed || response.req.socket.destroyed) this.#closed = true;
    else response.once('close', () => this.#onClose());
  }

  get status(): number {
    return this.#response.statusCode;
  }

  get headersSent(): boolean {
    return this.#response.headersSent;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get bytesToClient(): number {
    const { socket } = this.#request;
    return socket.bytesWritten - socket.writableLength - this.#writtenBefore;
  }

  notify(events: ResponseEvents | null): void {
    this.#events = events;
  }

  onClosed(callback: () => void): void {
    if (this.#closed) callback();
    else this.#onClosed = [...this.#onClosed, guarded('request', callback)];
  }

  /** node closes a response right behind its `finish`. */
  #onClose(): void {
    const events = this.#events;
    this.#events = null;
    this.#closed = true;
    try {
      if (this.#response.writableFinished) events?.onSent();
      else events?.onClientLeft();
    } catch (thrown) {
      reportDefect('request', thrown);
    }
    for (const callback of this.#onClosed) callback();
  }

  closeAfter(): void {
    if (this.#response.headersSent) this.#response.once('finish', () => this.#request.socket.destroySoon());
    else this.#response.shouldKeepAlive = false;
  }

  interim(status: number, phrase: string, fields: readonly string[]): void {
    if (status === 100) return void this.#response.writeContinue();
    // node's own writeEarlyHints knows neither repeated fields nor fields without Link.
    const { socket } = this.#response;
    // An interim answer is dropped while the client does not read.
    if (socket === null || !socket.writable || socket.writableNeedDrain || !isPhrase(phrase)) return;
    let head = `HTTP/1.1 ${status} ${phrase}\r\n`;
    for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`;
    socket.write(`${head}\r\n`, 'latin1');
  }

  answer(head: ResponseHead, body: Buffer | null): void {
    this.#writeHead(head);
    if (body === null) this.#response.end();
    else this.#response.end(body);
  }

  head(head: ResponseHead): void {
    this.#writeHead(head);
    this.#headWaits = true;
  }

  #writeHead({ status, phrase, fields, framing }: ResponseHead): void {
    const response = this.#response;
    // node would send chunks to an HTTP/1.0 client that names them in TE.
    if (framing === 'close') response.removeHeader('Transfer-Encoding');
    this.#framing = framing;
    const ordered = lengthLast(fields) as string[];
    if (phrase === null) response.writeHead(status, ordered);
    else response.writeHead(status, phrase, ordered);
  }

  write(part: Buffer): boolean {
    this.#headWaits = false;
    const room = this.#response.write(part);
    if (!room && !this.#full) {
      this.#full = true;
      this.#response.once('drain', () => this.#onDrain());
    }
    return room;
  }

  #onDrain(): void {
    this.#full = false;
    this.#events?.onDrain();
  }

  end(last: Buffer | null, trailers: readonly [string, string][]): void {
    const [request, response] = [this.#request, this.#response];
    this.#headWaits = false;
    if (trailers.length > 0) response.addTrailers(trailers);
    // node drops by itself what nobody has read of a body, and only that.
    if (request.complete && request.readableDidRead) request.resume();
    endWith(response, last);
  }

  flush(): void {
    if (this.#headWaits) this.#response.flushHeaders();
    this.#headWaits = false;
  }

  cut(): void {
    const { socket } = this.#response;
    if (socket === null || this.#framing !== 'close') this.#response.destroy();
    else cutAnswer(socket, this.#framing);
  }

  cutBehind(most: number, then: () => void): void {
    const cut = (): void => {
      this.cut();
      then();
    };
    const { socket } = this.#response;
    if (socket === null || socket.destroyed) return void cut();
    this.flush();
    cutBehindWritten(socket, { framing: this.#framing, most, cut });
  }
}

const NOBODY: readonly (() => void)[] = [];

/** Ends an answer with its last part, if there is one; a small answer leaves by one write. */
function endWith(response: ServerResponse, last: Buffer | null): void {
  const { socket } = response;
  if (last === null) return void response.end();
  if (socket === null || last.length > SMALL) return void response.end(last);
  // node puts text behind its head, and would add an empty write for the end; corked by us, and written at once, what is
  // left for the end is nothing.
  socket.cork();
  response.write(last.toString('latin1'), 'latin1');
  socket.uncork();
  response.end();
}
