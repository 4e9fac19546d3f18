// One connection of a client that speaks HTTP/1.1 (RFC 9112): where its requests begin and end, one of them served at a
// time, how long it may take, and how it ends. What becomes of a request and its answer is request.ts and response.ts.
import type { Socket } from 'node:net';
import { withListenerFields } from '../../actions/listener-fields.ts';
import type { Expirable } from '../../base/deadlines.ts';
import { guarded } from '../../base/guard.ts';
import type { SlotHandle } from '../../base/slot-set.ts';
import { type Rejection, reject } from '../../handshake/rejection.ts';
import { requestFraming } from '../../http/head.ts';
import { formatRefusal } from '../../http/problem.ts';
import { type HeadFault, type ReceivedRequest, RequestReader, type RequestStart } from '../../http/request-reader.ts';
import { receive, stopReceiving } from '../../net/direct-socket.ts';
import { TOO_MUCH_WAITS } from '../waiting-refusal.ts';
import { HeldInput } from './held-input.ts';
import { endsWithLastRequest, isLastRequest, leavesHttp } from './last-request.ts';
import { Http1Request, type RequestOwner } from './request.ts';
import { Http1Response, type ResponseOwner } from './response.ts';
import type { Http1Services } from './services.ts';

/** For what still comes behind the last answer: a close with unread input is a reset, and may cost the answer (RFC 9112 §9.6). */
const LINGER_MS = 2000;
/** For the rest of a body that nobody wants. */
const DISCARD_MS = 2000;
/** For the end of an answer to be taken, where nothing above looks after it. */
const SEND_MS = 60_000;

const NEVER = Number.POSITIVE_INFINITY;
const NOTHING = Buffer.alloc(0);
const NO_BODY = { kind: 'none' } as const;
const CLOSE = 'Connection: close\r\n';

/**
 * `idle`: nothing of a next request has come; `head`: a part of its head has; `serving`: it is being answered; `ending`: the
 * last answer is written, and what comes is dropped; `left`: it is closed, or another's.
 */
type State = 'idle' | 'head' | 'serving' | 'ending' | 'left';

export class ClientConnection implements Expirable, RequestOwner, ResponseOwner {
  readonly socket: Socket;
  deadline: number;
  /** Among the connections of its server. */
  place: SlotHandle<ClientConnection> | null = null;
  readonly #services: Http1Services;
  readonly #reader: RequestReader;
  readonly #held: HeldInput;
  readonly #watched: SlotHandle<Expirable>;
  #state: State = 'idle';
  /** No head has come whole yet. */
  #fresh = true;
  #request: Http1Request | null = null;
  #response: Http1Response | null = null;
  /** No request is read behind the one that is being served. */
  #last = false;
  /** The client has ended its side, and waits for its answers. */
  #finished = false;
  #paused = false;
  /** Bytes are being taken; whoever does so looks at what is left of them. */
  #taking = false;

  /** Of a socket that nobody reads; nothing is read before open(). `reader` may have begun with its first bytes. */
  constructor(socket: Socket, services: Http1Services, reader: RequestReader | null = null) {
    const { maxHead, headMs } = services.settings();
    this.socket = socket;
    this.#services = services;
    this.#reader = reader ?? new RequestReader(maxHead);
    this.#held = new HeldInput(services.waiting);
    this.deadline = performance.now() + headMs;
    this.#watched = services.deadlines.add(this);
  }

  /** Ends it where it waits for a next request: at once, since its descriptor may be needed. */
  closeIdle(): void {
    if (this.#state !== 'idle' || this.#fresh || this.#held.any) return;
    this.socket.writableLength === 0 ? this.destroy() : this.close();
  }

  /** Begins with what was read already; `start`: what its reader has made of that. */
  open(bytes: Buffer, start?: RequestStart | HeadFault | null): void {
    const { socket } = this;
    // It may have been here before, and stays on a connection that was upgraded.
    socket.off('error', onError).on('error', onError);
    receive(socket, this.#onData).on('end', this.#onEnd).on('close', this.#onClose).on('drain', this.#onDrain);
    if (bytes.length > 0) this.#takeAll(bytes, start);
    if (this.#state !== 'left' && !this.#paused) socket.resume();
  }

  /** Ends it in the middle of whatever it does. */
  readonly destroy = (): void => void this.socket.destroy();

  /** Ends it behind what it was sent. */
  close(): void {
    if (this.#state === 'left' || this.#state === 'ending') return;
    this.#state = 'ending';
    this.#held.take();
    this.#await(LINGER_MS);
    this.socket.end();
    this.flow();
  }

  date(): string {
    return this.#services.date();
  }

  persistence(response: Http1Response): string {
    return this.#last || response.last ? CLOSE : this.#services.settings().keepAlive;
  }

  flow(): void {
    const paused = this.#held.full || (this.#state === 'serving' && this.#request?.takesMore === false);
    if (paused === this.#paused || this.#state === 'left') return;
    this.#paused = paused;
    if (paused) this.socket.pause();
    else this.socket.resume();
  }

  discarding(): void {
    this.#await(DISCARD_MS);
  }

  discarded(): void {
    if (this.#state === 'serving') this.deadline = NEVER;
  }

  sending(): void {
    this.#await(SEND_MS);
  }

  sent(response: Http1Response): void {
    this.deadline = NEVER;
    response.finish();
    if (this.#response !== response || this.#state !== 'serving') return;
    if (this.#last || response.last || this.#request?.complete === false) return void this.close();
    this.#request = null;
    this.#response = null;
    this.#state = 'idle';
    this.#await(this.#services.settings().keepAliveMs);
    if (this.#taking) return;
    // The next one is not begun within the end of this one.
    if (this.#held.any) setImmediate(this.#takeHeld);
    else this.flow();
  }

  onDeadline(): void {
    if (this.#state === 'head') this.#refuse(reject('head_timeout'));
    else if (this.#state === 'idle' && !this.#fresh) this.close();
    else if (this.#state === 'serving' && this.#request?.discarding === true) this.#request.endDiscard();
    else this.destroy();
  }

  readonly #onData = guarded('connection', (bytes: Buffer) => this.#read(bytes), this.destroy);

  readonly #onDrain = guarded('request', () => this.#response?.drained(), this.destroy);

  readonly #onEnd = guarded('connection', () => this.#onFin(), this.destroy);

  readonly #onClose = guarded('connection', () => {
    this.#leave();
    this.#response?.lost();
    this.#request?.endDiscard();
  });

  readonly #takeHeld = guarded(
    'connection',
    () => {
      if (this.#state === 'idle') this.#takeAll(this.#held.take());
    },
    this.destroy,
  );

  #read(bytes: Buffer): void {
    if (this.#held.any) this.#hold(bytes);
    else this.#takeAll(bytes);
  }

  /** Takes one request, or goes on with one. One a turn: thousands may stand in one read, and the others wait so long. */
  #takeAll(bytes: Buffer, start?: RequestStart | HeadFault | null): void {
    this.#taking = true;
    let rest = start === undefined ? this.#take(bytes) : this.#onHead(start, bytes);
    while (rest.length > 0 && this.#state !== 'idle') rest = this.#take(rest);
    this.#taking = false;
    if (rest.length > 0) this.#hold(rest);
    const idle = this.#state === 'idle';
    if (idle && this.#held.any) setImmediate(this.#takeHeld);
    else if (idle && this.#finished) this.close();
    else this.flow();
  }

  /** Takes one step; what it gives back is still to be taken. */
  #take(bytes: Buffer): Buffer {
    if (this.#state === 'idle' || this.#state === 'head') return this.#onHead(this.#reader.take(bytes), bytes);
    if (this.#state === 'serving' && this.#request?.complete === false) return this.#takeBody(this.#request, bytes);
    if (this.#state === 'serving' && !this.#last) this.#hold(bytes);
    return NOTHING;
  }

  #onHead(start: RequestStart | HeadFault | null, bytes: Buffer): Buffer {
    if (start === null) {
      if (this.#state === 'idle' && this.#reader.begun) this.#headBegun();
      return NOTHING;
    }
    if ('fault' in start) {
      this.#refuse(reject(start.tooLarge ? 'head_too_large' : 'malformed', start.fault));
      return NOTHING;
    }
    const { head, taken } = start;
    const rest = taken === bytes.length ? NOTHING : bytes.subarray(taken);
    this.#fresh = false;
    if (!leavesHttp(head)) {
      this.#begin(head);
      return rest;
    }
    this.#leave();
    this.socket.pause();
    this.#services.onUpgrade(head, this.socket, rest);
    return NOTHING;
  }

  #headBegun(): void {
    this.#state = 'head';
    // The first one has had its time since the connection was accepted.
    if (!this.#fresh) this.#await(this.#services.settings().headMs);
  }

  #begin(head: ReceivedRequest): void {
    const framing = requestFraming(head);
    // One whose framing can't be understood is refused, and none could be found behind it.
    const unframed = 'fault' in framing;
    this.#state = 'serving';
    this.#last = unframed || isLastRequest(head);
    this.deadline = NEVER;
    this.#request = new Http1Request(this, head, unframed ? NO_BODY : framing);
    this.#response = new Http1Response(this, head);
    this.#services.serve(this.#request, this.#response);
  }

  #takeBody(request: Http1Request, bytes: Buffer): Buffer {
    const taken = request.take(bytes);
    if (typeof taken === 'number') return bytes.subarray(taken);
    const response = this.#response;
    // An answer that has begun can't be taken back.
    if (response === null || response.headersSent) {
      this.destroy();
      return NOTHING;
    }
    response.lost();
    if (this.#state === 'serving') this.#refuse(reject('malformed', taken.fault));
    return NOTHING;
  }

  #hold(bytes: Buffer): void {
    if (!this.#held.add(bytes)) {
      this.#services.onRefused(this.socket, TOO_MUCH_WAITS);
      this.destroy();
    }
    this.flow();
  }

  /** Answers what is no request, and ends the connection. */
  #refuse(rejection: Rejection): void {
    this.#services.onRefused(this.socket, rejection);
    if (!this.socket.writable) return void this.destroy();
    const fields = withListenerFields(this.socket, rejection.fields);
    this.socket.write(formatRefusal({ ...rejection, fields }, null, new Date()));
    this.close();
  }

  /** The client has ended its side; docs/http.md says what that means where. */
  #onFin(): void {
    if (this.#state === 'head')
      return void this.#refuse(reject('malformed', 'the connection ended in the middle of a head'));
    if (this.#state === 'idle' && !this.#held.any) return void this.close();
    if (this.#state !== 'serving' && this.#state !== 'idle') return;
    this.#finished = this.#request?.complete !== false && this.#isLastRequest();
    if (!this.#finished) this.destroy();
  }

  /** Whether the newest request has come whole and said that it is the last one. */
  #isLastRequest(): boolean {
    if (this.#state === 'serving' && this.#last) return true;
    return this.#held.any && endsWithLastRequest(this.#held.joined(), this.#services.settings().maxHead);
  }

  #await(ms: number): void {
    this.deadline = performance.now() + ms;
    this.#services.deadlines.moved(this);
  }

  #leave(): void {
    if (this.#state === 'left') return;
    const { socket } = this;
    this.#state = 'left';
    stopReceiving(socket, this.#onData).off('end', this.#onEnd).off('close', this.#onClose).off('drain', this.#onDrain);
    this.#held.take();
    this.#services.deadlines.remove(this.#watched);
    this.#services.onLeft(this);
  }
}

/** The socket's close follows. Nobody else's, so that nobody else takes it away. */
function onError(): void {}
