// The seam of a terminating route: messages in, messages out. A handler knows neither sockets nor HTTP.

/** One client's connection as a handler sees it. */
export interface Connection {
  readonly id: string;
  /** Sends one message; a string goes as text, bytes as binary. Dropped silently once the connection is closing. */
  send(data: string | Buffer): void;
  /** Starts the closing handshake (RFC 6455 §7). */
  close(code: number, reason: string): void;
}

/** What a handler does with one connection. It is made when the connection opens. */
export interface Conversation {
  /** A whole message; `binary` tells which kind. */
  message(data: Buffer, binary: boolean): void;
  /** The connection is gone; nothing can be sent any more. */
  closed(): void;
}

/** One handler with its options; it serves all connections of a route. */
export interface Handler {
  open(connection: Connection): Conversation;
}
