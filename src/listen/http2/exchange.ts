// A plain request of HTTP/2 and its answer, as everything above the listener has them. Flow control is back-pressure: a body
// that is not read stops at its stream's window, and holds no other stream up.
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { guarded } from '../../base/guard.ts';
import type { MessageLike } from '../../http/head.ts';
import type { BodySink, ClientRequest, ClientResponse, ResponseEvents, ResponseHead } from '../../proxy/client.ts';
import { http2Answer, http2Trailers } from './answer-fields.ts';
import { StreamListeners } from './stream-listeners.ts';

const NOTHING = Buffer.alloc(0);
const NO_TRAILERS: readonly string[] = [];

export class Http2Request implements ClientRequest {
  readonly message: MessageLike;
  readonly connection: Socket;
  readonly authScope: ServerHttp2Stream;
  readonly hasBody: boolean;
  readonly expectsContinue: boolean;
  readonly #stream: ServerHttp2Stream;
  #sink: BodySink | null = null;
  #used = false;
  #ended: boolean;
  #trailers = NO_TRAILERS;

  /** `below` is the connection that the stream is one of. */
  constructor(stream: ServerHttp2Stream, message: MessageLike, below: Socket) {
    this.message = message;
    this.connection = below;
    this.authScope = stream;
    this.#stream = stream;
    this.#ended = stream.endAfterHeaders;
    this.hasBody = !this.#ended;
    this.expectsContinue = this.hasBody && expectsContinue(message.rawHeaders);
    if (this.hasBody) {
      stream.once('trailers', (_trailers, _flags, ...raw: unknown[]) => {
        this.#trailers = (raw[0] as string[] | undefined) ?? NO_TRAILERS;
      });
    }
  }

  get complete(): boolean {
    return this.#ended || this.#stream.state.remoteClose === 1;
  }

  get bodyUsed(): boolean {
    return this.#used;
  }

  get bodyEnded(): boolean {
    return this.#ended;
  }

  get trailers(): readonly string[] {
    return this.#trailers;
  }

  read(sink: BodySink): void {
    this.#sink = sink;
    this.#used = true;
    Http2Request.#listeners.own(this.#stream, this);
    this.#stream.on('data', Http2Request.#onData).on('end', Http2Request.#onEnd);
  }

  resume(): void {
    this.#stream.resume();
  }

  stop(): void {
    this.#sink = null;
    this.#stream.off('data', Http2Request.#onData).off('end', Http2Request.#onEnd).pause();
  }

  /** Nothing has to be read for the answer to arrive: the stream is reset behind it (RFC 9113 §8.1). */
  discard(then: () => void): void {
    then();
  }

  abandon(): void {
    // Its answer is still to come, and the stream is reset behind that.
  }

  static readonly #listeners = new StreamListeners<Http2Request>(
    'request',
    (request) => void request.#stream.destroy(new Error('internal error')),
  );

  static readonly #onData = Http2Request.#listeners.make((request, part: Buffer) => {
    if (request.#sink?.onBodyPart(part) === false) request.#stream.pause();
  });

  static readonly #onEnd = Http2Request.#listeners.make((request) => {
    // node says `end` for a stream that was reset, too.
    if (request.#stream.aborted || request.#stream.destroyed) return;
    request.#ended = true;
    request.#sink?.onBodyEnd();
  });
}

function expectsContinue(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === 'expect') return (fields[i + 1] as string).toLowerCase() === '100-continue';
  }
  return false;
}

/** Whether an answer ends with its head (RFC 9110 §6.4.1): node ends such a stream by itself, too. */
function hasNoBody({ message }: Http2Request, { status, framing }: ResponseHead): boolean {
  return framing === 'none' || message.method === 'HEAD' || status === 204 || status === 205 || status === 304;
}

export class Http2Response implements ClientResponse {
  readonly #stream: ServerHttp2Stream;
  readonly #request: Http2Request;
  /** Called where the stream ends by a reset before the answer is whole, unless it is we who broke it off. */
  readonly #onReset: () => void;
  #events: ResponseEvents | null = null;
  #status = 200;
  #written = 0;
  /** It was given whole by one call, and leaves at the end of the turn. */
  #atOnce = false;
  /** Its end was given to the stream. */
  #ended = false;
  /** All of it was given to the system. */
  #sent = false;
  #cut = false;
  #trailers: readonly [string, string][] = [];

  constructor(stream: ServerHttp2Stream, request: Http2Request, onReset: () => void) {
    this.#stream = stream;
    this.#request = request;
    this.#onReset = onReset;
    Http2Response.#listeners.own(stream, this);
    stream.on('finish', Http2Response.#onFinish).on('close', Http2Response.#onClose).on('aborted', destroyStream);
  }

  get status(): number {
    return this.#status;
  }

  get headersSent(): boolean {
    return this.#stream.headersSent;
  }

  get closed(): boolean {
    return this.#sent || this.#lost;
  }

  /** Of the content alone: what its head takes depends on the heads before it (RFC 7541). */
  get bytesToClient(): number {
    return this.#atOnce && !this.#lost ? this.#written : this.#written - this.#stream.writableLength;
  }

  notify(events: ResponseEvents | null): void {
    this.#events = events;
  }

  onClosed(callback: () => void): void {
    if (this.#stream.closed) callback();
    else this.#stream.once('close', callback);
  }

  closeAfter(): void {
    // A refusal never ends the connection that others use; a drain ends it by GOAWAY.
  }

  interim(status: number, _phrase: string, fields: readonly string[]): void {
    if (this.#lost || this.headersSent) return;
    this.#stream.additionalHeaders(http2Answer(status, fields));
  }

  answer(head: ResponseHead, body: Buffer | null): void {
    const empty = body === null || body.length === 0 || hasNoBody(this.#request, head);
    this.#respond(head, empty);
    if (empty) return;
    this.#atOnce = true;
    this.end(body, []);
  }

  head(head: ResponseHead): void {
    this.#respond(head, hasNoBody(this.#request, head));
  }

  write(part: Buffer): boolean {
    if (this.#lost) return true;
    this.#written += part.length;
    if (this.#stream.write(part)) return true;
    this.#stream.once('drain', Http2Response.#onDrain);
    return false;
  }

  end(last: Buffer | null, trailers: readonly [string, string][]): void {
    if (this.#lost || this.#ended) return;
    this.#ended = true;
    this.#trailers = trailers;
    if (last === null) {
      this.#stream.end();
      return;
    }
    this.#written += last.length;
    this.#stream.end(last);
  }

  flush(): void {
    // HEADERS and DATA leave at the end of the turn by themselves.
  }

  cut(): void {
    // What its client has reset already, or node for what the client sent, is the client's reset.
    if (!this.#lost) this.#cut = true;
    // An end, or a reset without an error, would make half an answer look whole.
    this.#stream.destroy(new Error('the answer was cut'));
  }

  cutBehind(most: number, then: () => void): void {
    let timer: NodeJS.Timeout | undefined;
    const settle = guarded('request', () => {
      clearTimeout(timer);
      this.#stream.off('close', settle);
      this.cut();
      then();
    });
    if (this.#lost) {
      settle();
      return;
    }
    timer = setTimeout(settle, most);
    this.#stream.once('close', settle);
    // Called when all that stands before it has left.
    this.#stream.write(NOTHING, settle);
  }

  get #lost(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  #respond({ status, fields, framing }: ResponseHead, endStream: boolean): void {
    this.#status = status;
    if (this.#lost) return;
    this.#ended = endStream;
    const waitForTrailers = framing === 'chunked' && !endStream;
    if (waitForTrailers) this.#stream.on('wantTrailers', Http2Response.#onWantTrailers);
    this.#stream.respond(http2Answer(status, fields), { endStream, waitForTrailers });
  }

  static readonly #listeners = new StreamListeners<Http2Response>('request', (response) => response.cut());

  /** Always answered, or node ends the stream by a reset in place of an end. */
  static readonly #onWantTrailers = Http2Response.#listeners.make((response) => {
    if (!response.#lost) response.#stream.sendTrailers(http2Trailers(response.#trailers));
  });

  static readonly #onDrain = Http2Response.#listeners.make((response) => response.#events?.onDrain());

  static readonly #onFinish = Http2Response.#listeners.make((response) => {
    const stream = response.#stream;
    // node ends a stream that its client has reset, too.
    if (!response.#ended || stream.aborted) return;
    response.#sent = true;
    // RFC 9113 §8.1: the client may stop sending what nobody reads. What of it is here is dropped: node would wait for who
    // reads it, and keep the stream.
    if (!response.#request.complete) stream.close(constants.NGHTTP2_NO_ERROR);
    stream.resume();
    response.#events?.onSent();
  });

  static readonly #onClose = Http2Response.#listeners.make((response) => {
    if (response.#sent) return;
    if (!response.#cut) response.#onReset();
    response.#events?.onClientLeft();
  });
}

/** A reset with NO_ERROR lets node wait for who reads the rest of the request, which may be nobody. */
function destroyStream(this: ServerHttp2Stream): void {
  this.destroy();
}
