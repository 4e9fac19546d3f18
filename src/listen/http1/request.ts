// One plain request of HTTP/1.1: its head, and its body as far as it has come. The body is decoded as it is read, so that
// its end is known though nobody has taken it yet; what is not taken waits, and holds up the reading of its connection.
import type { Socket } from 'node:net';
import { guarded } from '../../base/guard.ts';
import { type BodyCursor, type Framing, followBody } from '../../http/answer.ts';
import type { MessageLike } from '../../http/head.ts';
import type { ReceivedRequest } from '../../http/request-reader.ts';
import type { Fault } from '../../http/target.ts';
import type { BodySink, ClientRequest } from '../../proxy/client.ts';

/** What of a body waits until it is taken; the connection is read no further then, and no end of it is noticed. */
const MOST_WAITING = 64 * 1024;
/** Of a body that is dropped: how much, at most. How long is connection.ts. */
const MAX_DISCARDED = 64 * 1024 * 1024;
/** Of one read, in bytes: chunks with more framing than that are small, and cost much. The others have their turn before the next read. */
const MUCH_FRAMING = 8 * 1024;
const NO_TRAILERS: readonly string[] = [];

/** The connection that a request came on. */
export interface RequestOwner {
  readonly socket: Socket;
  /** The request may take more than it did, or less. */
  flow(): void;
  /** The rest of the body is dropped from now on, until discarded(). */
  discarding(): void;
  discarded(): void;
}

export class Http1Request implements ClientRequest {
  readonly message: MessageLike;
  readonly connection: Socket;
  readonly authScope: Socket;
  readonly hasBody: boolean;
  readonly #owner: RequestOwner;
  readonly #names: readonly string[];
  /** Null where there is no body. */
  readonly #cursor: BodyCursor | null;
  #waiting: Buffer[] = [];
  #size = 0;
  #sink: BodySink | null = null;
  /** The sink takes no more at the moment. */
  #full = false;
  #used = false;
  #ended = false;
  /** What is called when the rest of the body has been dropped; null: it is not being dropped. */
  #then: (() => void) | null = null;
  #dropped = 0;
  /** Bytes of content in the present read. */
  #content = 0;
  /** The others have their turn first. */
  #waits = false;

  constructor(owner: RequestOwner, { method, target, version, fields, names }: ReceivedRequest, framing: Framing) {
    const { socket } = owner;
    this.message = { method, url: target, httpVersion: version, rawHeaders: fields, names };
    this.connection = socket;
    this.authScope = socket;
    this.#owner = owner;
    this.#names = names;
    this.hasBody = framing.kind === 'chunked' || (framing.kind === 'length' && framing.length > 0);
    this.#cursor = this.hasBody ? followBody(framing) : null;
  }

  get expectsContinue(): boolean {
    const i = this.#names.indexOf('expect');
    return i !== -1 && (this.message.rawHeaders[2 * i + 1] as string).toLowerCase() === '100-continue';
  }

  get complete(): boolean {
    return this.#cursor === null || this.#cursor.done;
  }

  get bodyUsed(): boolean {
    return this.#used;
  }

  get bodyEnded(): boolean {
    return this.#ended;
  }

  get trailers(): readonly string[] {
    return this.#cursor?.trailers ?? NO_TRAILERS;
  }

  read(sink: BodySink): void {
    this.#sink = sink;
    this.#used = true;
    this.#give();
  }

  resume(): void {
    this.#full = false;
    this.#give();
  }

  stop(): void {
    this.#sink = null;
  }

  discard(then: () => void): void {
    this.#sink = null;
    this.#waiting = [];
    this.#size = 0;
    if (this.complete || this.connection.destroyed) return void then();
    this.#used = true;
    this.#then = then;
    this.#owner.discarding();
    this.#owner.flow();
  }

  abandon(): void {
    this.connection.destroy();
  }

  /** Whether the rest of it is being dropped. */
  get discarding(): boolean {
    return this.#then !== null;
  }

  /** Whether more of it may be read. */
  get takesMore(): boolean {
    if (this.#waits) return false;
    if (this.#then !== null) return true;
    return this.#sink === null ? this.#size < MOST_WAITING : !this.#full;
  }

  /** Takes the next bytes of the connection: how many of them are the body's, or a fault in it. */
  take(bytes: Buffer): number | Fault {
    const cursor = this.#cursor as BodyCursor;
    this.#content = 0;
    const taken = cursor.take(bytes, (part) => this.#onPart(part));
    if (typeof taken !== 'number') return taken;
    if (taken - this.#content > MUCH_FRAMING) this.#wait();
    if (!cursor.done) return taken;
    if (this.#then !== null) this.endDiscard();
    else this.#endIfGiven();
    return taken;
  }

  /** Nothing more is dropped: the body has ended, its time is up, or the connection is closed. */
  endDiscard(): void {
    const then = this.#then;
    if (then === null) return;
    this.#then = null;
    this.#owner.discarded();
    then();
  }

  #wait(): void {
    this.#waits = true;
    const read = (): void => {
      this.#waits = false;
      this.#owner.flow();
    };
    setImmediate(guarded('request', read));
  }

  #onPart(part: Buffer): void {
    this.#content = part.length;
    if (this.#then !== null) {
      this.#dropped += part.length;
      if (this.#dropped > MAX_DISCARDED) this.endDiscard();
    } else if (this.#sink !== null && !this.#full && this.#waiting.length === 0) {
      this.#full = !this.#sink.onBodyPart(part);
    } else {
      this.#waiting.push(part);
      this.#size += part.length;
    }
  }

  #give(): void {
    while (this.#sink !== null && !this.#full) {
      const part = this.#waiting.shift();
      if (part === undefined) break;
      this.#size -= part.length;
      this.#full = !this.#sink.onBodyPart(part);
    }
    this.#endIfGiven();
    this.#owner.flow();
  }

  #endIfGiven(): void {
    const sink = this.#sink;
    if (sink === null || this.#ended || this.#waiting.length > 0 || !this.complete) return;
    this.#ended = true;
    this.#sink = null;
    sink.onBodyEnd();
  }
}
