// The connections to one server: which of them takes a request, the queue of requests that wait for one, how long an idle
// one is kept, and which ones belong to one client. How a connection carries a request is connection.ts.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { guarded } from '../../base/guard.ts';
import type { AnswerHead } from '../../http/answer.ts';
import { answersConnectionAuth, authenticatesConnection } from '../../http/connection-auth.ts';
import type { Endpoint } from '../../net/endpoint.ts';
import type { HttpExchange } from '../exchange.ts';
import type { Exchange } from '../http-engine.ts';
import type { Connect } from './connect.ts';
import { type ConnectionOwner, Http1Connection } from './connection.ts';

/** Idle connections kept to one server, at most. */
const MAX_IDLE = 256;
/** How often idle connections are looked through; that one is too old is seen before it is used, too. */
const SWEEP_MS = 1000;
/** How long a connection of one client is kept idle: its next use would begin with logging in again. */
export const BOUND_IDLE_MS = 60_000;

/** An exchange that waits for a connection. */
interface Waiting {
  readonly exchange: Exchange;
  readonly transfer: HttpExchange;
}

export interface ConnectionPoolOptions {
  readonly server: Endpoint;
  /** Connections at a time. */
  readonly most: number;
  readonly connect: Connect;
  /** Where the pool stands as long as it has connections. */
  readonly known: Set<ConnectionPool>;
  /** To which servers a client has connections of its own, over all pools. */
  readonly bindings: WeakMap<Duplex, Set<Endpoint>>;
}

/** A connection that is one client's, and ends with it. */
interface Binding {
  readonly client: Duplex;
  readonly onClose: () => void;
}

export class ConnectionPool implements ConnectionOwner {
  readonly #options: ConnectionPoolOptions;
  readonly #all = new Set<Http1Connection>();
  /** The one used last stands last, and is used first: those that are not needed can end. */
  readonly #idle: Http1Connection[] = [];
  readonly #line = new Set<Waiting>();
  readonly #bindings = new Map<Http1Connection, Binding>();
  /** Those of `bindings` that are idle, by their client. */
  readonly #own = new Map<Duplex, Http1Connection>();
  #sweep: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ConnectionPoolOptions) {
    this.#options = options;
  }

  /** Gives the exchange a connection, now or when one is free. */
  carry(exchange: Exchange, transfer: HttpExchange): void {
    const connection = this.#takeOwn(exchange.request.authScope) ?? this.#takeIdle() ?? this.#addIfRoom();
    if (connection !== null) return void this.#give(connection, exchange, transfer);
    const waiting = { exchange, transfer };
    this.#line.add(waiting);
    transfer.onOver = () => void this.#line.delete(waiting);
  }

  /** Gives it a connection of its own, which nobody has used. */
  carryFresh(exchange: Exchange, transfer: HttpExchange): void {
    this.#give(this.#add(), exchange, transfer);
  }

  /** This client's own connection, where it is idle; it is the pool's no more. */
  takeBound(client: Duplex): Socket | null {
    return this.#takeOwn(client)?.detach() ?? null;
  }

  /** Takes in a connection that this client has authenticated; `head`: of the last answer on it. */
  keepBound(client: Duplex, socket: Socket, head: AnswerHead): void {
    const connection = this.#add();
    this.#bind(connection, client);
    connection.attach(socket, head);
  }

  free(connection: Http1Connection): void {
    const binding = this.#bindings.get(connection);
    if (binding !== undefined) {
      if (this.#closed || binding.client.destroyed || this.#own.has(binding.client)) return void connection.drop();
      this.#own.set(binding.client, connection);
      return void this.#sweepLater();
    }
    const next = this.#next();
    if (next !== undefined) return void this.#give(connection, next.exchange, next.transfer);
    if (this.#closed || this.#idle.length >= MAX_IDLE) return void connection.drop();
    this.#idle.push(connection);
    this.#sweepLater();
  }

  gone(connection: Http1Connection): void {
    this.#all.delete(connection);
    if (this.#all.size === 0) this.#options.known.delete(this);
    const i = this.#idle.lastIndexOf(connection);
    if (i !== -1) this.#idle.splice(i, 1);
    this.#unbind(connection);
    const next = this.#all.size < this.#options.most ? this.#next() : undefined;
    if (next !== undefined) this.#give(this.#add(), next.exchange, next.transfer);
  }

  answered(connection: Http1Connection, exchange: Exchange, head: AnswerHead): void {
    if (answersConnectionAuth(head)) this.#bind(connection, exchange.request.authScope);
  }

  /** Ends idle connections; busy ones end when they are done. */
  close(): void {
    this.#closed = true;
    for (const connection of [...this.#idle, ...this.#own.values()]) connection.drop();
  }

  #give(connection: Http1Connection, exchange: Exchange, transfer: HttpExchange): void {
    if (authenticatesConnection(exchange.fields)) this.#bind(connection, exchange.request.authScope);
    connection.carry(exchange, transfer);
  }

  #takeOwn(client: Duplex): Http1Connection | null {
    const own = this.#own.get(client);
    if (own === undefined) return null;
    this.#own.delete(client);
    if (own.usableUntil > performance.now()) return own;
    own.drop();
    return null;
  }

  #takeIdle(): Http1Connection | null {
    const now = performance.now();
    for (let last = this.#idle.pop(); last !== undefined; last = this.#idle.pop()) {
      if (last.usableUntil > now) return last;
      last.drop();
    }
    return null;
  }

  /** The first of the queue. */
  #next(): Waiting | undefined {
    for (const waiting of this.#line) {
      this.#line.delete(waiting);
      waiting.transfer.onOver = null;
      return waiting;
    }
    return undefined;
  }

  #addIfRoom(): Http1Connection | null {
    return this.#all.size < this.#options.most ? this.#add() : null;
  }

  #add(): Http1Connection {
    const connection = new Http1Connection(this.#options.connect, this);
    this.#all.add(connection);
    this.#options.known.add(this);
    return connection;
  }

  /** From now on the connection is this client's, and ends with it. */
  #bind(connection: Http1Connection, client: Duplex): void {
    if (this.#bindings.has(connection)) return;
    const onClose = (): void => connection.drop();
    this.#bindings.set(connection, { client, onClose });
    client.once('close', onClose);
    const { server, bindings } = this.#options;
    const servers = bindings.get(client) ?? new Set();
    bindings.set(client, servers.add(server));
    connection.idleMs = BOUND_IDLE_MS;
  }

  #unbind(connection: Http1Connection): void {
    const binding = this.#bindings.get(connection);
    if (binding === undefined) return;
    const { client, onClose } = binding;
    this.#bindings.delete(connection);
    if (this.#own.get(client) === connection) this.#own.delete(client);
    client.off('close', onClose);
    const { server, bindings } = this.#options;
    const servers = bindings.get(client);
    servers?.delete(server);
    if (servers?.size === 0) bindings.delete(client);
  }

  #sweepLater(): void {
    this.#sweep ??= setTimeout(this.#dropExpired, SWEEP_MS).unref();
  }

  readonly #dropExpired = guarded('upstream', () => {
    this.#sweep = undefined;
    const now = performance.now();
    for (const connection of [...this.#idle, ...this.#own.values()])
      if (connection.usableUntil <= now) connection.drop();
    if (this.#idle.length > 0 || this.#own.size > 0) this.#sweepLater();
  });
}
