// Everything the gateway tells about itself leaves as one of these values; observe/ turns them into metrics and log
// lines. Durations are milliseconds, sizes bytes. No event carries a query string, a cookie, a credential or a header
// field other than Origin and the chosen subprotocol, so that no observer can leak what it never gets.
import type { Where } from './base/guard.ts';
import type { ConfigReloaded } from './base/reload-outcome.ts';
import type { CertificateOrdered } from './events/certificate.ts';
import type { HeadRefused, Http2SessionClosed, PreambleRefused, TlsHandshake } from './events/connection.ts';
import type { HandshakeFields } from './events/handshake.ts';
import type { TraceParent } from './events/trace-parent.ts';

/** How a session is carried. */
export type Mode = 'splice' | 'terminate';

/** Who ended a session. */
export type Initiator = 'client' | 'backend' | 'gateway';

/** What every outcome of one request says: its id, the route that matched (null where none did), and who asked. */
export interface Subject {
  /** X-Request-Id of the request: the same in every log line and toward the backend. */
  readonly id: string;
  readonly route: string | null;
  /** The client's address as far as trusted proxies vouch for it. */
  readonly client: string;
  readonly method: string;
  /** Host as the client wrote it; empty where there is none. */
  readonly host: string;
  /** The path without its query. */
  readonly path: string;
  /** The version of HTTP that the client speaks. */
  readonly protocol: '1.0' | '1.1' | '2';
  /** Whether it came over TLS, as routes see it: what a trusted proxy says counts. */
  readonly secure: boolean;
  /** The subject of the client's credentials; null where there are none, or none were asked for yet. */
  readonly user: string | null;
  /** What its traceparent field says (W3C Trace Context). */
  readonly trace?: TraceParent | undefined;
}

/** The server that served a request or session; null where none was reached. */
export interface ServerRef {
  readonly upstream: string;
  /** The server's address as in the config, without userinfo. */
  readonly server: string;
}

export interface HandshakeRejected extends Subject, HandshakeFields {
  readonly type: 'handshake_rejected';
  readonly mode: Mode | null;
  readonly reason: string;
  readonly status: number;
  readonly detail: string;
  /** The limit that was reached, as in a Rejection. */
  readonly limit?: string | undefined;
}

/** The handshake was allowed, and something broke before the 101. */
export interface HandshakeFailed extends Subject, HandshakeFields {
  readonly type: 'handshake_failed';
  readonly mode: Mode | null;
  readonly reason: string;
  readonly status: number;
  readonly detail: string;
  readonly at: ServerRef | null;
}

/** The backend answered with something other than 101, and the client got that answer. */
export interface HandshakePassed extends Subject, HandshakeFields {
  readonly type: 'handshake_passed';
  readonly mode: Mode;
  readonly status: number;
  readonly at: ServerRef;
  readonly durationMs: number;
}

export interface SessionOpened extends Subject {
  readonly type: 'session_opened';
  /** The id of the connection, by which the API and the backends of webhooks know it. */
  readonly connection: string;
  readonly route: string;
  readonly mode: Mode;
  readonly at: ServerRef | null;
  readonly origin: string | null;
  readonly subprotocol: string | null;
  /** From the handshake's head to the 101. */
  readonly durationMs: number;
}

/** Bytes, and messages where they are known, of one direction. Messages count data messages, never control frames. */
export interface Traffic {
  readonly bytes: number;
  readonly messages: number | null;
}

/** What a live session has carried, whichever way it is carried. */
export interface SessionActivity {
  readonly fromClient: Traffic;
  readonly toClient: Traffic;
  /** Milliseconds since a byte last went either way. */
  readonly idleMs: number;
}

/** How a session ended, whichever way it was carried; told once. */
export interface SessionEnd {
  readonly fromClient: Traffic;
  readonly toClient: Traffic;
  /** Bytes read from either end and not passed on, because the session was ending. */
  readonly discarded: number;
  /** The close code of RFC 6455 §7.4, or null where no Close frame was seen; 1005 is a Close without a code (§7.1.5). */
  readonly code: number | null;
  readonly initiator: Initiator;
  /** Why, in the gateway's own words: `closed`, `idle`, `reset`, `drain`, … */
  readonly reason: string;
  /** It did not end in order: it was cut, or a deadline passed. */
  readonly cut: boolean;
}

export interface SessionClosed extends Subject, SessionEnd {
  readonly type: 'session_closed';
  readonly connection: string;
  readonly route: string;
  readonly mode: Mode;
  readonly at: ServerRef | null;
  /** From the 101 to the end. */
  readonly durationMs: number;
}

export interface RequestCompleted extends Subject {
  readonly type: 'request_completed';
  readonly status: number;
  /** The reason code where the gateway itself answered; null where the backend did. */
  readonly reason: string | null;
  readonly detail: string | null;
  readonly limit?: string | undefined;
  readonly at: ServerRef | null;
  readonly durationMs: number;
  /** Of the request's body, as far as it went to a server. */
  readonly bytesFromClient: number;
  /** Of the answer; over HTTP/1.1 with its head. */
  readonly bytesToClient: number;
}

/** A request asked for this Upgrade, which is none to WebSocket: it goes on as plain HTTP, with an event of its own. */
export interface UpgradeDropped extends Subject {
  readonly type: 'upgrade_dropped';
  readonly upgrade: string;
}

export interface UpstreamConnected extends ServerRef {
  readonly type: 'upstream_connected';
  readonly durationMs: number;
}

export interface UpstreamFailed extends ServerRef {
  readonly type: 'upstream_failed';
  readonly id: string;
  readonly reason: string;
  readonly detail: string;
}

/** A request or handshake that failed on one server goes to another one, or doesn't because too many did already. */
export interface UpstreamRetry {
  readonly type: 'upstream_retry';
  readonly upstream: string;
  /** The one that failed last. */
  readonly server: string;
  readonly result: 'retried' | 'over_budget';
}

/** A server went down or came up: by its active check, by its traffic, or because DNS says so. */
export interface ServerChanged extends ServerRef {
  readonly type: 'server_changed';
  /** Whether it is healthy from now on. One that is `failing` gets traffic all the same. */
  readonly up: boolean;
  readonly reason: 'check' | 'ejected' | 'failing' | 'recovered' | 'returned' | 'joined' | 'left';
  readonly detail: string;
}

/** An issuer's key set was fetched, or could not be; those that were fetched before go on being used then. */
export interface KeysFetched {
  readonly type: 'keys_fetched';
  /** Without userinfo and query. */
  readonly url: string;
  readonly result: 'ok' | 'failed';
  /** The last fetch ended otherwise, or this is the first one and it failed. */
  readonly changed: boolean;
  readonly detail: string | null;
}

/** A ping of the gateway's own: `sent`, answered in time (`pong`), or not (`timeout`). */
export interface PingResult {
  readonly type: 'ping';
  readonly route: string;
  readonly result: 'sent' | 'pong' | 'timeout';
}

/** An event of a connection was sent to a backend: answered with 2xx, with another status, or not at all. */
export interface WebhookDelivered {
  readonly type: 'webhook_delivered';
  /** X-Request-Id of the handshake. */
  readonly id: string;
  readonly connection: string;
  readonly route: string;
  readonly event: 'connect' | 'connected' | 'message' | 'disconnected';
  readonly result: 'ok' | 'refused' | 'failed';
  readonly detail: string | null;
  /** From its turn in line to the last attempt's answer. */
  readonly durationMs: number;
}

/** Somebody asked the admin API. */
export interface ApiCalled {
  readonly type: 'api_called';
  /** Method and path, with the names of its parameters in place of their values. */
  readonly operation: string;
  /** What of the path was named: the connection's id, or the room; null where nothing is. */
  readonly target: string | null;
  readonly status: number;
  readonly reason: string | null;
  readonly client: string;
  readonly durationMs: number;
}

export interface CertificateLoaded {
  readonly type: 'certificate_loaded';
  readonly listener: string;
  readonly names: readonly string[];
  readonly notAfterMs: number;
}

export interface DrainChanged {
  readonly type: 'drain';
  readonly phase: 'started' | 'listeners_closed' | 'cut' | 'done';
  /** Live at that moment. */
  readonly sessions: number;
  /** Plain requests being answered, and handshakes being decided. */
  readonly requests: number;
}

/** A defect of the gateway: something was thrown that nobody expected. */
export interface InternalError {
  readonly type: 'internal_error';
  readonly where: Where;
  /** The id of the request or session that it cost; null where there is none, or nobody knows. */
  readonly id: string | null;
  /** The stack, and those of its causes. */
  readonly stack: string;
}

/** Something an operator should know that belongs to no request. */
export interface Notice {
  readonly type: 'notice';
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly data?: Readonly<Record<string, string | number | boolean>>;
}

export type GatewayEvent =
  | HandshakeRejected
  | HandshakeFailed
  | HandshakePassed
  | SessionOpened
  | SessionClosed
  | RequestCompleted
  | UpgradeDropped
  | HeadRefused
  | PreambleRefused
  | Http2SessionClosed
  | TlsHandshake
  | UpstreamConnected
  | UpstreamFailed
  | UpstreamRetry
  | ServerChanged
  | KeysFetched
  | PingResult
  | WebhookDelivered
  | ApiCalled
  | ConfigReloaded
  | CertificateLoaded
  | CertificateOrdered
  | DrainChanged
  | InternalError
  | Notice;

/** Takes an event; never throws and never waits. */
export type Emit = (event: GatewayEvent) => void;

/** One reading of a live number, by the name of its metric without the prefix. */
export interface Sample {
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A series that is there, at 0, before anything of it has happened. */
export type ExpectedSeries = Omit<Sample, 'value'>;

/** A source of live numbers, read when Prometheus scrapes. Counters it gives must never fall while the process lives. */
export interface Sampler {
  sample(): Iterable<Sample>;
}
