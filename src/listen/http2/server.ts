// HTTP/2 of one listener. It never listens: it is given connections, those on which TLS has agreed on `h2` and plain ones
// that begin with HTTP/2's preface, and gives each request to the gateway as HTTP/1.1's server does.
import { randomBytes } from 'node:crypto';
import { constants, createServer, type Http2Server as NodeServer, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { peerOf } from '../../actions/peer.ts';
import { guarded, ignore } from '../../base/guard.ts';
import { TimerWheel } from '../../base/timer-wheel.ts';
import type { Emit } from '../../events.ts';
import { isRejection, type Rejection } from '../../handshake/rejection.ts';
import { MAX_FIELDS } from '../../http/head.ts';
import { CheckedConnection, readsOnBehindErrors } from './checked-connection.ts';
import { Http2Connection, type Http2Settings } from './connection.ts';
import { type Http2Head, readHttp2Head } from './head.ts';

/** Takes what a stream asks for. */
export interface StreamHandler {
  /** A request that can be decided. */
  onStream(stream: ServerHttp2Stream, head: Http2Head, connection: Http2Connection): void;
  /** One that was refused for its head alone. */
  onRefused(stream: ServerHttp2Stream, rejection: Rejection, connection: Http2Connection): void;
}

/** Bytes in MB that node may hold for a connection's streams: at its default of 10 slow WebSockets end the whole connection. */
const MEMORY_MB = 64;
/** Streams that may be refused for that memory, one after another, before the connection ends. */
const REJECTED_STREAMS = 1000;
/** Frames over the life of a connection that node calls invalid, empty DATA among them: WebSockets live for days. */
const INVALID_FRAMES = 10_000;
/** Pseudo-fields of a request. */
const PSEUDO_FIELDS = 5;

export class Http2Server {
  readonly #server: NodeServer;
  readonly #handler: StreamHandler;
  readonly #emit: Emit;
  readonly #wheel = new TimerWheel('connection');
  readonly #connections = new Set<Http2Connection>();
  #settings: Http2Settings;
  /** Whether frames are checked before nghttp2 sees them. */
  readonly #checks: boolean;
  /** The connection that node makes a session for right now. */
  #arriving: { socket: Socket; checked: CheckedConnection | null } | null = null;

  constructor(
    settings: Http2Settings,
    handler: StreamHandler,
    emit: Emit,
    nghttp2 = process.versions['nghttp2'] ?? '',
  ) {
    this.#checks = readsOnBehindErrors(nghttp2);
    this.#settings = settings;
    this.#handler = handler;
    this.#emit = emit;
    this.#server = createServer({
      maxSessionMemory: MEMORY_MB,
      maxSessionRejectedStreams: REJECTED_STREAMS,
      maxSessionInvalidFrames: INVALID_FRAMES,
      // One more field than the gateway takes, so that it is the gateway who answers.
      maxHeaderListPairs: MAX_FIELDS + PSEUDO_FIELDS + 1,
      settings: settingsOf(settings),
      // From node 22 on: values are trimmed by us, as HTTP/1.1's are; nghttp2 would drop the field silently.
      ...{ strictFieldWhitespaceValidation: false },
    });
    this.#server.on('sessionError', ignore);
    this.#server.on('session', (session) => this.#onSession(session));
  }

  /** Takes a connection with nothing of it read, or what was read put back. */
  take(socket: Socket): void {
    // A reset between here and node's own listener would end the process (CVE-2025-59465).
    socket.on('error', ignore);
    // A connection of HTTP/2 ends as a whole. Its socket may be half-open, as HTTP/1.1 needs it, and node would wait for ever.
    socket.once('end', () => socket.destroy());
    const checked = this.#checks ? new CheckedConnection(socket) : null;
    this.#arriving = { socket, checked };
    this.#server.emit('connection', checked ?? socket);
    this.#arriving = null;
  }

  /** Holds for new connections, and as far as that can be for those that are open. */
  update(settings: Http2Settings): void {
    this.#settings = settings;
    this.#server.updateSettings(settingsOf(settings));
    for (const connection of this.#connections) connection.update();
  }

  /** GOAWAY on every connection: what is under way ends by itself. */
  close(): void {
    for (const connection of this.#connections) connection.close('drain');
  }

  /** Closes the connections without a stream. */
  closeIdle(): void {
    for (const connection of this.#connections) if (connection.idle) connection.close('idle');
  }

  /** Destroys every connection. */
  cut(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  /** Connections and streams that are open. */
  count(): { connections: number; streams: number } {
    let streams = 0;
    for (const connection of this.#connections) streams += connection.streams;
    return { connections: this.#connections.size, streams };
  }

  #onSession(session: import('node:http2').ServerHttp2Session): void {
    if (this.#arriving === null) return void session.destroy();
    const { socket, checked } = this.#arriving;
    const connection = new Http2Connection(session, socket, {
      wheel: this.#wheel,
      settings: () => this.#settings,
      onEnded: (ended, reason) => {
        this.#connections.delete(ended);
        this.#emit({ type: 'http2_session_closed', client: peerOf(socket).address, reason });
      },
    });
    if (checked !== null) checked.session = connection;
    this.#connections.add(connection);
    session.on('error', ignore);
    session.on(
      'stream',
      guarded(
        'request',
        (stream: ServerHttp2Stream, _fields, flags: number, raw: string[]) =>
          this.#onStream(stream, { raw, ended: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0, key }, connection),
        (stream) => stream.destroy(new Error('internal error')),
      ),
    );
  }

  #onStream(stream: ServerHttp2Stream, fields: Parameters<typeof readHttp2Head>[0], connection: Http2Connection): void {
    stream.on('error', ignore);
    connection.opened(stream);
    const head = readHttp2Head(fields);
    if (isRejection(head)) this.#handler.onRefused(stream, head, connection);
    else this.#handler.onStream(stream, head, connection);
  }
}

/** A key as RFC 6455 §4.1 has it: 16 octets that nobody can foretell. */
function key(): string {
  return randomBytes(16).toString('base64');
}

function settingsOf({ extendedConnect, maxStreams, window, maxHead }: Http2Settings): import('node:http2').Settings {
  return {
    enableConnectProtocol: extendedConnect,
    maxConcurrentStreams: maxStreams,
    initialWindowSize: window,
    maxHeaderListSize: maxHead,
  };
}
