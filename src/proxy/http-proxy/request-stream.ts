// An UpstreamStream over node's ClientRequest, which is what http-proxy makes.

import type { ClientRequest, IncomingMessage, InformationEvent } from 'node:http';
import type { Socket } from 'node:net';
import { writeOctets } from '../framing.ts';
import { lostIfBroken, type UpstreamEvents, type UpstreamStream } from '../upstream-stream.ts';

const ABORTED = Object.assign(new Error('the answer ended before its end'), { code: 'ECONNRESET' });

export class RequestStream implements UpstreamStream {
  readonly #request: ClientRequest;
  readonly #receiver: UpstreamEvents;
  #socket: Socket | null = null;
  #readBefore = 0;
  #answer: IncomingMessage | null = null;

  constructor(request: ClientRequest, receiver: UpstreamEvents, connected: 'connect' | 'secureConnect') {
    this.#request = request;
    this.#receiver = receiver;
    // Node would silently drop fields past its limit; the size of the head is bounded anyway.
    request.maxHeadersCount = 0;
    const onSocket = lostIfBroken(receiver, (socket: Socket) => {
      this.#socket = socket;
      writeOctets(socket);
      this.#readBefore = socket.bytesRead;
      if (!socket.connecting) return void receiver.connected();
      receiver.connecting();
      const onConnected = lostIfBroken(receiver, () => receiver.connected());
      socket.once(connected, onConnected);
    });
    const onInterim = lostIfBroken(receiver, ({ statusCode, statusMessage, rawHeaders }: InformationEvent) =>
      receiver.interim(statusCode, statusMessage, rawHeaders),
    );
    const onDrain = lostIfBroken(receiver, () => receiver.drained());
    const onResponse = lostIfBroken(receiver, (answer: IncomingMessage) => this.#onAnswer(answer));
    request.once('socket', onSocket).on('drain', onDrain).on('information', onInterim).once('response', onResponse);
    request.once('upgrade', (_answer, socket) => {
      socket.destroy();
      receiver.interim(101, '', []);
    });
  }

  get reused(): boolean {
    return this.#request.reusedSocket;
  }

  get touched(): boolean {
    return this.#socket === null || this.#socket.bytesRead !== this.#readBefore;
  }

  /** Whether the answer has come to its end; its event may not have been emitted yet. */
  get whole(): boolean {
    return this.#answer?.complete === true;
  }

  sendHead(): void {
    this.#request.flushHeaders();
  }

  write(part: Buffer): boolean {
    return this.#request.write(part);
  }

  finish(trailers: readonly [string, string][]): void {
    if (trailers.length > 0) this.#request.addTrailers([...trailers]);
    this.#request.end();
  }

  resume(): void {
    this.#answer?.resume();
  }

  destroy(): void {
    this.#request.destroy();
  }

  #onAnswer(answer: IncomingMessage): void {
    const receiver = this.#receiver;
    this.#answer = answer;
    const onError = lostIfBroken(receiver, (cause: Error) => receiver.lost(cause));
    answer.once('error', onError);
    receiver.answer({
      version: answer.httpVersion,
      status: answer.statusCode ?? 0,
      phrase: answer.statusMessage ?? '',
      fields: answer.rawHeaders,
    });
    // What came along with the head is given in this turn of the event loop.
    const flush = lostIfBroken(receiver, () => receiver.flush());
    setImmediate(flush);
    const onData = lostIfBroken(receiver, (part: Buffer) => {
      if (!receiver.part(part)) answer.pause();
    });
    const onEnd = lostIfBroken(receiver, () => {
      if (!answer.complete) return void receiver.lost(ABORTED);
      receiver.end(answer.rawTrailers);
      // node has released a connection that can serve another request by now.
      this.#request.destroy();
    });
    answer.on('data', onData).once('end', onEnd);
  }
}
