// Our HTTP/1.1 as the server of a listener: node accepts connections and speaks TLS on them, and no more.
import { createServer as createNetServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { ListenerConfig } from '../../config/schema/schema.ts';
import type { Emit } from '../../events.ts';
import { KEEPALIVE_MS } from '../../net/dial.ts';
import type { Gateway } from '../../pipeline/requests.ts';
import type { HttpServer } from '../http-server.ts';
import type { TlsServer } from '../tls-server.ts';
import { Http1Server } from './server.ts';
import type { Http1Settings } from './services.ts';

const OPTIONS = {
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEPALIVE_MS,
} as const;

/** A server that listens nowhere yet; without `tls` it speaks plain HTTP. */
export function openHttp1Server(
  config: ListenerConfig,
  tls: TlsServer | null,
  gateway: Gateway,
  emit: Emit,
): HttpServer {
  const http1 = new Http1Server(settingsOf(config), gateway, emit);
  const server =
    tls === null
      ? createNetServer({ ...OPTIONS, allowHalfOpen: true })
      : createTlsServer({ ...OPTIONS, ...tls.options(), handshakeTimeout: config.timeouts.tls_handshake });
  server.on(tls === null ? 'connection' : 'secureConnection', (socket: Socket) => http1.take(socket));
  return {
    server,
    http1,
    configure: (next) => http1.configure(settingsOf(next)),
    closeIdle: () => http1.closeIdle(),
    cut: () => http1.cut(),
  };
}

function settingsOf({ max_head, timeouts }: ListenerConfig): Http1Settings {
  const keepAliveMs = timeouts.keep_alive;
  // Clients that know the time do not send their next request into the end of it.
  const keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n`;
  return { maxHead: max_head, headMs: timeouts.head, keepAliveMs, keepAlive };
}
