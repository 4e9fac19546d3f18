// The stream of an extended CONNECT (RFC 8441) as the connection of the handshake that it stands for: what the actions
// write as an answer of HTTP/1.1 becomes the stream's answer, 200 in place of 101; behind that every octet is the
// WebSocket's, both ways. So splice, terminate and refusals are the same as on a connection of HTTP/1.1.
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { guarded, ignore } from '../../base/guard.ts';
import { answerFraming, type BodyCursor, followBody } from '../../http/answer.ts';
import { AnswerReader } from '../../http/answer-reader.ts';
import { http2Answer } from './answer-fields.ts';
import { StreamListeners } from './stream-listeners.ts';

type Callback = (error?: Error | null) => void;

/** Is told what becomes of a handshake. */
export interface TunnelEvents {
  /** It was answered with 101: the stream is a WebSocket. */
  onOpened(): void;
  /** The client reset the stream before it was answered. */
  onReset(): void;
}

export class Http2Tunnel extends Duplex {
  readonly #stream: ServerHttp2Stream;
  readonly #below: Socket;
  /** Null behind the answer's head. */
  #events: TunnelEvents | null;
  /** Reads the answer's head; null behind it. */
  #head: AnswerReader | null = new AnswerReader();
  /** The content of a refusal; null for a WebSocket. */
  #body: BodyCursor | null = null;
  #written = 0;
  #read = 0;
  #idleMs = 0;
  #idle: NodeJS.Timeout | undefined;

  /** `below` is the connection that the stream is one of. */
  constructor(stream: ServerHttp2Stream, below: Socket, events: TunnelEvents) {
    super({ allowHalfOpen: true });
    // Who has it listens for its end. A client may reset the stream before anybody has it, or behind a refusal.
    this.on('error', ignore);
    this.#stream = stream;
    this.#below = below;
    this.#events = events;
    Http2Tunnel.#listeners.own(stream, this);
    stream.on('data', Http2Tunnel.#onData).on('end', Http2Tunnel.#onEnd).on('close', Http2Tunnel.#onClose);
    // A reset with NO_ERROR lets node wait for who reads the rest.
    stream.on('aborted', Http2Tunnel.#onClose);
    stream.pause();
  }

  /** Bytes of the stream's content, as a socket counts them: `bytesWritten` holds what still waits. */
  get bytesRead(): number {
    return this.#read;
  }

  get bytesWritten(): number {
    return this.#written + this.writableLength;
  }

  get localAddress(): string | undefined {
    return this.#below.localAddress;
  }

  get localPort(): number | undefined {
    return this.#below.localPort;
  }

  /** As a socket's: emits `timeout` after so many milliseconds without a byte; 0 ends it. */
  setTimeout(ms: number, onTimeout?: () => void): this {
    if (onTimeout !== undefined) {
      if (ms === 0) this.off('timeout', onTimeout);
      else this.once('timeout', onTimeout);
    }
    this.#idleMs = ms;
    this.#touch();
    return this;
  }

  override _read(): void {
    this.#stream.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    const written: Callback = (error) => {
      this.#written += chunk.length;
      callback(error);
    };
    this.#touch();
    if (this.#head === null) this.#send(chunk, written);
    else this.#answer(this.#head, chunk, written);
  }

  override _final(callback: Callback): void {
    if (!this.#stream.headersSent) return void callback(new Error('the answer has no head'));
    this.#stream.end(() => callback());
  }

  override _destroy(error: Error | null, callback: Callback): void {
    clearTimeout(this.#idle);
    // A reset with NO_ERROR, or an end, would make what is cut look whole.
    const whole = this.writableFinished && this.#stream.writableFinished;
    this.#stream.destroy(whole ? undefined : (error ?? new Error('the tunnel was cut')));
    callback(error);
  }

  #answer(reader: AnswerReader, chunk: Buffer, callback: Callback): void {
    const start = reader.take(chunk);
    if (start === null) return void callback();
    if ('fault' in start) return void callback(new Error(start.fault));
    this.#head = null;
    const { head, rest } = start;
    const opens = head.status === 101;
    if (this.#stream.destroyed || this.#stream.closed) return void callback(reset());
    this.#stream.respond(http2Answer(opens ? 200 : refusalOf(head.status), head.fields), { endStream: false });
    if (opens) this.#events?.onOpened();
    else {
      const framing = answerFraming(head);
      if ('fault' in framing) return void callback(new Error(framing.fault));
      this.#body = followBody(framing);
    }
    this.#events = null;
    if (rest.length === 0) callback();
    else this.#send(rest, callback);
  }

  #send(chunk: Buffer, callback: Callback): void {
    if (this.#body === null) {
      this.#stream.write(chunk, callback);
      return;
    }
    const parts: Buffer[] = [];
    const taken = this.#body.take(chunk, (part) => void parts.push(part));
    if (typeof taken !== 'number') return void callback(new Error(taken.fault));
    if (parts.length === 0) callback();
    else this.#stream.write(parts.length === 1 ? parts[0] : Buffer.concat(parts), callback);
  }

  #touch(): void {
    clearTimeout(this.#idle);
    if (this.#idleMs > 0 && !this.destroyed) this.#idle = setTimeout(Http2Tunnel.#onIdle, this.#idleMs, this);
  }

  static readonly #onIdle = guarded('handshake', (tunnel: Http2Tunnel) => void tunnel.emit('timeout'));

  static readonly #listeners = new StreamListeners<Http2Tunnel>('handshake', (tunnel) => void tunnel.destroy());

  static readonly #onData = Http2Tunnel.#listeners.make((tunnel, chunk: Buffer) => {
    tunnel.#read += chunk.length;
    tunnel.#touch();
    if (!tunnel.push(chunk)) tunnel.#stream.pause();
  });

  static readonly #onEnd = Http2Tunnel.#listeners.make((tunnel) => void tunnel.push(null));

  /** The stream is over; what was not sent or read to its end was reset by the client, or went with its connection. */
  static readonly #onClose = Http2Tunnel.#listeners.make((tunnel) => {
    clearTimeout(tunnel.#idle);
    if (tunnel.destroyed) return;
    if (tunnel.#head !== null) tunnel.#events?.onReset();
    const ended = tunnel.readableEnded || tunnel.readableLength > 0 || tunnel.#stream.readableEnded;
    if (tunnel.writableFinished && ended) tunnel.destroy();
    else tunnel.destroy(reset());
  });
}

/** Any 2xx would open the WebSocket (RFC 9110 §9.3.6): one that is no 101 in HTTP/1.1 must not. */
function refusalOf(status: number): number {
  return status >= 200 && status <= 299 ? 502 : status;
}

function reset(): Error {
  return Object.assign(new Error('the client reset the stream'), { code: 'ECONNRESET' });
}
