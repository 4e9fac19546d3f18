// A gateway of the smallest kind, for tests of the hand-over: node's http server takes the handshake, a plain connection
// goes to the backend, and behind its 101 both sockets are handed to the engine under test.
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { RelayEngine, Tunnel, TunnelEnd } from '../../src/relay/relay.ts';
import { OPTIONS } from './tunnel-fixture.ts';

export const HANDSHAKE =
  'GET /chat HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n';
export const ANSWER = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';

export interface Handed {
  readonly client: net.Socket;
  readonly backend: net.Socket;
  readonly tunnel: Tunnel;
  readonly end: Promise<TunnelEnd>;
}

export interface Hooks {
  /** The client's socket, right in `upgrade` and behind readStop. */
  upgraded?: (client: net.Socket) => void;
  /** Just before the hand-over. */
  before?: (client: net.Socket, backend: net.Socket) => Promise<void> | void;
  request?: http.RequestListener;
}

export class Gateway {
  readonly server: http.Server;
  readonly handed: Handed[] = [];
  readonly #engine: RelayEngine;
  readonly #backend: number;
  readonly #hooks: Hooks;
  #wake: (() => void)[] = [];

  constructor(engine: RelayEngine, backend: number, hooks: Hooks = {}) {
    this.#engine = engine;
    this.#backend = backend;
    this.#hooks = hooks;
    this.server = http.createServer(hooks.request);
    this.server.on('upgrade', (_req, socket: net.Socket, rest) => this.#upgrade(socket, rest));
  }

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as net.AddressInfo).port;
  }

  /** The n-th tunnel, as soon as it is handed over. */
  async tunnel(n = 0): Promise<Handed> {
    while (this.handed.length <= n) await new Promise<void>((wake) => this.#wake.push(wake));
    return this.handed[n]!;
  }

  #upgrade(client: net.Socket, rest: Buffer): void {
    client.on('error', () => undefined);
    stopReading(client);
    this.#hooks.upgraded?.(client);
    const backend = net.connect({ host: '127.0.0.1', port: this.#backend, noDelay: true, allowHalfOpen: true });
    backend.on('error', () => client.destroy());
    backend.write(HANDSHAKE);
    let got = Buffer.alloc(0);
    const read = async (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      const end = got.indexOf('\r\n\r\n');
      if (end < 0) return;
      backend.removeListener('data', read);
      backend.pause();
      stopReading(backend);
      await this.#hooks.before?.(client, backend);
      this.#hand(client, backend, { toClient: got, headLength: end + 4, toBackend: rest });
    };
    backend.on('data', read);
  }

  #hand(
    client: net.Socket,
    backend: net.Socket,
    early: { toClient: Buffer; headLength: number; toBackend: Buffer },
  ): void {
    let told: (end: TunnelEnd) => void = () => undefined;
    const end = new Promise<TunnelEnd>((resolve) => {
      told = resolve;
    });
    const tunnel = this.#engine.open({ client, backend, ...early }, OPTIONS, told);
    this.handed.push({ client, backend, tunnel, end });
    for (const wake of this.#wake.splice(0)) wake();
  }
}

interface Reading {
  _handle: { reading: boolean; readStop(): void } | null;
}

/** From here on what the peer sends stays in the kernel. */
function stopReading(socket: net.Socket): void {
  const handle = (socket as unknown as Reading)._handle;
  if (handle === null) return;
  handle.readStop();
  handle.reading = false;
}
