// The connections of a listener that are accepted without node. A handshake whose head is complete is decided at once; if
// its verdict is `splice`, its connection need not become a node socket. Everything else goes to the listener's server, as if
// that had accepted the connection: node's server reads from the first byte on, ours continues behind the bytes read.
import type { Server, Socket } from 'node:net';
import type { ListenerRules } from '../actions/listener-rules.ts';
import { type Peer, setPeer } from '../actions/peer.ts';
import { guarded } from '../base/guard.ts';
import { RequestReader } from '../http/request-reader.ts';
import type { AcceptedConnection, AcceptHandle, AcceptHandler, Acceptor, TlsAccept } from '../net/acceptor.ts';
import type { Connection, FdConnection } from '../net/fd-connection.ts';
import { closeListeningSocket, descriptorOf } from '../net/node-internals.ts';
import { TlsConnection } from '../net/tls-connection.ts';
import type { Handshakes } from '../pipeline/handshakes.ts';
import { type FirstHandshake, handshakeIn, readFirstHandshake } from './first-handshake.ts';
import type { Http1Server } from './http1/server.ts';
import { injectConnection } from './node-acceptor.ts';
import type { NativeHandshake } from './tls-accept.ts';

export interface NativeAcceptorOptions {
  readonly acceptor: Pick<Acceptor, 'open'>;
  /** Gets each complete handshake with its connection; what it declines goes to the server. */
  readonly offer: Handshakes['offer'];
  /** Our own server, if it takes connections of which something was read. */
  readonly http1: () => Pick<Http1Server, 'buffer' | 'takeBegun'> | null;
  /** How long a head may be; null where connections begin with a PROXY preamble. */
  readonly maxHead: () => number | null;
  /** Recorded with each peer. */
  readonly rules: ListenerRules;
  /** Called for each connection, before anything else. */
  readonly onAccepted: (connection: Connection) => void;
  readonly onFailed: (error: Error) => void;
  /** Called for each TLS handshake of the threads. */
  readonly onTls: (handshake: NativeHandshake) => void;
}

export class NativeAcceptor implements AcceptHandler {
  readonly #server: Server;
  readonly #options: NativeAcceptorOptions;
  #secure = false;
  readonly #returnToServer = (socket: Socket, rest: Buffer): void => injectConnection(this.#server, socket, rest);

  /** The server must be listening. */
  constructor(server: Server, options: NativeAcceptorOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** Accepts in the server's place; null where the server goes on accepting. `tls`: of an HTTPS server. */
  open(tls: TlsAccept | null): AcceptHandle | null {
    this.#secure = tls !== null;
    const fd = descriptorOf(this.#server);
    const handle = fd < 0 ? null : this.#options.acceptor.open(fd, this, tls);
    if (handle !== null) closeListeningSocket(this.#server);
    return handle;
  }

  readonly accepted = guarded(
    'connection',
    (accepted: AcceptedConnection) => this.#accepted(accepted),
    ({ connection }) => connection.destroy(),
  );

  #accepted({ connection, address, port, bytes }: AcceptedConnection): void {
    const { maxHead, onAccepted, onTls, http1, rules } = this.#options;
    onAccepted(connection);
    if (connection instanceof TlsConnection) {
      onTls({ client: address, name: connection.servername || null, resumed: connection.resumed, failure: null });
    }
    const headLimit = maxHead();
    if (headLimit === null) return void injectConnection(this.#server, connection.toSocket(), Buffer.from(bytes));
    const peer = { address, port, destination: null, listener: rules };
    setPeer(connection, peer);
    const own = http1();
    // A connection with node's TLS begins with the TLS handshake; nothing of it is read here.
    if (this.#secure && !(connection instanceof TlsConnection)) {
      this.#inject(connection, peer, bytes);
      return;
    }
    if (own === null) {
      if (this.#offer(readFirstHandshake(bytes, headLimit), connection, bytes)) return;
      this.#inject(connection, peer, bytes);
      return;
    }
    const reader = new RequestReader(headLimit);
    const start = bytes.length === 0 ? null : reader.take(bytes);
    if (this.#offer(handshakeIn(start), connection, bytes)) return;
    const socket = connection.toSocket(own.buffer);
    setPeer(socket, peer);
    own.takeBegun(socket, { bytes: Buffer.from(bytes), reader, start });
  }

  #inject(connection: FdConnection, peer: Peer, bytes: Buffer): void {
    const socket = connection.toSocket();
    setPeer(socket, peer);
    injectConnection(this.#server, socket, Buffer.from(bytes));
  }

  /** Whether the first bytes are a handshake that was taken. */
  #offer(first: FirstHandshake | null, connection: FdConnection, bytes: Buffer): boolean {
    if (first === null) return false;
    const behind = bytes.subarray(first.end);
    return this.#options.offer(first.message, connection, behind, this.#returnToServer) === 'taken';
  }

  tlsEnded(address: string, failure: string | null): void {
    this.#options.onTls({ client: address, name: null, resumed: false, failure });
  }

  failed(code: string): void {
    this.#options.onFailed(Object.assign(new Error(`accept ${code}`), { code }));
  }
}
