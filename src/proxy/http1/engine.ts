// The HttpEngine of our own: HTTP/1.1 toward servers, over pooled connections. What an exchange is stands in
// proxy/exchange.ts, what is ours of the protocol in connection.ts.

import { ignore } from '../../base/guard.ts';
import type { Endpoint } from '../../net/endpoint.ts';
import { HttpExchange, type Outcome } from '../exchange.ts';
import type { Exchange, HttpEngine, HttpEngineOptions } from '../http-engine.ts';
import { connectPrefaced, connectTo } from './connect.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import { ConnectionPool } from './pool.ts';

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
  // By the server's own value: another one, of the next config, may speak TLS by other rules.
  let pools = new WeakMap<Endpoint, ConnectionPool>();

  function poolOf(server: Endpoint): ConnectionPool {
    let pool = pools.get(server);
    if (pool === undefined) {
      pool = new ConnectionPool({ most, connect: connectTo(server, ca), known });
      pools.set(server, pool);
    }
    return pool;
  }

  function attempt(exchange: Exchange, how: 'carry' | 'carryFresh'): Promise<Outcome> {
    const transfer = new HttpExchange(exchange);
    if (transfer.over) return transfer.outcome;
    const { server, preamble } = exchange;
    if (preamble === null) poolOf(server)[how]({ exchange, transfer });
    else new Connection(connectPrefaced(server, preamble), ONCE).carry(exchange, transfer);
    return transfer.outcome;
  }

  return {
    name: 'http1',
    async forward(exchange) {
      const outcome = await attempt(exchange, 'carry');
      // The one place where a request is sent again: its kept connection was gone before anything came of it.
      if (outcome === 'stale') await attempt(exchange, 'carryFresh');
    },
    close() {
      for (const pool of known) pool.close();
      pools = new WeakMap();
    },
  };
}
