// The interface of the native acceptor: connections are accepted and their first bytes read behind it. It knows descriptors and
// bytes, no HTTP.
import type { FdConnection } from './fd-connection.ts';

/**
 * A client's connection and the first bytes that came on it; none where they did not come in time. Of a listener with TLS a
 * TlsConnection with its first plain bytes, or a connection that node has to serve, with nothing of it read.
 */
export interface AcceptedConnection {
  /** The handler's from now on. */
  readonly connection: FdConnection;
  /** Of the peer; an IPv4-mapped one is written as IPv4. */
  readonly address: string;
  readonly port: number;
  /** Valid until the handler returns. */
  readonly bytes: Buffer;
}

/** Gets the connections of one listening socket. */
export interface AcceptHandler {
  accepted(accepted: AcceptedConnection): void;
  /** Accepting failed, with a system error of this code. */
  failed(code: string): void;
  /**
   * Nothing is left of a client's TLS handshake. It failed, and `failure` is OpenSSL's reason, or says that the client closed,
   * reset, or took too long; or it was done (null), and the client left before its first byte.
   */
  tlsEnded(address: string, failure: string | null): void;
}

/** What the threads serve a TLS listener by; texts are as OpenSSL takes them. */
export interface TlsSettings {
  /** Of TLS 1.2 and of TLS 1.3. */
  readonly ciphers: string;
  readonly cipherSuites: string;
  readonly groups: string;
  readonly minVersion: '1.2' | '1.3';
  /** Whether the order of our ciphers counts, not the client's. */
  readonly serverOrder: boolean;
  readonly sessionIdContext: string;
  /** For how long a session may be resumed. */
  readonly sessionSeconds: number;
  /** Keys of session tickets, 48 octets each, as node takes them: the first one encrypts, all decrypt. */
  readonly ticketKeys: Buffer;
  /** PEM, and the names each is served for; the first is the default. */
  readonly certificates: readonly { readonly chain: string; readonly key: string; readonly names: readonly string[] }[];
  /** A client that asks for no name of a certificate is left to node, which refuses it. */
  readonly strictSni: boolean;
  /** A client that offers HTTP/2 is left to node, which speaks it. */
  readonly http2: boolean;
}

export interface AcceptHandle {
  /** Of the listening socket; -1 once it is closed. */
  readonly fd: number;
  /** No connection is accepted any more; the handler still gets those that were accepted before. */
  close(): void;
  /**
   * As close(), for a socket that other processes accept from as well, and go on doing so; resolves when the handler has got
   * this process's last connection.
   */
  release(): Promise<void>;
  /** Serves a TLS listener by these from the next handshake on. */
  useTls(settings: TlsSettings): void;
}

/** TLS of a listener: what it is served by, and how many milliseconds a handshake may take. */
export interface TlsAccept {
  readonly settings: TlsSettings;
  readonly handshakeMs: number;
  /** OpenSSL says that this is wrong with the settings, from the first on: by them every client is left to node. */
  readonly onRefused: (why: string) => void;
}

export interface Acceptor {
  /** Why the threads do no TLS; null: they do. */
  readonly withoutTls: string | null;
  /**
   * Accepts from the socket behind a listening descriptor, which remains the caller's; null where that can't be. `tls`
   * needs an acceptor that does TLS.
   */
  open(fd: number, handler: AcceptHandler, tls: TlsAccept | null): AcceptHandle | null;
  /**
   * Calls `onClosed` once when the peer of a connection has ended its stream (FIN) or reset it, unless the returned function
   * is called before. Nothing is read for that, and the connection may be taken over meanwhile.
   */
  watch(connection: FdConnection, onClosed: () => void): () => void;
}
