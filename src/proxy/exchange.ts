// One attempt at one exchange: the client's message to the server, the server's to the client, each no faster than it is
// taken, until both are over or one of the three is lost. How they cross the wire is the engine's, behind an UpstreamStream.

import { ignore } from '../base/guard.ts';
import type { SlotHandle } from '../base/slot-set.ts';
import { asGatewayError, GatewayError, systemCode } from '../errors.ts';
import { passingTrailers } from '../http/trailers.ts';
import { type EndlessAnswer, isEndless } from '../upstream/endless.ts';
import { serverError } from '../upstream/server-error.ts';
import { cut, cutBehind, endWith, writeInterim } from './client-side.ts';
import { afterDiscard } from './discard.ts';
import { answerHead, interimFault, interimFields, type OutgoingRequestHead, requestHead } from './framing.ts';
import { type Exchange, ExchangeError, IDEMPOTENT, type Progress } from './http-engine.ts';
import { PhaseTimer } from './phase-timer.ts';
import { type Pump, pump } from './pump.ts';
import { lostIfBroken, type ReceivedHead, type UpstreamEvents, type UpstreamStream } from './upstream-stream.ts';

/** `stale`: a kept connection turned out to be closed before it was used, and the request may be sent again. */
export type ExchangeOutcome = 'answered' | 'stale';

const LOST = new Set(['ECONNRESET', 'EPIPE']);

export class HttpExchange implements UpstreamEvents {
  /** Settles once, as HttpEngine says, or with `stale`. */
  readonly outcome: Promise<ExchangeOutcome>;
  /** What to send to the server. */
  readonly head: OutgoingRequestHead;
  readonly #exchange: Exchange;
  readonly #clock: PhaseTimer;
  #resolve: (outcome: ExchangeOutcome) => void = ignore;
  #reject: (error: ExchangeError) => void = ignore;
  #over = false;
  #link: UpstreamStream | null = null;
  #request: Pump | null = null;
  #answering = false;
  readonly #maxBody: number;
  /** Bytes of the request's body. */
  #taken = 0;
  #untilClose = false;
  /** What of a body of known length has not come yet; null for any other. */
  #left: number | null = null;
  /** The last part of a body of known length: it goes out with the end. */
  #last: Buffer | null = null;
  #waitsForDrain = false;
  #continued = false;
  #interims = 0;
  #progress: Progress = 'unsent';
  /** The answer is written but for its end, which waits for the client to stop sending. */
  #lingering = false;
  #flush: NodeJS.Immediate | undefined;
  #endlessHandle: SlotHandle<EndlessAnswer> | null = null;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.head = requestHead(exchange);
    this.#maxBody = exchange.maxBody ?? Number.POSITIVE_INFINITY;
    this.#clock = new PhaseTimer(exchange.timeouts, (error) => this.#onExpired(error));
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { req, res } = exchange;
    res.on('finish', this.#onSent).on('close', this.#onClientClosed);
    if (res.socket === null) {
      // The response waits for the one before it on its connection, and emits nothing when the client leaves. Any
      // number of pipelined requests may wait so.
      req.socket.setMaxListeners(0).on('close', this.#onClientClosed);
    }
    if (res.destroyed || req.socket.destroyed) this.#onClientClosed();
    else this.#clock.waitFor('socket');
  }

  get over(): boolean {
    return this.#over;
  }

  /** Takes the request toward the server before anything of it was sent. */
  start(link: UpstreamStream): void {
    this.#link = link;
  }

  connecting(): void {
    if (!this.#over) this.#clock.waitFor('connection');
  }

  /** Nothing of the body is taken from the client before the connection stands. */
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
    const { req } = this.#exchange;
    this.#request = pump(req, {
      write: (part) => {
        this.#taken += part.length;
        if (this.#taken > this.#maxBody) {
          this.fail(new GatewayError('body_too_large', `the request body has more than ${this.#maxBody} bytes`));
          return false;
        }
        const room = link.write(part);
        this.#waitInRequest(room ? 'request' : 'head');
        return room;
      },
      end: () => {
        link.finish(req.rawTrailers.length > 0 && this.head.chunked ? passingTrailers(req.rawTrailers) : []);
        this.#waitInRequest('head');
      },
    });
  }

  drained(): void {
    if (this.#over || this.#request === null) return;
    this.#request.resume();
    if (!this.#exchange.req.readableEnded) this.#waitInRequest('request');
  }

  /** The connection to the server broke, or what came over it is not HTTP. */
  lost(cause: unknown): void {
    if (this.#over) return;
    if (this.#isStale(cause)) {
      this.#end();
      return void this.#resolve('stale');
    }
    const { url } = this.#exchange.server;
    const broken = serverError(cause, url, this.#answering);
    // In the middle of an answer it matters little how it broke off, unless it stopped being HTTP.
    if (!this.#answering || broken.code === 'bad_accept') return void this.fail(broken);
    this.fail(new GatewayError('backend_refused', `${url} ended in the middle of its answer`, cause));
  }

  /** Ends the exchange with an error. */
  fail(error: GatewayError): void {
    if (this.#over) return;
    const { req, res, timeouts } = this.#exchange;
    this.#end();
    this.#link?.destroy();
    const failed = new ExchangeError(error, res.headersSent ? 'begun' : this.#progress);
    if (res.headersSent && error.code !== 'client_gone') {
      // What has come of the answer is the client's.
      return void cutBehind(res, this.#untilClose, timeouts.idle).then(() => this.#reject(failed));
    }
    if (error.code === 'client_gone') {
      cut(res, this.#untilClose);
    } else if (req.readableDidRead) {
      // The request can't be sent anywhere else any more; unread, the rest would block the connection.
      afterDiscard(req, () => void (req.complete || req.socket.destroy()));
    }
    this.#reject(failed);
  }

  #end(): void {
    this.#over = true;
    if (this.#endlessHandle !== null) this.#exchange.endless.remove(this.#endlessHandle);
    this.#clock.stop();
    clearImmediate(this.#flush);
    this.#request?.stop();
    const { req, res } = this.#exchange;
    res.off('finish', this.#onSent).off('close', this.#onClientClosed).off('drain', this.#onDrain);
    req.socket.off('close', this.#onClientClosed);
  }

  #endEarly = lostIfBroken(this, () => {
    if (this.#link === null) return;
    this.#link.destroy();
    const { req, res } = this.#exchange;
    res.once('finish', () => req.socket.destroySoon());
    this.end([]);
  });

  #onSent = lostIfBroken(this, () => {
    this.#end();
    this.#resolve('answered');
  });

  #onClientClosed = lostIfBroken(this, () => {
    if (this.#lingering) this.#onSent();
    else this.fail(new GatewayError('client_gone', 'the client left before it had its answer'));
  });

  #onExpired(error: GatewayError): void {
    const { res } = this.#exchange;
    // A response that waits for the one before it is not the client's delay.
    if (error.code === 'client_gone' && this.#answering && res.socket === null) this.#clock.touch();
    else this.fail(error);
  }

  /** RFC 9112 §9.3.1: only where the server can't have begun to act on the request, or may act on it twice. */
  #isStale(cause: unknown): boolean {
    const link = this.#link;
    if (link?.reused !== true || link.touched || !LOST.has(systemCode(cause) ?? '')) return false;
    if (this.#progress === 'unsent') return true;
    return IDEMPOTENT.has(this.#exchange.req.method ?? '') && !this.head.hasBody;
  }

  /** A server that answers while the request still comes is measured by its answer. */
  #waitInRequest(wait: 'head' | 'request'): void {
    if (this.#answering) this.#clock.touch();
    else this.#clock.waitFor(wait);
  }

  /** Whether the client may hold its body back until it gets a 100 (RFC 9110 §10.1.1). */
  #awaitsContinue(): boolean {
    const { req } = this.#exchange;
    if (!this.head.hasBody || this.#continued || req.readableDidRead) return false;
    return /^100-continue$/i.test(req.headers.expect ?? '');
  }

  interim(status: number, phrase: string, fields: readonly string[]): void {
    if (this.#over) return;
    const fault = interimFault(status, ++this.#interims);
    if (fault !== null) return void this.fail(new GatewayError('bad_accept', fault));
    this.#clock.touch();
    const { req, res } = this.#exchange;
    // RFC 9110 §15.2: never to an HTTP/1.0 client.
    if (req.httpVersion !== '1.1') return;
    this.#progress = 'begun';
    if (status !== 100) return void writeInterim(res, `${status} ${phrase}`, interimFields(this.#exchange, fields));
    if (this.#continued) return;
    if (this.#awaitsContinue()) this.#clock.waitFor('request');
    this.#continued = true;
    res.writeContinue();
  }

  answer(received: ReceivedHead): void {
    if (this.#over) return;
    const { req, res, server, declines, endless } = this.#exchange;
    if (this.#progress !== 'begun' && declines(received.status, received.fields)) {
      return void this.fail(new GatewayError('backend_refused', `${server.url} answered ${received.status}`));
    }
    try {
      const { status, phrase, fields, length, untilClose } = answerHead(this.#exchange, received);
      // RFC 9112 §9.6: the rest of a request that nobody may want is not read for ever; `Connection: close` makes the client stop.
      if (!req.complete) fields.push('Connection', 'close');
      // Node would send chunks to an HTTP/1.0 client that names them in TE.
      if (untilClose) res.removeHeader('Transfer-Encoding');
      res.writeHead(status, phrase, fields);
      this.#untilClose = untilClose;
      this.#left = length;
      if (length === null && isEndless(fields)) this.#endlessHandle = endless.add({ end: this.#endEarly });
    } catch (thrown) {
      return void this.fail(asGatewayError(thrown, 'request'));
    }
    this.#answering = true;
    // The head goes out with what came along with it, and alone if nothing did.
    this.#flush = setImmediate(lostIfBroken(this, () => res.flushHeaders()));
    this.#clock.waitFor('answer');
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
    const room = this.#exchange.res.write(part);
    if (!room && !this.#waitsForDrain) {
      this.#waitsForDrain = true;
      this.#exchange.res.once('drain', this.#onDrain);
    }
    this.#clock.waitFor(room ? 'answer' : 'client');
    return room;
  }

  #onDrain = lostIfBroken(this, () => {
    this.#waitsForDrain = false;
    this.#clock.waitFor('answer');
    this.#link?.resume();
  });

  end(trailers: readonly string[]): void {
    if (this.#over) return;
    const { req, res } = this.#exchange;
    if (trailers.length > 0) res.addTrailers(passingTrailers(trailers));
    // A connection whose request was not sent to its end can't serve another; any other is the engine's again.
    if (!req.complete || (this.head.hasBody && !req.readableEnded)) this.#link?.destroy();
    this.#link = null;
    this.#request?.stop();
    this.#request = null;
    this.#clock.waitFor('client');
    if (req.complete || this.#awaitsContinue()) {
      if (req.readableDidRead) req.resume();
      return void endWith(res, this.#last);
    }
    this.#lingering = true;
    this.#clock.stop();
    clearImmediate(this.#flush);
    res.flushHeaders();
    if (this.#last !== null) res.write(this.#last);
    afterDiscard(req, () => void (this.#over || res.end()));
  }
}
