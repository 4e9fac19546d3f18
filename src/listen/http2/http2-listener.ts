// HTTP/2 beside HTTP/1.1 on one listener: which connections are its, by ALPN or by their preface, and what its config says.
import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { guarded } from '../../base/guard.ts';
import { http2Of } from '../../config/http2.ts';
import type { ListenerConfig } from '../../config/schema/schema.ts';
import type { Emit } from '../../events.ts';
import type { Gateway } from '../../pipeline/requests.ts';
import type { Http2Settings } from './connection.ts';
import { PriorKnowledge } from './prior-knowledge.ts';
import { Http2Server } from './server.ts';
import { GatewayStreams } from './streams.ts';

/** The protocols of a listener by ALPN (RFC 7301), preferred ones first. */
const BOTH = ['h2', 'http/1.1'];
const HTTP1 = ['http/1.1'];

export class Http2Listener {
  readonly #http2: Http2Server;
  readonly #priorKnowledge = new PriorKnowledge();
  #config: ListenerConfig;

  constructor(config: ListenerConfig, gateway: Gateway, emit: Emit) {
    this.#config = config;
    this.#http2 = new Http2Server(settingsOf(config), new GatewayStreams(gateway, emit), emit);
  }

  /** Holds for new connections; open ones go on, whatever it says. */
  configure(config: ListenerConfig): void {
    this.#config = config;
    this.#http2.update(settingsOf(config));
  }

  /** The protocol for a client that offers these by ALPN; undefined: none, and the handshake is refused (RFC 7301 §3.2). */
  readonly chooseProtocol = ({ protocols }: { protocols: string[] }): string | undefined => {
    const served = http2Of(this.#config) === null ? HTTP1 : BOTH;
    return served.find((protocol) => protocols.includes(protocol));
  };

  /** Takes those connections of a TLS server that have agreed on `h2` from what has listened for them so far. */
  takeByAlpn(server: Server): void {
    const http1 = server.listeners('secureConnection') as ((socket: Socket) => void)[];
    const onSecure = (socket: TLSSocket): void => {
      if (socket.alpnProtocol === 'h2') this.#http2.take(socket);
      else for (const listener of http1) listener.call(server, socket);
    };
    server.removeAllListeners('secureConnection').on(
      'secureConnection',
      guarded('connection', onSecure, (socket) => socket.destroy()),
    );
  }

  /** Whether a connection without TLS may begin with HTTP/2. */
  get readsPrefaces(): boolean {
    return this.#config.tls === undefined && http2Of(this.#config)?.prior_knowledge === true;
  }

  /** A connection without TLS: takes it where it begins with HTTP/2, else calls `http1`, with nothing of it read. */
  takeByPreface(socket: Socket, http1: () => void): void {
    if (!this.readsPrefaces) {
      http1();
      return;
    }
    this.#priorKnowledge.read(socket, this.#config.timeouts.head, (http2) => {
      if (http2) return this.#http2.take(socket);
      http1();
      // Who reads by events goes on where the first bytes were put back.
      if (socket.listenerCount('data') > 0) socket.resume();
    });
  }

  count(): ReturnType<Http2Server['count']> {
    return this.#http2.count();
  }

  /** No further request on any connection; those under way end by themselves. */
  close(): void {
    this.#http2.close();
  }

  closeIdle(): void {
    this.#http2.closeIdle();
  }

  cut(): void {
    this.#priorKnowledge.cut();
    this.#http2.cut();
  }
}

/** Longer than an answer may go unread (`timeouts.idle`), twice over. */
const SILENT_MS = 45_000;
const CLOSING_SILENT_MS = 5000;

/** No connection comes to it then. */
const OFF = { extended_connect: false, max_streams: 1, window: 65_535 };

function settingsOf(config: ListenerConfig): Http2Settings {
  const { extended_connect, max_streams, window } = http2Of(config) ?? OFF;
  const { max_head, timeouts } = config;
  return {
    extendedConnect: extended_connect,
    maxStreams: max_streams,
    window,
    maxHead: max_head,
    headMs: timeouts.head,
    keepAliveMs: timeouts.keep_alive,
    silentMs: SILENT_MS,
    closingSilentMs: CLOSING_SILENT_MS,
  };
}
