// The only file that uses the library `ws`: makes its server-side socket from an upgrade that the gateway has checked
// already, with bounds on all it may hold in memory. Closing, timing and counting are session.ts.
import { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type PerMessageDeflateOptions, type ServerOptions, WebSocket, WebSocketServer } from 'ws';
import { reportDefect } from '../../base/guard.ts';
import type { Extension } from '../../handshake/extensions.ts';
import type { StreamConnection } from '../../net/fd-connection.ts';
import { type Compression, memoryLevel, TAKEN_OFFER } from './compression.ts';
import { reasonOf } from './ending.ts';

/** A handshake that was allowed, and the connection it came on. */
export interface AcceptedHandshake {
  /** Of the connection. */
  readonly id: string;
  /** The client's address. */
  readonly client: string;
  /** The subject of its credentials; null where there are none. */
  readonly user: string | null;
  readonly socket: StreamConnection;
  /** What the client sent behind its handshake. */
  readonly rest: Buffer;
  /** Sec-WebSocket-Key, trimmed. */
  readonly key: string;
  readonly version: 8 | 13;
  /** The subprotocol chosen, or null. */
  readonly protocol: string | null;
  /** Extensions that the client offers. */
  readonly extensions: readonly Extension[];
}

/** What is notified of the events of a WsSocket. */
export interface WsSocketListener {
  onMessage(data: Buffer, binary: boolean): void;
  onPing(payload: Buffer): void;
  onPong(payload: Buffer): void;
  /** The closing handshake begins, or goes on. */
  onClosing(): void;
  onError(error: Error): void;
  /** Ends the session at once: a callback of the listener has thrown. */
  cut(reason: string): void;
  /** It is over; 1006 where there was no Close (RFC 6455 §7.1.5). */
  onClose(code: number): void;
}

/**
 * The socket of `ws`. It notifies one listener directly: a table of listeners, with a function for each event, would
 * take more memory than all else that a quiet connection needs.
 */
export class WsSocket extends WebSocket {
  #listener: WsSocketListener | null = null;

  /** Whether messages may go compressed, so that ws has to make their frames. */
  get compresses(): boolean {
    return this.extensions !== '';
  }

  /** Sets the listener that is notified from now on. */
  notify(listener: WsSocketListener): void {
    this.#listener = listener;
  }

  override close(code?: number, data?: string | Buffer): void {
    // Without a reason it is ws that closes, for a violation.
    super.close(code, data ?? reasonOf(code));
    this.#listener?.onClosing();
  }

  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const listener = this.#listener;
    if (listener === null) return super.emit(event, ...args);
    try {
      if (notify(listener, event, args)) return true;
    } catch (thrown) {
      reportDefect('websocket', thrown);
      if (event !== 'close') listener.cut('internal');
    }
    return super.emit(event, ...args);
  }
}

/** Calls the listener; true where no other listener is to get the event. */
function notify(listener: WsSocketListener, event: string | symbol, args: readonly unknown[]): boolean {
  switch (event) {
    case 'message':
      listener.onMessage(args[0] as Buffer, args[1] as boolean);
      return true;
    case 'ping':
      listener.onPing(args[0] as Buffer);
      return true;
    case 'pong':
      listener.onPong(args[0] as Buffer);
      return true;
    case 'error':
      listener.onError(args[0] as Error);
      return true;
    case 'close':
      listener.onClose(args[0] as number);
      return false;
    default:
      return false;
  }
}

/** A connection as it is right after its 101. */
export interface OpenConnection {
  readonly id: string;
  readonly ws: WsSocket;
  readonly socket: StreamConnection;
  /** The client's address. */
  readonly client: string;
  readonly user: string | null;
  readonly subprotocol: string | null;
  /** What the socket had read and written when the session began: the handshake, and requests before it. */
  readonly before: { readonly read: number; readonly written: number };
}

/** Bytes of one message beyond which ws would take the limit for none: it keeps it in 32 bits. */
const MAX_BYTES = 2 ** 31 - 1;
/** ws's own wait for an answering Close; session.ts has its own, nearer deadline. */
const NEVER_MS = 2 ** 31 - 1;

/** Turns one upgrade into an open socket, or null where the client has closed. */
export type OpenWsSocket = (upgrade: AcceptedHandshake) => WsSocket | null;

/** What one connection may send as a message. */
export interface WsSocketLimits {
  /** Size in bytes of the largest message accepted, inflated. */
  readonly max_message: number;
  readonly max_fragments?: number | undefined;
}

/** Fragments of a message, and reads that one frame may come in, where the config sets no limit. */
const MAX_FRAGMENTS = 16_384;

/** How many fragments a message may have. */
export function maxFragments({ max_message, max_fragments }: WsSocketLimits): number {
  return max_fragments ?? Math.min(MAX_BYTES, Math.max(MAX_FRAGMENTS, Math.ceil(max_message / 1024)));
}

/** Without `compression` none is agreed on. */
export function createWsSocketFactory(limits: WsSocketLimits, compression: Compression | null): OpenWsSocket {
  const plain = createFactory(limits, null);
  if (!compression) return (upgrade) => plain(upgrade, '');
  const deflating = new Map<number, ReturnType<typeof createFactory>>();
  return (upgrade) => {
    const share = compression.take(upgrade.extensions);
    if (!share) return plain(upgrade, '');
    const open =
      deflating.get(share.windowBits) ?? createFactory(limits, deflateOptions(compression, share.windowBits));
    deflating.set(share.windowBits, open);
    const ws = open(upgrade, TAKEN_OFFER);
    if (ws) ws.once('close', share.release);
    else share.release();
    return ws;
  };
}

function createFactory(limits: WsSocketLimits, deflate: PerMessageDeflateOptions | null) {
  const limit = Math.min(limits.max_message, MAX_BYTES);
  const options: ServerOptions<typeof WsSocket> & { closeTimeout: number } = {
    noServer: true,
    clientTracking: false,
    WebSocket: WsSocket,
    perMessageDeflate: deflate ?? false,
    skipUTF8Validation: false,
    maxPayload: limit,
    // Each fragment may keep the whole chunk alive that it came in (CVE-2026-48779): their number is a limit on memory too, and
    // session.ts bounds the bytes. A frame in very small pieces costs as much; of a large one 256 bytes each will do.
    maxFragments: maxFragments(limits),
    maxBufferedChunks: Math.min(MAX_BYTES, Math.max(maxFragments(limits), Math.ceil(limit / 256))),
    // One message, ping or pong of a client a turn of the event loop: a client that floods does not delay the others.
    allowSynchronousEvents: false,
    // ws cuts a client off after 60 pings in one go; session.ts answers the newest instead (§5.5.3).
    autoPong: false,
    closeTimeout: NEVER_MS,
  };
  const server = new WebSocketServer(options);
  // With this listener ws writes no answer of its own. Every field was checked before, so this is a defect of the gateway.
  server.on('wsClientError', (error) => {
    throw new Error('ws refused an allowed handshake', { cause: error });
  });
  return (upgrade: AcceptedHandshake, extensions: string): WsSocket | null => {
    let opened: WsSocket | null = null;
    server.handleUpgrade(buildRequest(upgrade, extensions), upgrade.socket, upgrade.rest, (ws) => {
      opened = ws;
    });
    return opened;
  };
}

/** zlib's state lives no longer than a message, in either direction. */
function deflateOptions({ options }: Compression, windowBits: number): PerMessageDeflateOptions {
  return {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
    serverMaxWindowBits: windowBits,
    threshold: options.threshold,
    zlibDeflateOptions: { level: options.level, memLevel: memoryLevel(windowBits) },
  };
}

/** The least request that ws takes: nothing of the client's own text but its key. */
function buildRequest(upgrade: AcceptedHandshake, extensions: string): IncomingMessage {
  // ws takes the connection itself from elsewhere.
  const request = new IncomingMessage(upgrade.socket as Socket);
  request.method = 'GET';
  request.headers = {
    upgrade: 'websocket',
    'sec-websocket-key': upgrade.key,
    'sec-websocket-version': String(upgrade.version),
    ...(extensions === '' ? {} : { 'sec-websocket-extensions': extensions }),
    ...(upgrade.protocol === null ? {} : { 'sec-websocket-protocol': upgrade.protocol }),
  };
  return request;
}
