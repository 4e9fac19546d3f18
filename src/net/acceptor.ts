// The interface of the native acceptor: connections are accepted and their first bytes read behind it. It knows descriptors and
// bytes, no HTTP.
import type { FdConnection } from './fd-connection.ts';

/** A client's connection and the first bytes that came on it; none where they did not come in time. */
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
}

export interface Acceptor {
  /** Accepts from the socket behind a listening descriptor, which remains the caller's; null where that can't be. */
  open(fd: number, handler: AcceptHandler): AcceptHandle | null;
  /**
   * Calls `onClosed` once when the peer of a connection has ended its stream (FIN) or reset it, unless the returned function
   * is called before. Nothing is read for that, and the connection may be taken over meanwhile.
   */
  watch(connection: FdConnection, onClosed: () => void): () => void;
}
