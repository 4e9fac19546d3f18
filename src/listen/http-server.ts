// The interface between a listener and a server of HTTP/1.1, node's or ours: how connections are added, and how they end.
import type { Server as NetServer } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import type { ListenerConfig } from '../config/schema/schema.ts';
import type { Http1Server } from './http1/server.ts';

export interface HttpServer {
  /** Accepts once it listens; also takes connections that are emitted as `connection`. */
  readonly server: NetServer | TlsServer;
  /** Our own server; null if it is node's. */
  readonly http1: Http1Server | null;
  /** Applies the settings that may change at a reload. */
  configure(config: ListenerConfig): void;
  /** Closes connections that wait for a next request. */
  closeIdle(): void;
  /** Destroys all connections but upgraded ones. */
  cut(): void;
}
