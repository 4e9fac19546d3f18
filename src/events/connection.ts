// What is told of clients' connections beside their requests and sessions.

/** A head that could not be read as HTTP, or did not arrive in time; there is no request to name. */
export interface HeadRefused {
  readonly type: 'head_refused';
  readonly protocol: '1.1' | '2';
  readonly client: string;
  readonly status: number;
  readonly reason: string;
  readonly detail: string;
}

/** A connection was closed because the PROXY preamble that its peer owes is none, or did not arrive in time. */
export interface PreambleRefused {
  readonly type: 'preamble_refused';
  /** The listener's address. */
  readonly listener: string;
  /** The peer, which is the proxy. */
  readonly client: string;
  readonly reason: 'malformed' | 'late';
  readonly detail: string;
}

/** A connection of HTTP/2, which node calls a session, has ended. */
export interface Http2SessionClosed {
  readonly type: 'http2_session_closed';
  /** The address of the peer. */
  readonly client: string;
  readonly reason: Http2Reason;
}

/**
 * `idle`: it had no stream for too long, or no first one in time; `drain`; `resets`: its client reset too many streams;
 * `closed`: its client ended it, or it broke.
 */
export const HTTP2_REASONS = ['idle', 'drain', 'resets', 'closed'] as const;

export type Http2Reason = (typeof HTTP2_REASONS)[number];
