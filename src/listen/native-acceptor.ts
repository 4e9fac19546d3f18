// The connections of a listener that are accepted without node. A handshake whose head is complete is decided at once; where
// its verdict is `splice`, its connection need not become a socket of node's. Everything else goes to node's server from its
// first byte on, as if node had accepted the connection.
import type { Server } from 'node:http';
import { Socket } from 'node:net';
import type { ListenerRules } from '../actions/listener-rules.ts';
import { setPeer } from '../actions/peer.ts';
import { guarded } from '../base/guard.ts';
import type { AcceptedConnection, AcceptHandle, AcceptHandler, Acceptor } from '../net/acceptor.ts';
import type { Connection } from '../net/fd-connection.ts';
import { closeListeningSocket, descriptorOf } from '../net/node-internals.ts';
import type { Handshakes } from '../pipeline/handshakes.ts';
import { readFirstHandshake } from './first-handshake.ts';
import { injectConnection } from './node-acceptor.ts';

export interface NativeAcceptorOptions {
  readonly acceptor: Pick<Acceptor, 'open'>;
  /** Gets each handshake that came whole with its connection; what it declines is for node's server. */
  readonly offer: Handshakes['offer'];
  /** How long a head may be; null where connections begin with a PROXY preamble. */
  readonly maxHead: () => number | null;
  /** Recorded with each peer. */
  readonly rules: ListenerRules;
  /** Called for each connection, before anything else. */
  readonly onAccepted: (connection: Connection) => void;
  readonly onFailed: (error: Error) => void;
}

export class NativeAcceptor implements AcceptHandler {
  readonly #server: Server;
  readonly #options: NativeAcceptorOptions;
  readonly #returnToServer = (socket: Socket, rest: Buffer): void => injectConnection(this.#server, socket, rest);

  /** The server must be listening. */
  constructor(server: Server, options: NativeAcceptorOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** Accepts in the server's place; null where the server goes on accepting. */
  open(): AcceptHandle | null {
    const fd = descriptorOf(this.#server);
    const handle = fd < 0 ? null : this.#options.acceptor.open(fd, this);
    if (handle !== null) closeListeningSocket(this.#server);
    return handle;
  }

  readonly accepted = guarded(
    'connection',
    (accepted: AcceptedConnection) => this.#accepted(accepted),
    ({ connection }) => connection.destroy(),
  );

  #accepted({ connection, address, port, bytes }: AcceptedConnection): void {
    const { maxHead, offer, onAccepted, rules } = this.#options;
    onAccepted(connection);
    const headLimit = maxHead();
    const peer = headLimit === null ? null : { address, port, destination: null, listener: rules };
    if (headLimit !== null && peer !== null) {
      setPeer(connection, peer);
      const first = readFirstHandshake(bytes, headLimit);
      if (first !== null) {
        const offered = offer(first.message, connection, bytes.subarray(first.end), this.#returnToServer);
        if (offered === 'taken') return;
      }
    }
    const socket = new Socket({ fd: connection.take(), allowHalfOpen: true, readable: true, writable: true });
    if (peer !== null) setPeer(socket, peer);
    injectConnection(this.#server, socket, Buffer.from(bytes));
  }

  failed(code: string): void {
    this.#options.onFailed(Object.assign(new Error(`accept ${code}`), { code }));
  }
}
