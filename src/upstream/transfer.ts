// One attempt at one exchange: the client's message to the server, the server's to the client, each no faster than it is
// taken, until both are over or one of the three is lost. How the request toward the server is made is the engine's.
import type { ClientRequest, IncomingMessage, InformationEvent, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { asGatewayError, GatewayError, systemCode } from '../errors.ts';
import { passingTrailers } from '../http/trailers.ts';
import { Clock } from './clock.ts';
import { upstreamError } from './dial.ts';
import { discardBody } from './discard.ts';
import { answerHead, hasBody, interimFields, isPhrase } from './framing.ts';
import { type Exchange, ExchangeError, type Progress } from './http-engine.ts';
import { pump } from './pump.ts';

/** `stale`: a kept connection turned out to be gone before it was used, and the request may be sent again. */
export type Outcome = 'answered' | 'stale';

/** RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
const LOST = new Set(['ECONNRESET', 'EPIPE']);

const nothing = (): void => undefined;

export class Transfer {
  /** Settles once, as HttpEngine says, or with `stale`. */
  readonly outcome: Promise<Outcome>;
  readonly #exchange: Exchange;
  readonly #clock: Clock;
  #resolve: (outcome: Outcome) => void = nothing;
  #reject: (error: ExchangeError) => void = nothing;
  #over = false;
  #upstream: ClientRequest | null = null;
  #socket: Socket | null = null;
  #readBefore = 0;
  #answer: IncomingMessage | null = null;
  #untilClose = false;
  #continued = false;
  #progress: Progress = 'unsent';
  /** The answer is written but for its end, which waits for the client to stop sending. */
  #lingering = false;
  #flush: NodeJS.Immediate | undefined;
  #stopRequest = nothing;
  #stopAnswer = nothing;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#clock = new Clock(exchange.timeouts, (error) => this.#onExpired(error));
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { req, res } = exchange;
    res.on('finish', this.#onSent).on('close', this.#onClientClosed);
    if (res.socket === null) {
      // The response waits for the one before it on its connection, and would not hear that the client left. Any
      // number of pipelined requests may wait so.
      req.socket.setMaxListeners(0).on('close', this.#onClientClosed);
    }
    if (res.destroyed || req.socket.destroyed) this.#onClientClosed();
  }

  get over(): boolean {
    return this.#over;
  }

  /** Takes the request toward the server before anything of it was sent. */
  start(upstream: ClientRequest): void {
    this.#upstream = upstream;
    // Node would silently drop fields past its limit; the size of the head is bounded anyway.
    upstream.maxHeadersCount = 0;
    upstream.once('socket', (socket) => this.#onSocket(upstream, socket));
    upstream.on('information', (interim) => this.#onInterim(interim));
    upstream.once('response', (answer) => this.#onAnswer(upstream, answer));
    upstream.once('upgrade', (_answer, socket) => {
      socket.destroy();
      this.#refuseSwitch();
    });
    this.#clock.waitFor('socket');
    if (!hasBody(this.#exchange.req)) upstream.end();
  }

  /** The connection to the server broke, or what came over it is not HTTP. */
  lost(cause: unknown): void {
    if (this.#over) return;
    if (this.#isStale(cause)) {
      this.#end();
      return void this.#resolve('stale');
    }
    this.fail(serverError(cause, this.#exchange.server.url));
  }

  /** Ends the exchange with an error. */
  fail(error: GatewayError): void {
    if (this.#over) return;
    const { req, res } = this.#exchange;
    this.#end();
    this.#upstream?.destroy();
    if (res.headersSent || error.code === 'client_gone') {
      cut(res, this.#untilClose);
    } else if (req.readableDidRead) {
      // Whoever answers now can't send the request anywhere else; unread, the rest would block the connection.
      void discardBody(req).then(() => req.complete || req.socket.destroy());
    }
    this.#reject(new ExchangeError(error, res.headersSent ? 'begun' : this.#progress));
  }

  #end(): void {
    this.#over = true;
    this.#clock.stop();
    clearImmediate(this.#flush);
    this.#stopRequest();
    this.#stopAnswer();
    const { req, res } = this.#exchange;
    res.off('finish', this.#onSent).off('close', this.#onClientClosed);
    req.socket.off('close', this.#onClientClosed);
  }

  #onSent = (): void => {
    this.#end();
    this.#resolve('answered');
  };

  #onClientClosed = (): void => {
    if (this.#lingering) this.#onSent();
    else this.fail(new GatewayError('client_gone', 'the client left before it had its answer'));
  };

  #onExpired(error: GatewayError): void {
    const { res } = this.#exchange;
    // A response that waits for the one before it is not the client's delay.
    if (error.code === 'client_gone' && this.#answer !== null && res.socket === null) this.#clock.touch();
    else this.fail(error);
  }

  #refuseSwitch(): void {
    this.fail(new GatewayError('bad_accept', 'the server switched protocols without being asked to'));
  }

  /** RFC 9112 §9.3.1: only where the server can't have begun to act on the request, or may act on it twice. */
  #isStale(cause: unknown): boolean {
    const { req } = this.#exchange;
    return (
      this.#upstream?.reusedSocket === true &&
      this.#socket?.bytesRead === this.#readBefore &&
      IDEMPOTENT.has(req.method ?? '') &&
      !hasBody(req) &&
      LOST.has(systemCode(cause) ?? '')
    );
  }

  #onSocket(upstream: ClientRequest, socket: Socket): void {
    this.#socket = socket;
    this.#readBefore = socket.bytesRead;
    if (!socket.connecting) return void this.#send(upstream);
    this.#clock.waitFor('connection');
    socket.once(this.#exchange.server.secure ? 'secureConnect' : 'connect', () => this.#send(upstream));
  }

  /** Nothing of the body is taken from the client before the connection stands. */
  #send(upstream: ClientRequest): void {
    if (this.#over) return;
    const { req } = this.#exchange;
    const bodiless = !hasBody(req);
    this.#progress = bodiless ? 'head' : 'begun';
    if (bodiless) return void this.#clock.waitFor('head');
    upstream.flushHeaders();
    this.#clock.waitFor(this.#awaitsContinue() ? 'head' : 'request');
    this.#stopRequest = pump(req, upstream, {
      progress: (full) => this.#waitInRequest(full ? 'head' : 'request'),
      end: () => {
        if (req.rawTrailers.length > 0) upstream.addTrailers(passingTrailers(req.rawTrailers));
        upstream.end();
        this.#waitInRequest('head');
      },
    });
  }

  /** A server that answers while the request still comes is measured by its answer. */
  #waitInRequest(wait: 'head' | 'request'): void {
    if (this.#answer === null) this.#clock.waitFor(wait);
    else this.#clock.touch();
  }

  /** Whether the client may hold its body back until it is told to go on (RFC 9110 §10.1.1). */
  #awaitsContinue(): boolean {
    const { req } = this.#exchange;
    return /^100-continue$/i.test(req.headers.expect ?? '') && !this.#continued && !req.readableDidRead;
  }

  #onInterim({ statusCode, statusMessage, rawHeaders }: InformationEvent): void {
    if (this.#over) return;
    this.#clock.touch();
    const { req, res } = this.#exchange;
    // RFC 9110 §15.2: never to an HTTP/1.0 client.
    if (req.httpVersion !== '1.1') return;
    this.#progress = 'begun';
    if (statusCode !== 100) {
      return void writeInterim(res, `${statusCode} ${statusMessage}`, interimFields(this.#exchange, rawHeaders));
    }
    if (this.#continued) return;
    if (this.#awaitsContinue()) this.#clock.waitFor('request');
    this.#continued = true;
    res.writeContinue();
  }

  #onAnswer(upstream: ClientRequest, answer: IncomingMessage): void {
    if (this.#over) return;
    const { req, res, server, declines } = this.#exchange;
    const { statusCode = 0 } = answer;
    if (this.#progress !== 'begun' && declines(statusCode, answer.rawHeaders)) {
      return void this.fail(new GatewayError('backend_refused', `${server.url} answered ${statusCode}`));
    }
    try {
      const { status, phrase, fields, untilClose } = answerHead(this.#exchange, answer);
      // RFC 9112 §9.6: the rest of a request that nobody may want is not read for ever; the client is told to stop.
      if (!req.complete) fields.push('Connection', 'close');
      // Node would send chunks to an HTTP/1.0 client that names them in TE.
      if (untilClose) res.removeHeader('Transfer-Encoding');
      res.writeHead(status, phrase, fields);
      this.#untilClose = untilClose;
    } catch (thrown) {
      return void this.fail(asGatewayError(thrown));
    }
    this.#answer = answer;
    const cutShort = (cause?: unknown): void =>
      this.fail(new GatewayError('backend_refused', `${server.url} ended in the middle of its answer`, cause));
    answer.once('error', cutShort);
    // The head goes out with what came along with it, and alone if nothing did.
    this.#flush = setImmediate(() => res.flushHeaders());
    this.#clock.waitFor('answer');
    this.#stopAnswer = pump(answer, res, {
      progress: (full) => this.#clock.waitFor(full ? 'client' : 'answer'),
      end: () => (answer.complete ? this.#onAnswerEnd(upstream, answer) : cutShort()),
    });
  }

  #onAnswerEnd(upstream: ClientRequest, answer: IncomingMessage): void {
    const { req, res } = this.#exchange;
    if (answer.rawTrailers.length > 0) res.addTrailers(passingTrailers(answer.rawTrailers));
    // A connection whose request was not sent to its end can't serve another; node has let go of any other by now.
    upstream.destroy();
    this.#stopRequest();
    this.#clock.waitFor('client');
    if (req.complete || this.#awaitsContinue()) {
      if (req.readableDidRead) req.resume();
      res.end();
      return;
    }
    this.#lingering = true;
    this.#clock.stop();
    clearImmediate(this.#flush);
    res.flushHeaders();
    void discardBody(req).then(() => this.#over || res.end());
  }
}

function serverError(cause: unknown, url: string): GatewayError {
  const code = systemCode(cause) ?? '';
  const message = cause instanceof Error ? cause.message : String(cause);
  if (code.startsWith('HPE_')) return new GatewayError('bad_accept', `${url} sent no valid HTTP: ${message}`, cause);
  if (code === 'ETIMEDOUT') return new GatewayError('backend_timeout', `no connection to ${url}: ${message}`, cause);
  return upstreamError(cause, `forwarding to ${url}`);
}

/** Node's own writeEarlyHints knows neither repeated fields nor fields without Link. */
function writeInterim(res: ServerResponse, status: string, fields: readonly string[]): void {
  const { socket } = res;
  // Interim answers may be dropped: one that would overtake an earlier answer, or pile up before a client that doesn't
  // read.
  if (socket === null || !socket.writable || socket.writableNeedDrain || !isPhrase(status)) return;
  let head = `HTTP/1.1 ${status}\r\n`;
  for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`;
  socket.write(`${head}\r\n`, 'latin1');
}

/** Breaks the client's connection off so that it can't take what it got for a whole answer. */
function cut(res: ServerResponse, untilClose: boolean): void {
  const { socket } = res;
  if (!untilClose || socket === null) return void res.destroy();
  try {
    // Where the end of the connection is the end of the body, a FIN would be a lie.
    socket.resetAndDestroy();
  } catch {
    // TLS and unix sockets know no RST; a TLS client sees that no close_notify came.
    socket.destroy();
  }
}
