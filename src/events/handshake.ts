// What is told of a handshake that got no session.

/** What it asked for that rules go by, so that the decision can be made again (`explain`). */
export interface HandshakeFields {
  /** Origin as the client wrote it, from the field that its version names; null where there is none. */
  readonly origin: string | null;
  /** Sec-WebSocket-Version as the client wrote it; null where there is none. */
  readonly version: string | null;
  /** The offered subprotocols that the route lists, and no others: some clients offer a secret as a subprotocol. */
  readonly subprotocols: readonly string[];
}
