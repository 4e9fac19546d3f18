// One attempt at one exchange: forwards the client's message to the server and the server's to the client, no faster than the
// receiver reads, until both are complete or a connection is lost. UpstreamStream and ClientRequest do the reading and writing.
import type { Deadlines } from '../base/deadlines.ts';
import { reportDefect } from '../base/guard.ts';
import type { SlotHandle } from '../base/slot-set.ts';
import { asGatewayError, GatewayError } from '../errors.ts';
import { passingTrailers } from '../http/trailers.ts';
import { type EndlessAnswer, isEndless } from '../upstream/endless.ts';
import { serverError } from '../upstream/server-error.ts';
import type { BodySink, ResponseEvents } from './client.ts';
import { answerHead, interimFault, interimFields, type OutgoingRequestHead, requestHead } from './framing.ts';
import { type Exchange, ExchangeError, IDEMPOTENT, type Progress } from './http-engine.ts';
import { PhaseTimer } from './phase-timer.ts';
import { DEFECT, type ReceivedHead, type UpstreamEvents, type UpstreamStream, wasStale } from './upstream-stream.ts';

/** Services of an engine for all its exchanges. */
export interface ExchangeOwner {
  readonly deadlines: Deadlines;
  /** A kept connection was closed before it was used: the request is sent again over another one. */
  sendAgain(exchange: Exchange): void;
}

export class HttpExchange implements UpstreamEvents, BodySink, ResponseEvents, EndlessAnswer {
  /** What to send to the server. */
  readonly head: OutgoingRequestHead;
  /** Called at the end of the exchange, before its result is reported. */
  onOver: (() => void) | null = null;
  readonly #owner: ExchangeOwner;
  readonly #exchange: Exchange;
  readonly #clock: PhaseTimer;
  #over = false;
  #link: UpstreamStream | null = null;
  /** Whether the request's body is being forwarded. */
  #reading = false;
  #answering = false;
  /** Bytes of the request's body. */
  /** Missing bytes of a body of known length; null for another body. */
  #left: number | null = null;
  /** The last part of a body of known length, which is written together with the end. */
  #last: Buffer | null = null;
  #continued = false;
  #interims = 0;
  #progress: Progress = 'unsent';
  /** The answer is written except its end, which waits until the client stops sending. */
  #lingering = false;
  #endlessHandle: SlotHandle<EndlessAnswer> | null = null;

  constructor(exchange: Exchange, owner: ExchangeOwner) {
    this.#exchange = exchange;
    this.#owner = owner;
    this.head = requestHead(exchange);
    this.#clock = new PhaseTimer(owner.deadlines, exchange.timeouts, this);
    exchange.response.notify(this);
    if (exchange.response.closed) this.onClientLeft();
    else this.#clock.waitFor('socket');
  }

  get over(): boolean {
    return this.#over;
  }

  /** Starts the request to the server; nothing of it was sent before. */
  start(link: UpstreamStream): void {
    this.#link = link;
  }

  connecting(): void {
    if (!this.#over) this.#clock.waitFor('connection');
  }

  /** Reads nothing of the body from the client before the connection is open. */
  connected(): void {
    const link = this.#link;
    if (this.#over || link === null) return;
    this.#progress = this.head.hasBody ? 'begun' : 'head';
    if (!this.head.hasBody) {
      link.finish([]);
      return void this.#clock.waitFor('head');
    }
    link.sendHead();
    this.#clock.waitFor(this.#awaitsContinue() ? 'head' : 'request');
    this.#reading = true;
    this.#exchange.request.read(this);
  }

  onBodyPart(part: Buffer): boolean {
    try {
      const { maxBody } = this.#exchange;
      this.#exchange.bodyBytes += part.length;
      if (maxBody !== null && this.#exchange.bodyBytes > maxBody) {
        this.fail(new GatewayError('body_too_large', `the request body has more than ${maxBody} bytes`));
        return false;
      }
      const room = this.#link?.write(part) ?? true;
      this.#waitInRequest(room ? 'request' : 'head');
      return room;
    } catch (thrown) {
      this.#broke(thrown);
      return false;
    }
  }

  onBodyEnd(): void {
    try {
      this.#reading = false;
      const { trailers } = this.#exchange.request;
      this.#link?.finish(this.head.chunked ? passingTrailers(trailers) : []);
      this.#waitInRequest('head');
    } catch (thrown) {
      this.#broke(thrown);
    }
  }

  drained(): void {
    if (!this.#reading) return;
    this.#exchange.request.resume();
    this.#waitInRequest('request');
  }

  /** The connection to the server broke, or its bytes are not HTTP. */
  lost(cause: unknown): void {
    if (this.#over) return;
    if (this.#isStale(cause)) {
      this.#end();
      return void this.#owner.sendAgain(this.#exchange);
    }
    const { url } = this.#exchange.server;
    const broken = serverError(cause, url, this.#answering);
    // Within an answer the kind of error matters only if the bytes are not HTTP.
    const cutShort = this.#answering && broken.code !== 'bad_accept';
    const message = `${url} ended in the middle of its answer`;
    this.fail(cutShort ? new GatewayError('backend_refused', message, cause) : broken);
  }

  /** Ends the exchange with an error. */
  fail(error: GatewayError): void {
    if (this.#over) return;
    const { request, response, timeouts } = this.#exchange;
    this.#end();
    this.#link?.destroy();
    const failed = new ExchangeError(error, response.headersSent ? 'begun' : this.#progress);
    if (response.headersSent && error.code !== 'client_gone') {
      // The client gets the received part of the answer.
      return void response.cutBehind(timeouts.idle, () => this.#exchange.settled(failed));
    }
    if (error.code === 'client_gone') {
      response.cut();
    } else if (request.bodyUsed) {
      // The request can't be retried; if its rest stayed unread, it would block the connection.
      request.discard(() => void (request.complete || request.abandon()));
    }
    this.#exchange.settled(failed);
  }

  /** A defect ends the exchange. */
  #broke(thrown: unknown): void {
    reportDefect('request', thrown);
    this.lost(DEFECT);
  }

  #end(): void {
    const { response, endless } = this.#exchange;
    this.#over = true;
    if (this.#endlessHandle !== null) endless.remove(this.#endlessHandle);
    this.#clock.stop();
    this.#stopReading();
    response.notify(null);
    this.onOver?.();
  }

  #stopReading(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.#exchange.request.stop();
  }

  endEarly(): void {
    if (this.#over || this.#link === null) return;
    this.#link.destroy();
    this.#exchange.response.closeAfter();
    this.end([]);
  }

  onSent(): void {
    if (this.#over) return;
    this.#end();
    this.#exchange.settled(null);
  }

  onClientLeft(): void {
    try {
      if (this.#lingering) this.onSent();
      else this.fail(new GatewayError('client_gone', 'the client left before it had its answer'));
    } catch (thrown) {
      this.#broke(thrown);
    }
  }

  /** RFC 9112 §9.3.1: only if the server can't have started to act on the request, or may act on it twice. */
  #isStale(cause: unknown): boolean {
    if (this.#link === null || !wasStale(this.#link, cause)) return false;
    if (this.#progress === 'unsent') return true;
    return IDEMPOTENT.has(this.#exchange.request.message.method ?? '') && !this.head.hasBody;
  }

  /** If a server answers before the request is complete, the timeout applies to its answer. */
  #waitInRequest(wait: 'head' | 'request'): void {
    if (this.#answering) this.#clock.touch();
    else this.#clock.waitFor(wait);
  }

  /** Whether the client may hold its body back until it gets a 100 (RFC 9110 §10.1.1). */
  #awaitsContinue(): boolean {
    const { expectsContinue, bodyUsed } = this.#exchange.request;
    return this.head.hasBody && !this.#continued && !bodyUsed && expectsContinue;
  }

  interim(status: number, phrase: string, fields: readonly string[]): void {
    if (this.#over) return;
    const fault = interimFault(status, ++this.#interims);
    if (fault !== null) return void this.fail(new GatewayError('bad_accept', fault));
    this.#clock.touch();
    const { request, response } = this.#exchange;
    // RFC 9110 §15.2: never to an HTTP/1.0 client.
    if (request.message.httpVersion !== '1.1') return;
    this.#progress = 'begun';
    if (status !== 100) return void response.interim(status, phrase, interimFields(this.#exchange, fields));
    if (this.#continued) return;
    if (this.#awaitsContinue()) this.#clock.waitFor('request');
    this.#continued = true;
    response.interim(100, phrase, []);
  }

  answer(received: ReceivedHead): void {
    if (this.#over) return;
    const { request, response, server, endless } = this.#exchange;
    if (this.#progress !== 'begun' && this.#exchange.declines(received.status, received.fields)) {
      return void this.fail(new GatewayError('backend_refused', `${server.url} answered ${received.status}`));
    }
    try {
      const head = answerHead(this.#exchange, received);
      // RFC 9112 §9.6: the rest of a request that nobody may want is not read for ever; `Connection: close` makes the client stop.
      if (!request.complete) response.closeAfter();
      response.head(head);
      this.#left = head.length;
      if (head.length === null && isEndless(head.fields)) this.#endlessHandle = endless.add(this);
    } catch (thrown) {
      return void this.fail(asGatewayError(thrown, 'request'));
    }
    this.#answering = true;
    this.#clock.waitFor('answer');
  }

  flush(): void {
    if (!this.#over) this.#exchange.response.flush();
  }

  part(part: Buffer): boolean {
    if (this.#over) return true;
    if (this.#left !== null) {
      this.#left -= part.length;
      if (this.#left <= 0) {
        this.#last = part;
        return true;
      }
    }
    const room = this.#exchange.response.write(part);
    this.#clock.waitFor(room ? 'answer' : 'client');
    return room;
  }

  onDrain(): void {
    // After a complete answer only the client is awaited.
    if (this.#over || this.#link === null) return;
    try {
      this.#clock.waitFor('answer');
      this.#link.resume();
    } catch (thrown) {
      this.#broke(thrown);
    }
  }

  end(received: readonly string[]): void {
    if (this.#over) return;
    const { request, response } = this.#exchange;
    const trailers = passingTrailers(received);
    // A connection with an incomplete request can't be reused; any other returns to the engine.
    if (!request.complete || (this.head.hasBody && !request.bodyEnded)) this.#link?.destroy();
    this.#link = null;
    this.#stopReading();
    this.#clock.waitFor('client');
    if (request.complete || this.#awaitsContinue()) return void response.end(this.#last, trailers);
    this.#lingering = true;
    this.#clock.pause();
    if (this.#last !== null) response.write(this.#last);
    response.flush();
    request.discard(() => void (this.#over || response.end(null, trailers)));
  }
}
