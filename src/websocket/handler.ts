// The interface of a terminating route's handler: a handshake to decide on, then messages in and messages out. A
// handler does not see sockets.
import type { PassthroughResponse, Principal } from '../auth/authenticator.ts';
import type { ServerRef, SessionEnd } from '../events.ts';
import type { Rejection } from '../handshake/rejection.ts';
import type { Client } from '../http/forwarding/forwarded.ts';
import type { Request } from '../http/head.ts';
import type { Params } from '../routing/pattern.ts';
import type { PreparedMessage } from './frame.ts';

/** The two kinds of data message (RFC 6455 §5.6). */
export type MessageType = 'text' | 'binary';

/** One client's connection as a handler sees it. */
export interface WebSocketConnection {
  /** The gateway's own id, by which the API finds it. */
  readonly id: string;
  /**
   * Sends one message; drops it without an error once the connection is closing. False: the client does not keep up,
   * and a handler that answers what it gets should then hold(). A client that falls far behind is closed with 1013.
   */
  send(type: MessageType, data: string | Buffer): boolean;
  /**
   * Sends a text message that goes to many, whose frame is built already. With `send_queue.overflow: drop_oldest` it
   * may be dropped before it was sent, see ConnectionHandler.dropped. Returns as send() does.
   */
  sendPrepared(message: PreparedMessage): boolean;
  /** Reads nothing more from the client until its send queue is empty. */
  hold(): void;
  /** Reads nothing more from the client until resume(); messages that have already come are still delivered. */
  pause(): void;
  resume(): void;
  /** Starts the closing handshake (RFC 6455 §7); the code is one that a Close may carry (§7.4). */
  close(code: number, reason: string): void;
}

/** What a handler does with one connection. It is made when the connection opens. */
export interface ConnectionHandler {
  /** A whole message; of a text message, its valid UTF-8. */
  message(type: MessageType, data: Buffer): void;
  /** The connection has closed; nothing can be sent any more. */
  closed(end: SessionEnd): void;
  /** The client was too slow, and so many prepared messages were dropped; the next one goes out right after this. */
  dropped?(count: number): void;
}

/**
 * Makes the handler of each connection that opens. What it throws, or its handlers throw, closes that connection with
 * 1011.
 */
export interface ConnectionHandlerFactory {
  /** The user and the room that the handler gives the client, as the API shows them of the connection. */
  readonly user?: string | null;
  readonly room?: string | null;
  open(connection: WebSocketConnection): ConnectionHandler;
}

/** A handshake that the route's own rules admit, before its 101. */
export interface Opening {
  /** The connection's id once it opens; X-Request-Id of the handshake is `client.id`. */
  readonly id: string;
  readonly request: Request;
  /** What `{name}` stands for in the route's path. */
  readonly params: Params;
  readonly client: Client;
  /** Who the client is; null where the route has no authentication. */
  readonly principal: Principal | null;
  /** Subprotocols that may be chosen from, in the client's order. */
  readonly offer: readonly string[];
  /** The one that is taken where the handler chooses none. */
  readonly protocol: string | null;
  /** Fires when the client has closed; a result after that is of no use. */
  readonly signal: AbortSignal;
}

/** The handshake is answered with 101. */
export interface Admitted extends ConnectionHandlerFactory {
  /** One of the offer, or null for none; unset: the one of the Opening. */
  readonly protocol?: string | null;
  /** The client has closed before its 101, and open() will not be called. */
  abandon?(): void;
}

/** A backend refused the handshake: its response, for the client. */
export interface Refused extends PassthroughResponse {
  readonly at: ServerRef;
}

/** The result of a handshake: it is admitted, the gateway refuses it, or a backend does. */
export type HandshakeResult = Admitted | Rejection | Refused;

/**
 * Decides on a handshake before its 101. It may throw, or reject with, a GatewayError, which is answered with its
 * status.
 */
export interface HandshakeHook {
  admit(opening: Opening): HandshakeResult | Promise<HandshakeResult>;
}

/**
 * One handler with its options; it serves all connections of a route. A ConnectionHandlerFactory alone takes every
 * handshake that the route admits.
 */
export type Handler = ConnectionHandlerFactory | HandshakeHook;
