// What the tests of WebSockets over HTTP/2 put before their gateway: spliced and terminated sockets, a room, one for another
// origin, a page and its fetches, on a listener that offers HTTP/2 for sockets and one that does not.
import type { GatewayFile } from './gateway.ts';

const PAGE = '<!doctype html><title>page</title><h1>A page over HTTP/2</h1>';

export interface Http2ConfigOptions {
  readonly echo: { readonly port: number };
  readonly rest: { readonly port: number };
  /** Of the first listener. */
  readonly port?: number;
  /** Streams a connection may have open there. */
  readonly maxStreams: number;
}

export function http2Config({ echo, rest, port = 0, maxStreams }: Http2ConfigOptions): GatewayFile {
  const splice = { mode: 'splice', upstream: 'echo', origins: 'any' } as const;
  const terminate = { mode: 'terminate', origins: 'any' } as const;
  const listener = { host: '127.0.0.1', tls: { self_signed: ['localhost'] } };
  return {
    listeners: [
      { ...listener, port, http2: { extended_connect: true, max_streams: maxStreams } },
      { ...listener, port: 0 },
    ],
    upstreams: {
      echo: { servers: [`ws://127.0.0.1:${echo.port}`] },
      rest: { servers: [`http://127.0.0.1:${rest.port}`] },
    },
    routes: [
      { name: 'splice', match: { path: '/splice' }, websocket: splice },
      { name: 'echo', match: { path: '/echo' }, websocket: { ...terminate, handler: 'echo' } },
      { name: 'room', match: { path: '/room/{room}' }, websocket: { ...terminate, handler: 'rooms' } },
      { name: 'strict', match: { path: '/strict' }, websocket: { ...splice, origins: ['https://app.example'] } },
      { name: 'small', match: { path: '/small' }, websocket: { ...splice, limits: { max_message: '1KiB' } } },
      { name: 'page', match: { path: '/page' }, respond: { body: PAGE, content_type: 'text/html' } },
      { name: 'rest', match: { path: '/seen/*' }, http: { upstream: 'rest' } },
    ],
    drain: { delay: '0s', grace: '5s', spread: '0s' },
  };
}
