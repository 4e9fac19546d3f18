// The answer to one plain request of HTTP/1.1. Its head leaves with the first octets of its body in one write; field by
// field the octets are those that were given.
import type { Socket } from 'node:net';
import { guarded, reportDefect } from '../../base/guard.ts';
import { formatFields } from '../../http/problem.ts';
import type { ReceivedRequest } from '../../http/request-reader.ts';
import type { BodyFraming, ClientResponse, ResponseEvents, ResponseHead } from '../../proxy/client.ts';
import { isPhrase } from '../../proxy/framing.ts';
import { cutAnswer, cutBehindWritten } from '../cut.ts';
import { formatAnswerHead, saysClose } from './answer-head.ts';

const NOTHING = Buffer.alloc(0);
/** Up to this many bytes copying a part into the text before it is cheaper than writing both side by side. */
const SMALL = 16 * 1024;

/** The connection that an answer is written to. */
export interface ResponseOwner {
  readonly socket: Socket;
  /** For the field Date. */
  date(): string;
  /** The field lines that say whether the connection stays open behind this answer. */
  persistence(response: Http1Response): string;
  /** All of the answer was given to the socket, and the end of it waits for the client. */
  sending(): void;
  /** All of the answer was given to the system. */
  sent(response: Http1Response): void;
}

export class Http1Response implements ClientResponse {
  status = 200;
  headersSent = false;
  /** Whether the connection ends behind this answer, whatever its request said. */
  last = false;
  readonly #owner: ResponseOwner;
  readonly #request: ReceivedRequest;
  #events: ResponseEvents | null = null;
  #onClosed: readonly (() => void)[] = NOBODY;
  /** The head, until it is written. */
  #head = '';
  #framing: BodyFraming = 'none';
  /** No part of a body is written, whatever is given. */
  #bodiless = false;
  #written = 0;
  #ended = false;
  #closed = false;

  constructor(owner: ResponseOwner, request: ReceivedRequest) {
    this.#owner = owner;
    this.#request = request;
  }

  get framing(): BodyFraming {
    return this.#framing;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get bytesToClient(): number {
    if (this.#closed) return this.#written;
    return Math.max(0, this.#written - this.#owner.socket.writableLength);
  }

  notify(events: ResponseEvents | null): void {
    this.#events = events;
  }

  onClosed(callback: () => void): void {
    if (this.#closed) callback();
    else this.#onClosed = [...this.#onClosed, callback];
  }

  closeAfter(): void {
    this.last = true;
  }

  interim(status: number, phrase: string, fields: readonly string[]): void {
    const { socket } = this.#owner;
    if (this.#closed || this.headersSent) return;
    if (status === 100) return void this.#send('HTTP/1.1 100 Continue\r\n\r\n');
    // One that would pile up before a client that does not read is dropped.
    if (socket.writableNeedDrain || !isPhrase(phrase)) return;
    this.#send(`HTTP/1.1 ${status} ${phrase}\r\n${formatFields(fields)}\r\n`);
  }

  answer(head: ResponseHead, body: Buffer | null): void {
    this.head(head);
    this.end(body, []);
  }

  head(head: ResponseHead): void {
    const { status, framing, fields } = head;
    if (this.#closed) return;
    this.status = status;
    this.#framing = framing;
    this.#bodiless = framing === 'none' || this.#request.method === 'HEAD' || status === 204 || status === 304;
    this.last ||= (framing === 'close' && !this.#bodiless) || saysClose(fields);
    this.#head = formatAnswerHead(head, {
      date: this.#owner.date(),
      connection: this.#owner.persistence(this),
      chunked: framing === 'chunked' && !this.#bodiless,
    });
    this.headersSent = true;
  }

  write(part: Buffer): boolean {
    if (this.#closed || this.#bodiless || part.length === 0) return true;
    if (this.#framing === 'chunked') this.#write(`${part.length.toString(16)}\r\n`, part, '\r\n');
    else this.#write('', part, '');
    const { socket } = this.#owner;
    return socket.writableLength < socket.writableHighWaterMark;
  }

  end(last: Buffer | null, trailers: readonly [string, string][]): void {
    if (this.#closed || this.#ended) return;
    const part = last === null || last.length === 0 || this.#bodiless ? null : last;
    if (this.#framing === 'chunked' && !this.#bodiless) {
      const end = `0\r\n${formatFields(trailers.flat())}\r\n`;
      if (part === null) this.#write(end, null, '');
      else this.#write(`${part.length.toString(16)}\r\n`, part, `\r\n${end}`);
    } else {
      this.#write('', part, '');
    }
    this.#ended = true;
    this.#whenSent();
  }

  #whenSent(): void {
    const { socket } = this.#owner;
    // Its close is still to come.
    if (socket.errored !== null) return;
    // Nearly always all of it has been given to the system by now.
    if (socket.writableLength === 0) return void this.#owner.sent(this);
    this.#owner.sending();
    const sent = guarded(
      'request',
      (error?: Error | null) => {
        if (!error && !this.#closed) this.#owner.sent(this);
      },
      () => this.cut(),
    );
    // Called when all that stands before it has been.
    socket.write(NOTHING, sent);
  }

  flush(): void {
    if (!this.#closed) this.#write('', null, '');
  }

  cut(): void {
    if (!this.#closed) cutAnswer(this.#owner.socket, this.headersSent ? this.#framing : 'none');
  }

  cutBehind(most: number, then: () => void): void {
    const cut = (): void => {
      this.cut();
      then();
    };
    const { socket } = this.#owner;
    if (this.#closed || socket.destroyed) return void cut();
    this.flush();
    cutBehindWritten(socket, { framing: this.#framing, most, cut });
  }

  /** The connection takes more. */
  drained(): void {
    if (!this.#ended) this.#events?.onDrain();
  }

  /** The whole answer was given to the system. */
  finish(): void {
    this.#close((events) => events.onSent());
  }

  /** The client has left before that, or the connection was ended. */
  lost(): void {
    if (!this.#closed) this.#written -= Math.min(this.#written, this.#owner.socket.writableLength);
    this.#close((events) => events.onClientLeft());
  }

  #close(tell: (events: ResponseEvents) => void): void {
    if (this.#closed) return;
    const events = this.#events;
    this.#events = null;
    this.#closed = true;
    if (events !== null) attempt(() => tell(events));
    for (const callback of this.#onClosed) attempt(callback);
  }

  /** Writes what stands before a part, the part, and what stands behind it, in one system call where they are few bytes. */
  #write(before: string, part: Buffer | null, behind: string): void {
    const text = this.#head + before;
    this.#head = '';
    if (part === null) {
      if (text !== '') this.#send(text);
    } else if (part.length <= SMALL) {
      this.#send(text + part.toString('latin1') + behind);
    } else {
      const { socket } = this.#owner;
      socket.cork();
      if (text !== '') this.#send(text);
      this.#written += part.length;
      socket.write(part);
      if (behind !== '') this.#send(behind);
      socket.uncork();
    }
  }

  #send(text: string): void {
    this.#written += text.length;
    this.#owner.socket.write(text, 'latin1');
  }
}

const NOBODY: readonly (() => void)[] = [];

/** A defect of one who is told is reported, and the others are told. */
function attempt(callback: () => void): void {
  try {
    callback();
  } catch (thrown) {
    reportDefect('request', thrown);
  }
}
