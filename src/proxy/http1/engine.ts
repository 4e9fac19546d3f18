// The HttpEngine of our own: HTTP/1.1 toward servers, over pooled connections. What an exchange is stands in
// proxy/exchange.ts, what is ours of the protocol in connection.ts.

import type { Duplex } from 'node:stream';
import { Deadlines } from '../../base/deadlines.ts';
import { ignore } from '../../base/guard.ts';
import { answersConnectionAuth } from '../../http/connection-auth.ts';
import type { Endpoint } from '../../net/endpoint.ts';
import { type ExchangeOwner, HttpExchange } from '../exchange.ts';
import type { BoundConnections, Exchange, HttpEngine, HttpEngineOptions } from '../http-engine.ts';
import { connectAfterPreamble, connectTo } from './connect.ts';
import { type ConnectionOwner, Http1Connection } from './connection.ts';
import { persistence } from './persistence.ts';
import { BOUND_IDLE_MS, ConnectionPool } from './pool.ts';

/** What is read from a connection at a time, at most, as node has it. */
const READ_BYTES = 64 * 1024;

/** Of a connection that nobody else may use. */
const ONCE: ConnectionOwner = {
  free: (connection) => connection.drop(),
  gone: ignore,
  answered: ignore,
};

/** Makes an engine with connections of its own. */
export function openHttp1({ connectionsPerServer, ca }: HttpEngineOptions = {}): HttpEngine {
  const most = connectionsPerServer ?? Number.POSITIVE_INFINITY;
  const known = new Set<ConnectionPool>();
  const buffer = Buffer.alloc(READ_BYTES);
  // By the server's own value: another one, of the next config, may speak TLS by other rules.
  let pools = new WeakMap<Endpoint, ConnectionPool>();
  const bindings = new WeakMap<Duplex, Set<Endpoint>>();

  function poolOf(server: Endpoint): ConnectionPool {
    let pool = pools.get(server);
    if (pool === undefined) {
      pool = new ConnectionPool({ server, most, connect: connectTo({ server, ca, buffer }), known, bindings });
      pools.set(server, pool);
    }
    return pool;
  }

  const owner: ExchangeOwner = {
    deadlines: new Deadlines('request'),
    sendAgain: (exchange) => begin(exchange, 'carryFresh'),
  };

  function begin(exchange: Exchange, how: 'carry' | 'carryFresh'): void {
    const transfer = new HttpExchange(exchange, owner);
    if (transfer.over) return;
    const { server, preamble } = exchange;
    if (preamble === null) poolOf(server)[how](exchange, transfer);
    else new Http1Connection(connectAfterPreamble(server, preamble), ONCE).carry(exchange, transfer);
  }

  const bound: BoundConnections = {
    servers: (client) => bindings.get(client) ?? null,
    take: (server, client) => pools.get(server)?.takeBound(client) ?? null,
    // What began with a PROXY preamble is of one request.
    keeps: ({ proxyProtocol }, head) =>
      proxyProtocol === undefined && answersConnectionAuth(head) && persistence(head, BOUND_IDLE_MS) > 0,
    keep: (server, client, connection, head) => poolOf(server).keepBound(client, connection, head),
  };

  return {
    name: 'http1',
    bound,
    forward: (exchange) => begin(exchange, 'carry'),
    close() {
      for (const pool of known) pool.close();
      pools = new WeakMap();
    },
  };
}
