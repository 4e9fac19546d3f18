// The seam of a terminating route: a handshake in question, then messages in and messages out. A handler knows no sockets.
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
  /** The gateway's own, by which the API knows it. */
  readonly id: string;
  /**
   * Sends one message; dropped silently once the connection is closing. False tells that the client does not keep up:
   * a handler that answers what it gets should then hold(). A client that falls far behind is closed with 1013.
   */
  send(type: MessageType, data: string | Buffer): boolean;
  /**
   * Sends a text message that goes to many, whose frame is built already. With `send_queue.overflow: drop_oldest` it may be
   * dropped before it has gone, see Conversation.dropped.
   */
  sendPrepared(message: PreparedMessage): boolean;
  /** Reads nothing more from the client until all that was sent to it has gone out. */
  hold(): void;
  /** Reads nothing more from the client until resume(); messages that have already come are still given. */
  pause(): void;
  resume(): void;
  /** Starts the closing handshake (RFC 6455 §7); the code is one that may stand on the wire (§7.4). */
  close(code: number, reason: string): void;
}

/** What a handler does with one connection. It is made when the connection opens. */
export interface ConnectionHandler {
  /** A whole message; of a text message, its valid UTF-8. */
  message(type: MessageType, data: Buffer): void;
  /** The connection is gone; nothing can be sent any more. */
  closed(end: SessionEnd): void;
  /** The client was too slow, and so many prepared messages were dropped; the next one goes out right after this. */
  dropped?(count: number): void;
}

/** Takes connections as they open. What it throws, or its conversations do, closes that connection with 1011. */
export interface ConnectionHandlerFactory {
  /** Who the handler takes the client for, and the room it is in; for those who ask about the connection. */
  readonly user?: string | null;
  readonly room?: string | null;
  open(connection: WebSocketConnection): ConnectionHandler;
}

/** A handshake that the route's own rules let in, before its 101. */
export interface Opening {
  /** The connection's id once it opens; X-Request-Id of the handshake is `client.id`. */
  readonly id: string;
  readonly request: Request;
  /** What `{name}` stands for in the route's path. */
  readonly params: Params;
  readonly client: Client;
  /** Who it is; null where the route does not ask. */
  readonly principal: Principal | null;
  /** Subprotocols that may be chosen from, in the client's order. */
  readonly offer: readonly string[];
  /** The one that is taken where the handler chooses none. */
  readonly protocol: string | null;
  /** Fires when the client has left; nothing that is found out then is of use. */
  readonly signal: AbortSignal;
}

/** The handshake is answered with 101. */
export interface Admitted extends ConnectionHandlerFactory {
  /** One of the offer, or null for none; unset: that of the Opening. */
  readonly protocol?: string | null;
  /** The client has left before its 101, and open() will not be called. */
  abandon?(): void;
}

/** A backend that was asked said no: its own answer, for the client. */
export interface Refused extends PassthroughResponse {
  readonly at: ServerRef;
}

/** What becomes of an opening: it opens, the gateway refuses it, or a backend does. */
export type HandshakeResult = Admitted | Rejection | Refused;

/** Is asked before the 101. It may throw, or reject with, a GatewayError, which is answered with its status. */
export interface HandshakeHook {
  admit(opening: Opening): HandshakeResult | Promise<HandshakeResult>;
}

/**
 * One handler with its options; it serves all connections of a route. A ConnectionHandlerFactory alone takes every handshake
 * that the route admits.
 */
export type Handler = ConnectionHandlerFactory | HandshakeHook;
