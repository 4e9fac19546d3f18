// What a listener needs of a server of HTTP/1.1, node's or ours: where connections come in, and how they end.
import type { Server as NetServer } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import type { ListenerConfig } from '../config/schema/schema.ts';
import type { Http1Server } from './http1/server.ts';

export interface HttpServer {
  /** Accepts, once it is told to listen; takes what is emitted as `connection`, too. */
  readonly server: NetServer | TlsServer;
  /** Ours; null: it is node's. */
  readonly http1: Http1Server | null;
  /** Sets everything that may change at a reload. */
  configure(config: ListenerConfig): void;
  /** Ends connections that wait for a next request. */
  closeIdle(): void;
  /** Ends all connections but upgraded ones. */
  cut(): void;
}
