// One connection of HTTP/2: how many streams it has, when it has been idle for too long, how often it may reset them, and
// how it ends. What a stream asks for is server.ts and above. node's own time-outs are not used: they fire for a connection
// whose open streams are merely quiet.
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { ignore } from '../../base/guard.ts';
import type { Timed, TimerWheel } from '../../base/timer-wheel.ts';
import type { Http2Reason } from '../../events/connection.ts';
import { ResetBudget } from './reset-budget.ts';

/** What holds for connections and changes with the config. Times in milliseconds, sizes in bytes. */
export interface Http2Settings {
  /** Whether WebSockets are taken by extended CONNECT (RFC 8441). */
  readonly extendedConnect: boolean;
  /** Requests at a time; open WebSockets come on top. */
  readonly maxStreams: number;
  /** What a client may send on a stream before it is read; the connection has CONNECTION_WINDOWS times as much. */
  readonly window: number;
  readonly maxHead: number;
  /** Until the first request has come. */
  readonly headMs: number;
  /** Without a stream, until the connection is closed. */
  readonly keepAliveMs: number;
  /** With streams and no byte either way, until the peer is asked by a PING, and as long again until it is given up. */
  readonly silentMs: number;
  /** The same once GOAWAY was sent or received. */
  readonly closingSilentMs: number;
}

/** A PING and its head: what asking adds to the bytes written (RFC 9113 §6.7), twice over. */
const PING_BYTES = 2 * 17;

/** What a whole connection may send unread, in windows of one stream. */
const CONNECTION_WINDOWS = 4;
/** The limit of streams is raised for WebSockets in steps, so that not each of them costs a SETTINGS frame. */
const RAISE = 32;
/** After GOAWAY, or after a last stream that its client does not end. */
const LINGER_MS = 5000;

const NEVER = Number.POSITIVE_INFINITY;

export interface ConnectionServices {
  readonly wheel: TimerWheel;
  readonly settings: () => Http2Settings;
  /** Called once. */
  readonly onEnded: (connection: Http2Connection, reason: Http2Reason) => void;
}

export class Http2Connection implements Timed {
  /** The connection below; the session's own `socket` is a proxy that refuses half of what a socket can. */
  readonly socket: Socket;
  readonly #session: ServerHttp2Session;
  readonly #services: ConnectionServices;
  readonly #resets = new ResetBudget();
  #streams = 0;
  #webSockets = 0;
  #advertised: number;
  /** What the peer was told last. */
  #announced: Http2Settings;
  #closing = false;
  #reason: Http2Reason = 'closed';
  #deadline: number;
  /** Bytes read and written at the last look, and whether the peer was asked then. */
  #progress = { read: 0, written: 0, asked: false };

  constructor(session: ServerHttp2Session, socket: Socket, services: ConnectionServices) {
    this.#session = session;
    this.socket = socket;
    this.#services = services;
    this.#announced = services.settings();
    const { maxStreams, window, headMs } = this.#announced;
    this.#advertised = maxStreams;
    session.setLocalWindowSize(CONNECTION_WINDOWS * window);
    session.once('close', () => this.#ended());
    // Before node closes the session for it.
    session.once('goaway', () => this.#lookIn(services.settings().closingSilentMs));
    this.#deadline = services.wheel.now() + headMs;
    services.wheel.schedule(this, this.#deadline);
  }

  /** Streams that are open. */
  get streams(): number {
    return this.#streams;
  }

  get idle(): boolean {
    return this.#streams === 0;
  }

  /** Whether it reads no further frame. */
  get over(): boolean {
    return this.#session.destroyed;
  }

  /** Its client has sent a malformed frame: ends it with this error code (RFC 9113 §5.4.1). */
  malformed(code: number): void {
    this.#closing = true;
    this.#session.destroy(new Error('malformed frame'), code);
    this.#await(LINGER_MS);
  }

  /** nghttp2 has ended it with an error code of its own, and node does not tell: ends it and its streams. */
  gaveUp(): void {
    if (!this.over) this.destroy();
  }

  /** Counts a stream until it closes. */
  opened(stream: ServerHttp2Stream): void {
    this.#streams++;
    this.#deadline = NEVER;
    stream.on('close', () => {
      this.#streams--;
      if (this.#streams === 0) this.#await(this.#closing ? LINGER_MS : this.#services.settings().keepAliveMs);
    });
  }

  /** A stream was reset before it was answered whole, and not by us. */
  wasReset(): void {
    if (this.#resets.take(this.#services.wheel.now())) return;
    this.#reason = 'resets';
    this.#session.destroy(new Error('too many resets'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  /**
   * A stream has become a WebSocket, which may stay for days: it must not count against the requests of the page. Browsers
   * queue what is over the limit, silently and for ever. Returns what is to be called when it has ended.
   */
  webSocketOpened(): () => void {
    this.#webSockets++;
    this.#raise();
    return () => {
      this.#webSockets--;
    };
  }

  /**
   * Tells the peer what has changed and may change: a lower limit or window would break what is under way, and WebSockets
   * that were offered can't be taken back (RFC 8441 §3); those hold for new connections.
   */
  update(): void {
    const [announced, next] = [this.#announced, this.#services.settings()];
    this.#announced = {
      ...next,
      extendedConnect: announced.extendedConnect || next.extendedConnect,
      window: Math.max(announced.window, next.window),
    };
    this.#raise();
    if (this.#closing) return;
    const { extendedConnect, window, maxHead } = this.#announced;
    if (window > announced.window) this.#session.setLocalWindowSize(CONNECTION_WINDOWS * window);
    const changes = {
      ...(extendedConnect === announced.extendedConnect ? {} : { enableConnectProtocol: extendedConnect }),
      ...(window === announced.window ? {} : { initialWindowSize: window }),
      ...(maxHead === announced.maxHead ? {} : { maxHeaderListSize: maxHead }),
    };
    if (Object.keys(changes).length > 0) this.#session.settings(changes);
  }

  /** GOAWAY: the streams that are open end by themselves, and no further one is taken. */
  close(reason: Http2Reason): void {
    if (this.#closing) return;
    this.#closing = true;
    if (this.#reason === 'closed') this.#reason = reason;
    this.#session.close();
    if (this.#streams === 0) this.#await(LINGER_MS);
    else this.#lookSoon();
  }

  /** Ends it at once, and every stream. */
  destroy(): void {
    this.#session.destroy();
    this.socket.destroy();
  }

  look(now: number): void {
    if (now < this.#deadline) return void this.#lookForLife();
    if (this.#closing) this.destroy();
    else this.close('idle');
  }

  /**
   * node does not read a connection whose answers wait to be written, nor one that nghttp2 has given up while it was closing,
   * and what does not read does not hear a reset: the streams would stay for ever. So a PING is sent where nothing moves.
   */
  #lookForLife(): void {
    if (this.#streams === 0) return;
    const { bytesRead: read, bytesWritten: written } = this.socket;
    const before = this.#progress;
    const moved = read > before.read || written > before.written + (before.asked ? PING_BYTES : 0);
    if (!moved && before.asked) {
      this.#reason = 'silent';
      this.destroy();
      return;
    }
    this.#progress = { read, written, asked: !moved };
    if (!moved && !this.#session.destroyed) this.#session.ping(ignore);
    this.#lookSoon();
  }

  /** node tells of no error of a session that is closing, and such streams would hold a drain up: those are looked at more often. */
  #lookSoon(): void {
    const { silentMs, closingSilentMs } = this.#services.settings();
    this.#lookIn(this.#session.closed ? closingSilentMs : silentMs);
  }

  #lookIn(ms: number): void {
    this.#services.wheel.schedule(this, this.#services.wheel.now() + ms);
  }

  #await(ms: number): void {
    this.#deadline = this.#services.wheel.now() + ms;
    this.#services.wheel.schedule(this, this.#deadline);
  }

  #raise(): void {
    const wanted = this.#services.settings().maxStreams + RAISE * Math.ceil(this.#webSockets / RAISE);
    // A stream may be told of behind the end of its session.
    if (wanted <= this.#advertised || this.#closing || this.#session.destroyed) return;
    this.#advertised = wanted;
    this.#session.settings({ maxConcurrentStreams: wanted });
  }

  #ended(): void {
    this.#services.wheel.remove(this);
    this.#services.onEnded(this, this.#reason);
  }
}
