// A handshake with one server by the native dial: what upgrade.ts does with a socket of node's, done with none. The head
// is read by the same reader.
import { isIP } from 'node:net';
import { asGatewayError, GatewayError } from '../../errors.ts';
import { AnswerReader } from '../../http/answer-reader.ts';
import { upstreamError } from '../../net/dial.ts';
import type { DialCaller, DialFailure, Dialler, Dialling } from '../../net/dialler.ts';
import type { Endpoint } from '../../net/endpoint.ts';
import type { FdConnection } from '../../net/fd-connection.ts';
import type { HandshakeRequest, HandshakeResponse } from './upgrade.ts';

const NOTHING = Buffer.alloc(0);

/** Whether a dialler can reach this server: by an address and without TLS. Names are resolved by node, with all it does. */
export function canDialNatively({ secure, host, unix }: Endpoint): boolean {
  return !secure && unix === undefined && isIP(host) !== 0 && !host.includes('%');
}

/** As requestUpgrade() of upgrade.ts, with the same errors; the answer's connection is an FdConnection. */
export function requestNatively(
  dialler: Dialler,
  server: Endpoint,
  asking: HandshakeRequest,
): Promise<HandshakeResponse> {
  return new Promise((resolve, reject) => new Exchange({ dialler, server, asking, resolve, reject }));
}

interface Order {
  readonly dialler: Dialler;
  readonly server: Endpoint;
  readonly asking: HandshakeRequest;
  readonly resolve: (answer: HandshakeResponse) => void;
  readonly reject: (error: GatewayError) => void;
}

class Exchange implements DialCaller {
  readonly #order: Order;
  readonly #reader = new AnswerReader();
  #dialling: Dialling;
  /** Of the first piece that came. */
  #connectMs = -1;
  /** When the answer is late, by performance.now(); known once a first piece has come. */
  #answerBy = 0;

  constructor(order: Order) {
    this.#order = order;
    const { dialler, server, asking } = order;
    const { preamble, handshake, timeouts, clientClosed } = asking;
    if (clientClosed.closed) throw new GatewayError('client_gone', 'the client left');
    this.#dialling = dialler.dial(
      {
        address: server.host,
        port: server.port,
        bytes: preamble === null ? handshake : preamble.toString('latin1') + handshake,
        connectMs: timeouts.connect,
        answerMs: timeouts.handshake,
        maxHead: this.#reader.room,
      },
      this,
    );
    this.#answerBy = performance.now() + timeouts.handshake;
    clientClosed.onClosed(() => this.#onClientClosed());
  }

  onHead(connection: FdConnection, bytes: Buffer, connectMs: number): void {
    try {
      this.#take(connection, bytes, connectMs);
    } catch (error) {
      connection.destroy();
      this.#refuse(asGatewayError(error, 'handshake'));
    }
  }

  #take(connection: FdConnection, bytes: Buffer, connectMs: number): void {
    const { asking, server, resolve } = this.#order;
    if (this.#connectMs < 0) {
      this.#connectMs = connectMs;
      this.#answerBy += connectMs;
    }
    const read = this.#reader.take(bytes);
    if (read === null) {
      this.#readOn(connection);
      return;
    }
    if ('fault' in read) {
      connection.destroy();
      this.#refuse(new GatewayError('bad_accept', `${server.url}: ${read.fault}`));
      return;
    }
    asking.clientClosed.onClosed(null);
    const rest = read.rest.length === 0 ? NOTHING : Buffer.from(read.rest);
    resolve({ socket: connection, head: read.head, rest, connectMs: this.#connectMs });
  }

  failed(why: DialFailure, connected: boolean): void {
    const { server, asking } = this.#order;
    const { connect, handshake } = asking.timeouts;
    if (why === 'timeout') {
      this.#refuse(new GatewayError('backend_timeout', `no connection to ${server.url} within ${connect} ms`));
    } else if (why === 'silent') {
      this.#refuse(new GatewayError('backend_timeout', `no answer from ${server.url} within ${handshake} ms`));
    } else if (why === 'ended') {
      this.#refuse(new GatewayError('backend_refused', `${server.url} ended the connection before its answer`));
    } else {
      const call = connected ? `read ${why}` : `connect ${why} ${server.host}:${server.port}`;
      const error = Object.assign(new Error(call), { code: why });
      this.#refuse(upstreamError(error, `${connected ? 'reading from' : 'connecting to'} ${server.url}`));
    }
  }

  /** Interim answers only so far. */
  #readOn(connection: FdConnection): void {
    const held = this.#reader.unread();
    const answerMs = Math.max(this.#answerBy - performance.now(), 0);
    this.#dialling = this.#order.dialler.collect(connection, held, { answerMs, maxHead: this.#reader.room }, this);
  }

  #onClientClosed(): void {
    this.#order.dialler.cancel(this.#dialling);
    this.#order.reject(new GatewayError('client_gone', 'the client left'));
  }

  #refuse(error: GatewayError): void {
    this.#order.asking.clientClosed.onClosed(null);
    this.#order.reject(error);
  }
}
