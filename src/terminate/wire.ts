// The one file that knows the library `ws`: makes its server-side socket out of an upgrade that the gateway has judged
// already, with bounds on all it may hold in memory. Closing, timing and counting are session.ts.
import { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type PerMessageDeflateOptions, type ServerOptions, WebSocket, WebSocketServer } from 'ws';
import type { Extension } from '../handshake/extensions.ts';
import { type Compression, memoryLevel, TAKEN_OFFER } from './compression.ts';

/** A handshake that was allowed, and the connection it came on. */
export interface Upgrade {
  /** X-Request-Id of the request. */
  readonly id: string;
  /** The client's address. */
  readonly client: string;
  /** The subject of its credentials; null where there are none. */
  readonly user: string | null;
  readonly socket: Socket;
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

/** Who hears what happens on a Wire. */
export interface WireListener {
  onMessage(data: Buffer, binary: boolean): void;
  onPing(payload: Buffer): void;
  onPong(payload: Buffer): void;
  /** The closing handshake begins, or goes on. */
  onClosing(): void;
  onError(error: Error): void;
  /** It is over; 1006 where there was no Close (RFC 6455 §7.1.5). */
  onClose(code: number): void;
}

/**
 * The socket of `ws`. It tells one listener directly: a table of listeners, with a function for each event, would take more
 * memory than all else that a quiet connection needs.
 */
export class Wire extends WebSocket {
  #listener: WireListener | null = null;

  /** Whether messages may go compressed, so that ws has to make their frames. */
  get compresses(): boolean {
    return this.extensions !== '';
  }

  /** From now on this one hears of everything. */
  tell(listener: WireListener): void {
    this.#listener = listener;
  }

  override close(code?: number, data?: string | Buffer): void {
    super.close(code, data);
    this.#listener?.onClosing();
  }

  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const listener = this.#listener;
    if (listener === null) return super.emit(event, ...args);
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
        break;
    }
    return super.emit(event, ...args);
  }
}

/** A connection as it is right after its 101. */
export interface OpenConnection {
  readonly id: string;
  readonly wire: Wire;
  readonly socket: Socket;
  /** The client's address. */
  readonly client: string;
  readonly user: string | null;
  readonly subprotocol: string | null;
  /** What the socket had read and written when the session began: the handshake, and requests before it. */
  readonly before: { readonly read: number; readonly written: number };
}

/** Bytes of one message beyond which ws would take the limit for none: it keeps it in 32 bits. */
const MOST_BYTES = 2 ** 31 - 1;
/** ws's own wait for an answering Close; session.ts has its own, nearer deadline. */
const NEVER_MS = 2 ** 31 - 1;

/** Turns one upgrade into an open socket, or null where the client has left. */
export type OpenWire = (upgrade: Upgrade) => Wire | null;

/** `maxMessage` is the size in bytes of the largest message let in, inflated; without `compression` none is agreed on. */
export function createWireOpener(maxMessage: number, compression: Compression | null): OpenWire {
  const plain = createOpener(maxMessage, null);
  if (!compression) return (upgrade) => plain(upgrade, '');
  const deflating = createOpener(maxMessage, compression);
  return (upgrade) => {
    const share = compression.take(upgrade.extensions);
    if (!share) return plain(upgrade, '');
    const wire = deflating(upgrade, TAKEN_OFFER);
    if (wire) wire.once('close', share);
    else share();
    return wire;
  };
}

function createOpener(maxMessage: number, compression: Compression | null) {
  const limit = Math.min(maxMessage, MOST_BYTES);
  const options: ServerOptions<typeof Wire> & { closeTimeout: number } = {
    noServer: true,
    clientTracking: false,
    WebSocket: Wire,
    perMessageDeflate: compression ? deflateOptions(compression) : false,
    skipUTF8Validation: false,
    maxPayload: limit,
    // Each fragment may keep the whole chunk alive that it came in, so their number is a limit on memory too
    // (CVE-2026-48779). An honest client needs no fragments under 1 KiB, and no chunks under 256 bytes.
    maxFragments: Math.max(256, Math.ceil(limit / 1024)),
    maxBufferedChunks: Math.max(4096, Math.ceil(limit / 256)),
    // ws cuts a client off after 60 pings in one go; session.ts answers the newest instead (§5.5.3).
    autoPong: false,
    closeTimeout: NEVER_MS,
  };
  const server = new WebSocketServer(options);
  // With this listener ws writes no answer of its own. Every field was judged before, so this is a defect of ours.
  server.on('wsClientError', (error) => {
    throw new Error('ws refused an allowed handshake', { cause: error });
  });
  return (upgrade: Upgrade, extensions: string): Wire | null => {
    let opened: Wire | null = null;
    server.handleUpgrade(buildRequest(upgrade, extensions), upgrade.socket, upgrade.rest, (wire) => {
      opened = wire;
    });
    return opened;
  };
}

/** zlib's state lives no longer than a message, in either direction. */
function deflateOptions({ options }: Compression): PerMessageDeflateOptions {
  return {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
    serverMaxWindowBits: options.window_bits,
    threshold: options.threshold,
    zlibDeflateOptions: { level: options.level, memLevel: memoryLevel(options) },
  };
}

/** The least request that ws takes: nothing of the client's own text but its key. */
function buildRequest(upgrade: Upgrade, extensions: string): IncomingMessage {
  const request = new IncomingMessage(upgrade.socket);
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
