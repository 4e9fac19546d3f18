// The connections of a listener that are accepted without node: a handshake that has come whole is decided at once, and
// where it may be spliced, its connection never becomes a socket of node's. Everything else goes to node's server from its
// first byte on, as if it had accepted the connection.
import type { Server } from 'node:http';
import { Socket } from 'node:net';
import { setPeer } from '../actions/peer.ts';
import { guarded } from '../base/guard.ts';
import type { MessageLike } from '../http/head.ts';
import type { Connection, FdConnection } from '../net/fd-connection.ts';
import { injectConnection, listeningDescriptor, stopAccepting } from './node-acceptor.ts';
import { RequestHeadParser } from './request-head-parser.ts';

/** A client that has connected, and what it said first; nothing where it was silent. */
interface AcceptedConnection {
  readonly connection: FdConnection;
  readonly address: string;
  readonly port: number;
  /** May be looked at until the receiver returns. */
  readonly bytes: Buffer;
}

/** What is told of the connections of one listening socket. */
interface AcceptHandler {
  accepted(accepted: AcceptedConnection): void;
  failed(code: string): void;
}

export interface AcceptHandle {
  /** Nobody connects any more. */
  close(): void;
}

/** What accepts from the socket behind a listening descriptor; null where it can't. The relay's engine has one. */
export interface Acceptor {
  open(fd: number, handler: AcceptHandler): AcceptHandle | null;
  /** Calls `onClosed` once when the client has ended its stream or reset it, until what is returned is called. */
  watch(connection: FdConnection, onClosed: () => void): () => void;
}

export interface NativeAcceptorOptions {
  readonly acceptor: Pick<Acceptor, 'open'>;
  /** Takes a handshake, or not, and then nothing has happened; the bytes stand behind its head. */
  readonly onFirst: (message: MessageLike, connection: FdConnection, bytes: Buffer) => boolean;
  /** How long a head may be; 0 where connections begin with something else. */
  readonly maxHead: () => number;
  /** Told of each connection, before anything else. */
  readonly onAccepted: (connection: Connection) => void;
  readonly onFailed: (error: Error) => void;
}

export class NativeAcceptor implements AcceptHandler {
  readonly #server: Server;
  readonly #options: NativeAcceptorOptions;
  readonly #heads = RequestHeadParser.create();

  /** The server listens. */
  constructor(server: Server, options: NativeAcceptorOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** Accepts in the server's place; null where the server still does. */
  open(): AcceptHandle | null {
    const fd = listeningDescriptor(this.#server);
    const handle = this.#heads === null || fd < 0 ? null : this.#options.acceptor.open(fd, this);
    if (handle !== null) stopAccepting(this.#server);
    return handle;
  }

  readonly accepted = guarded(
    'connection',
    (accepted: AcceptedConnection) => this.#accepted(accepted),
    ({ connection }) => connection.destroy(),
  );

  #accepted({ connection, address, port, bytes }: AcceptedConnection): void {
    const { maxHead, onFirst, onAccepted } = this.#options;
    onAccepted(connection);
    const headLimit = maxHead();
    const peer = headLimit === 0 ? null : { address, port, destination: null };
    if (peer !== null) {
      setPeer(connection, peer);
      const first = bytes.length === 0 ? null : (this.#heads?.read(bytes, headLimit) ?? null);
      if (first !== null && onFirst(first.message, connection, bytes.subarray(first.end))) return;
    }
    const socket = new Socket({ fd: connection.take(), allowHalfOpen: true, readable: true, writable: true });
    if (peer !== null) setPeer(socket, peer);
    injectConnection(this.#server, socket, Buffer.from(bytes));
  }

  failed(code: string): void {
    this.#options.onFailed(Object.assign(new Error(`accept ${code}`), { code }));
  }
}
