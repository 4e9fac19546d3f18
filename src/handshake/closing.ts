// The closing handshake (RFC 6455 §7.1).

/** Milliseconds that a peer has for its Close, once one was sent to it; then the connection is cut. */
export const CLOSE_TIMEOUT_MS = 5000;
