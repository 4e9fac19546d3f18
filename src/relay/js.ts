// The relay engine in JavaScript: works on every platform and on TLS. Bytes pass as they came, and are counted.
import type { Socket } from 'node:net';
import type { Initiator, Sample } from '../events.ts';
import type { RelayEngine, Tunnel, TunnelEnd, TunnelEnds, TunnelOptions } from './relay.ts';

/** How often it is looked at which tunnels are idle. */
const SWEEP_MS = 1000;
/** After one side has ended, the other may go on for this long without a byte. */
const HALF_CLOSED_MS = 30_000;
/** What is owed to a side may wait this long once the tunnel ends. */
const FLUSH_MS = 5000;

/** Bytes of one route. */
interface Counts {
  fromClient: number;
  toClient: number;
}

export class JsRelay implements RelayEngine {
  readonly name = 'js';
  readonly #routes = new Map<string, Counts>();
  readonly #live = new Set<JsTunnel>();
  #sweep: NodeJS.Timeout | undefined;

  open(ends: TunnelEnds, options: TunnelOptions, onEnd: (end: TunnelEnd) => void): Tunnel {
    const counts = this.#routes.get(options.route) ?? { fromClient: 0, toClient: 0 };
    this.#routes.set(options.route, counts);
    const tunnel = new JsTunnel(ends, options.idleMs, counts, (end) => {
      this.#live.delete(tunnel);
      onEnd(end);
    });
    this.#live.add(tunnel);
    this.#sweep ??= setInterval(() => this.#look(), SWEEP_MS).unref();
    return tunnel;
  }

  *sample(): Iterable<Sample> {
    for (const [route, counts] of this.#routes) {
      yield { metric: 'websocket_bytes_total', labels: { route, direction: 'from_client' }, value: counts.fromClient };
      yield { metric: 'websocket_bytes_total', labels: { route, direction: 'to_client' }, value: counts.toClient };
    }
  }

  #look(): void {
    const now = performance.now();
    for (const tunnel of this.#live) tunnel.look(now);
  }
}

class JsTunnel implements Tunnel {
  readonly #client: Socket;
  readonly #backend: Socket;
  readonly #idleMs: number;
  readonly #route: Counts;
  readonly #onEnd: (end: TunnelEnd) => void;
  #fromClient = 0;
  #toClient = 0;
  #activeAt = performance.now();
  #ended: { initiator: Initiator; reason: string } | null = null;
  #open = 2;

  constructor(ends: TunnelEnds, idleMs: number, route: Counts, onEnd: (end: TunnelEnd) => void) {
    this.#client = ends.client;
    this.#backend = ends.backend;
    this.#idleMs = idleMs;
    this.#route = route;
    this.#onEnd = onEnd;
    this.#count('toClient', ends.toClient.length - ends.headLength);
    this.#count('fromClient', ends.toBackend.length);
    this.#client.write(ends.toClient);
    if (ends.toBackend.length > 0) this.#backend.write(ends.toBackend);
    this.#join(this.#client, this.#backend, 'fromClient');
    this.#join(this.#backend, this.#client, 'toClient');
  }

  /** Without the frames known there is no place for a Close: what was sent is flushed, and both sides get FIN. */
  close(_code: number, reason: string, deadlineMs: number): void {
    this.#finish('gateway', reason, Math.min(deadlineMs, FLUSH_MS));
  }

  cut(reason: string): void {
    this.#ended ??= { initiator: 'gateway', reason };
    this.#client.destroy();
    this.#backend.destroy();
  }

  look(now: number): void {
    const half = this.#client.writableEnded || this.#backend.writableEnded;
    if (now - this.#activeAt >= (half ? Math.min(HALF_CLOSED_MS, this.#idleMs) : this.#idleMs)) this.cut('idle');
  }

  #join(from: Socket, to: Socket, direction: keyof Counts): void {
    from.on('error', () => {
      this.#ended ??= { initiator: direction === 'fromClient' ? 'client' : 'backend', reason: 'reset' };
    });
    from.on('data', (chunk: Buffer) => {
      this.#activeAt = performance.now();
      this.#count(direction, chunk.length);
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => {
      this.#ended ??= { initiator: direction === 'fromClient' ? 'client' : 'backend', reason: 'closed' };
      to.end();
    });
    from.on('close', () => {
      this.#ended ??= { initiator: direction === 'fromClient' ? 'client' : 'backend', reason: 'closed' };
      // What was read before is still owed to the other side.
      if (!to.destroyed) this.#flush(to);
      if (--this.#open === 0) this.#tell();
    });
    from.resume();
  }

  #finish(initiator: Initiator, reason: string, waitMs: number): void {
    this.#ended ??= { initiator, reason };
    for (const socket of [this.#client, this.#backend]) {
      socket.removeAllListeners('data').resume();
      this.#flush(socket, waitMs);
    }
  }

  #flush(socket: Socket, waitMs = FLUSH_MS): void {
    const timer = setTimeout(() => socket.destroy(), waitMs);
    socket.once('close', () => clearTimeout(timer));
    socket.end(() => socket.destroy());
  }

  #count(direction: keyof Counts, bytes: number): void {
    if (direction === 'fromClient') this.#fromClient += bytes;
    else this.#toClient += bytes;
    this.#route[direction] += bytes;
  }

  #tell(): void {
    const { initiator, reason } = this.#ended ?? { initiator: 'gateway', reason: 'closed' };
    this.#onEnd({
      fromClient: { bytes: this.#fromClient, messages: null },
      toClient: { bytes: this.#toClient, messages: null },
      code: null,
      initiator,
      reason,
    });
  }
}
