// The step of a connection between accept and node's own server: its peer is recorded (actions/peer.ts), and where the
// listener wants a PROXY preamble from that peer, it is read first. The server knows nothing of this: it gets a connection
// whose first byte is the client's.
import type { Server, Socket } from 'node:net';
import type { ListenerRules } from '../actions/listener-rules.ts';
import { hasPeer, type Peer, readPeer, setPeer } from '../actions/peer.ts';
import { guarded, ignore } from '../base/guard.ts';
import type { ListenerConfig } from '../config/schema/schema.ts';
import type { Emit } from '../events.ts';
import { type AddressSet, compileAddresses } from '../http/forwarding/addresses.ts';
import { type Preamble, readPreamble } from '../http/proxy-protocol.ts';
import type { Connection } from '../net/fd-connection.ts';

const NOTHING = Buffer.alloc(0);

export interface ProxyPreambleOptions {
  /** The listener's name in events. */
  readonly address: string;
  readonly over: 'tcp' | 'unix';
  readonly emit: Emit;
  /** Recorded with each peer. */
  readonly rules: ListenerRules;
  /** Called for each new connection before a byte of it is read; a connection that is not admitted is closed. */
  readonly admits: (connection: Connection) => boolean;
  /** Called for each connection with a known peer: takes it, or calls `http1`, which gives it to the server. */
  readonly deliver: (socket: Socket, http1: () => void) => void;
}

/** Which peers must send a preamble, and within how many milliseconds. */
interface Rule {
  readonly from: AddressSet;
  readonly timeoutMs: number;
}

export class ProxyPreambleFilter {
  readonly #options: ProxyPreambleOptions;
  readonly #server: Server;
  /** Hands a connection to the server. */
  readonly #take: readonly ((socket: Socket) => void)[];
  /** Connections whose preamble is awaited. */
  readonly #waiting = new Set<Socket>();
  #rule: Rule | null = null;

  /** Replaces the server's present listeners for connections. */
  constructor(server: Server, options: ProxyPreambleOptions) {
    this.#server = server;
    this.#options = options;
    this.#take = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection').on(
      'connection',
      guarded(
        'connection',
        (socket: Socket) => this.#inject(socket),
        (socket) => socket.destroy(),
      ),
    );
  }

  /** Applies to new connections. */
  configure(config: ListenerConfig['proxy_protocol']): void {
    this.#rule = config === undefined ? null : { from: compileAddresses(config.from), timeoutMs: config.timeout };
  }

  /** Destroys the connections that node's server has not got yet. */
  cut(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  #inject(socket: Socket): void {
    // A connection that was given back to the server keeps its peer.
    const peer = hasPeer(socket) ? null : readPeer(socket, this.#options.over);
    if (peer === 'gone') {
      // A request whose peer is not known must not be served.
      socket.destroy();
      return;
    }
    if (peer !== null && !this.#options.admits(socket)) {
      socket.destroy();
      return;
    }
    if (peer !== null) setPeer(socket, { ...peer, listener: this.#options.rules });
    const rule = this.#rule;
    if (peer !== null && rule?.from.has(peer.address)) this.#read(socket, peer, rule.timeoutMs);
    else this.#admit(socket);
  }

  #read(socket: Socket, proxy: Peer, timeoutMs: number): void {
    this.#waiting.add(socket);
    new PreambleReader(socket, timeoutMs, (outcome) => {
      this.#waiting.delete(socket);
      if ('length' in outcome) this.#announced(socket, outcome);
      else this.#refuse(socket, proxy, outcome);
    });
  }

  #announced(socket: Socket, { proxied }: Preamble): void {
    if (proxied !== null) {
      setPeer(socket, { ...proxied.source, destination: proxied.destination, listener: this.#options.rules });
    }
    this.#admit(socket);
    // TLS reads the socket by itself.
    if (socket.listenerCount('data') > 0) socket.resume();
  }

  #refuse(socket: Socket, proxy: Peer, { reason, detail }: Refused): void {
    socket.destroy();
    // A check of the port, as load balancers make it, ends without a byte.
    if (reason === 'silent') return;
    const { address, emit } = this.#options;
    emit({ type: 'preamble_refused', listener: address, client: proxy.address, reason, detail });
  }

  #admit(socket: Socket): void {
    this.#options.deliver(socket, () => {
      for (const take of this.#take) take.call(this.#server, socket);
    });
  }
}

interface Refused {
  /** `silent`: it ended without a byte. */
  readonly reason: 'malformed' | 'late' | 'silent';
  readonly detail: string;
}

type PreambleResult = Preamble | Refused;

/** Reads one preamble; the connection is paused behind it, with nothing of what follows lost. */
class PreambleReader {
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  readonly #done: (outcome: PreambleResult) => void;
  readonly #onData: (chunk: Buffer) => void;
  readonly #onEnd: () => void;
  #held: Buffer = NOTHING;

  constructor(socket: Socket, timeoutMs: number, done: (outcome: PreambleResult) => void) {
    this.#socket = socket;
    this.#done = done;
    const broken = (): void => void socket.destroy();
    this.#onData = guarded('connection', (chunk: Buffer) => this.#read(chunk), broken);
    this.#onEnd = guarded('connection', () => this.#ended(), broken);
    const late = { reason: 'late', detail: `no whole preamble within ${timeoutMs} ms` } as const;
    this.#timer = setTimeout(
      guarded('connection', () => this.#settle(late), broken),
      timeoutMs,
    );
    socket.on('error', ignore).on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onEnd);
  }

  #read(chunk: Buffer): void {
    const held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = held;
    const read = readPreamble(held);
    if (read === null) return;
    if ('fault' in read) {
      this.#settle({ reason: 'malformed', detail: read.fault });
      return;
    }
    this.#socket.pause();
    if (held.length > read.length) this.#socket.unshift(held.subarray(read.length));
    this.#settle(read);
  }

  #ended(): void {
    const { length } = this.#held;
    const detail = `the connection ended within the preamble, after ${length} bytes`;
    this.#settle({ reason: length === 0 ? 'silent' : 'malformed', detail });
  }

  #settle(outcome: PreambleResult): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onEnd);
    this.#done(outcome);
    // Its new owner listens for its errors; a destroyed one keeps this listener, or its error would end the process.
    if (!socket.destroyed) socket.off('error', ignore);
  }
}
