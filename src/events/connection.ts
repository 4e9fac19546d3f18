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
 * `silent`: it had streams, nothing moved, and no PING was answered; `closed`: its client ended it, or it broke.
 */
export const HTTP2_REASONS = ['idle', 'drain', 'resets', 'silent', 'closed'] as const;

export type Http2Reason = (typeof HTTP2_REASONS)[number];

/** How a TLS handshake on a listener ended. */
export interface TlsHandshake {
  readonly type: 'tls_handshake';
  /** The listener's address. */
  readonly listener: string;
  readonly client: string;
  readonly result: TlsResult;
  /** What shook hands. */
  readonly engine: 'node' | 'native';
  /** The server that the client asked for (SNI); null: none, or it did not get that far. */
  readonly name: string | null;
  /** In words, where it failed. */
  readonly detail: string | null;
}

/**
 * `ok`; `resumed`: by a session from before; `not_tls`: the client speaks something else, such as plain HTTP; `version`: none
 * that both speak; `no_shared_cipher`: no cipher, group or signature that both know; `unknown_name`: no certificate is for it,
 * with `strict_sni`; `no_protocol`: none of those offered by ALPN; `client_certificate`: missing or not valid; `alert`: the
 * client refused, mostly the certificate; `malformed`; `timeout`; `closed`, `reset`: the client left.
 */
export const TLS_RESULTS = [
  ...(['ok', 'resumed', 'not_tls', 'version', 'no_shared_cipher', 'unknown_name', 'no_protocol'] as const),
  ...(['client_certificate', 'alert', 'malformed', 'timeout', 'closed', 'reset'] as const),
] as const;

export type TlsResult = (typeof TLS_RESULTS)[number];
