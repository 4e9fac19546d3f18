// The seam of a terminating route: messages in, messages out. A handler knows neither sockets nor HTTP.

/** The two kinds of data message (RFC 6455 §5.6). */
export type MessageType = 'text' | 'binary';

/** One client's connection as a handler sees it. */
export interface Connection {
  /** The id of the request that opened it, as in the log. */
  readonly id: string;
  /**
   * Sends one message; dropped silently once the connection is closing. False tells that the client does not keep up:
   * a handler that answers what it gets should then hold(). A client that falls far behind is closed with 1013.
   */
  send(type: MessageType, data: string | Buffer): boolean;
  /** Reads nothing more from the client until all that was sent to it has gone out. */
  hold(): void;
  /** Starts the closing handshake (RFC 6455 §7); the code is one that may stand on the wire (§7.4). */
  close(code: number, reason: string): void;
}

/** What a handler does with one connection. It is made when the connection opens. */
export interface Conversation {
  /** A whole message; of a text message, its valid UTF-8. */
  message(type: MessageType, data: Buffer): void;
  /** The connection is gone; nothing can be sent any more. */
  closed(): void;
}

/** One handler with its options; it serves all connections of a route. What it throws closes that connection with 1011. */
export interface Handler {
  open(connection: Connection): Conversation;
}
