// One tunnel of the js engine: its two sides, the causes of its end, and the report of it. flow.ts follows the frames,
// ending.ts does the closing handshake.
import type { Timed, TimerWheel } from '../../base/timer-wheel.ts';
import type { Initiator, Traffic } from '../../events.ts';
import { asStream } from '../../net/fd-connection.ts';
import type { RouteCounters } from '../counters.ts';
import type { Tunnel, TunnelActivity, TunnelEnd, TunnelEnds, TunnelOptions } from '../relay.ts';
import { BACKEND_LOST, WAITS } from '../relay.ts';
import type { SharedBuffers } from './buffers.ts';
import { BLOCK, Conn } from './conn.ts';
import { type CloseCodes, Ending } from './ending.ts';
import { Flow } from './flow.ts';
import { FlowLimits } from './limits.ts';
import { Pinger } from './ping.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** State that all tunnels of an engine or of a route share. */
export interface Shared {
  readonly wheel: TimerWheel;
  readonly buffers: SharedBuffers;
  readonly counters: RouteCounters;
}

export class JsTunnel implements Timed, Tunnel {
  readonly client: Conn;
  readonly backend: Conn;
  readonly wheel: TimerWheel;
  readonly buffers: SharedBuffers;
  readonly #options: TunnelOptions;
  readonly #counters: RouteCounters;
  readonly #onEnd: (end: TunnelEnd) => void;
  readonly #lifetimeAt: number;

  /** When the last byte that counts was read. */
  touched: number;
  /** The client has sent FIN without a Close from the backend: after a silence the other direction ends. */
  #halfClosed = false;
  ending: Ending | null = null;
  wasCut = false;
  #finished = false;

  #initiator: Initiator | null = null;
  #reason = 'closed';
  #code: number | null = null;
  #coded = false;

  constructor(ends: TunnelEnds, options: TunnelOptions, shared: Shared, onEnd: (end: TunnelEnd) => void) {
    const { wheel, buffers, counters } = shared;
    const now = wheel.now();
    this.wheel = wheel;
    this.buffers = buffers;
    this.#options = options;
    this.#counters = counters;
    this.#onEnd = onEnd;
    this.touched = now;
    this.#lifetimeAt = options.maxLifetimeMs === null ? NEVER : now + options.maxLifetimeMs * (1 - Math.random() / 10);
    this.client = new Conn(asStream(ends.client), 'client', this);
    this.backend = new Conn(asStream(ends.backend), 'backend', this);
    this.#connect(this.client, this.backend);
    this.#connect(this.backend, this.client);
  }

  #connect(source: Conn, sink: Conn): void {
    const { inspect, ping, limits } = this.#options;
    const direction = source.role === 'client' ? 'fromClient' : 'toClient';
    const bounds = inspect ? limits[direction] : null;
    const meter = bounds === null ? null : new FlowLimits(bounds);
    source.peer = sink;
    source.flow = new Flow(source, sink, { counters: this.#counters[direction], limits: meter, inspect });
    if (inspect && ping !== null) source.pinger = new Pinger(source, ping, this.#counters.pings, this.wheel.now());
  }

  /** Sends the first bytes and starts reading. */
  start(ends: TunnelEnds): void {
    const { client, backend } = this;
    backend.flow.begin(ends.toClient, ends.headLength);
    client.flow.begin(ends.toBackend, 0);
    client.start();
    backend.start();
    this.wake(Math.min(this.touched + this.#options.idleMs, this.#lifetimeAt, client.pinger?.nextAt ?? NEVER));
  }

  /** Schedules look() for `at` or earlier. */
  wake(at: number): void {
    if (!this.#finished) this.wheel.scheduleBy(this, at);
  }

  close(code: number, reason: string, deadlineMs: number): void {
    this.#begin({ code, toClient: code, toBackend: code, reason }, deadlineMs);
  }

  cut(reason: string): void {
    if (this.#finished) return;
    this.#note('gateway', reason);
    this.destroy();
  }

  activity(): TunnelActivity {
    const idleMs = Math.max(0, this.wheel.now() - this.touched);
    return { fromClient: traffic(this.client.flow), toClient: traffic(this.backend.flow), idleMs };
  }

  /** Destroys both sockets at once, without a closing handshake. */
  destroy(): void {
    this.wasCut = true;
    this.client.socket.destroy();
    this.backend.socket.destroy();
  }

  /** The gateway ends the tunnel with a closing handshake. */
  #begin(codes: CloseCodes, deadlineMs: number): void {
    if (this.#finished) return;
    this.#note('gateway', codes.reason);
    if (this.ending === null) {
      this.ending = new Ending(this, codes);
      this.ending.begin(deadlineMs);
    } else {
      this.ending.limit(deadlineMs);
    }
  }

  /** `offender` has exceeded a limit: it gets `code`, the other side 1001. */
  closeForViolation(offender: Conn, code: number, reason: string): void {
    const toClient = offender.role === 'client' ? code : 1001;
    const toBackend = offender.role === 'backend' ? code : 1001;
    this.#begin({ code, toClient, toBackend, reason }, WAITS.close);
  }

  /** A side sent nothing after a ping: it is cut, and the other side gets a Close. */
  pingTimedOut(conn: Conn): void {
    conn.socket.destroy();
    const code = conn.role === 'backend' ? 1011 : 1001;
    this.#begin({ code, toClient: code, toBackend: code, reason: 'ping_timeout' }, WAITS.close);
  }

  /** A side is not read for a while. */
  pause(conn: Conn, ms: number): void {
    conn.rateUntil = this.wheel.now() + ms;
    conn.block(BLOCK.rate);
    this.wake(conn.rateUntil);
  }

  /** Handles a complete Close frame. True: it is not forwarded. */
  closeArrived(flow: Flow, code: number | null): boolean {
    const { source, sink } = flow;
    source.closeIn = true;
    this.#note(source.role, 'closed');
    this.noteCode(code);
    if (this.ending !== null) return this.ending.closeArrived(flow);
    sink.closeOut = 'passed';
    return false;
  }

  /** The code of the first Close on the wire is the tunnel's. */
  noteCode(code: number | null): void {
    if (!this.#coded) this.#code = code;
    this.#coded = true;
  }

  /** The first cause is the tunnel's. */
  #note(initiator: Initiator, reason: string): void {
    if (this.#initiator !== null) return;
    this.#initiator = initiator;
    this.#reason = reason;
  }

  /** FIN was read. */
  streamEnded(conn: Conn): void {
    this.#note(conn.role, 'closed');
    if (this.ending !== null) this.ending.streamOver(conn.flow);
    else if (conn.role === 'backend' && !conn.closeIn) this.#backendLost();
    else this.#passEnd(conn);
  }

  /** A socket is closed. */
  connClosed(conn: Conn): void {
    this.#note(conn.role, conn.failed || !conn.finIn ? 'reset' : 'closed');
    const { peer } = conn;
    if (this.ending !== null) this.ending.streamOver(conn.flow);
    else if (conn.role === 'backend' && !conn.closeIn) this.#backendLost();
    else {
      this.#passEnd(conn);
      peer.linger();
    }
    peer.flow.stop();
    if (peer.closed) this.#finish();
  }

  #backendLost(): void {
    this.ending = new Ending(this, { code: 1011, toClient: 1011, toBackend: 1001, reason: BACKEND_LOST });
    this.ending.peerLost();
  }

  /** Sends the remaining bytes to the other side, then FIN. That side stays open until it ends too. */
  #passEnd(conn: Conn): void {
    const { peer } = conn;
    conn.flow.flush();
    peer.end();
    if (conn.role === 'backend' || peer.closeIn || peer.finIn) peer.linger();
    else {
      this.#halfClosed = true;
      this.wake(this.touched + WAITS.halfClosed);
    }
  }

  look(now: number): void {
    if (this.#finished) return;
    const conns = Math.min(this.client.due(now), this.backend.due(now));
    const next = this.ending === null ? this.#watch(now) : NEVER;
    this.wake(Math.min(conns, next, this.ending?.due(now) ?? NEVER));
  }

  /** Checks the timeouts of a tunnel that is not ending; returns when to check again. */
  #watch(now: number): number {
    const silence = this.#halfClosed ? Math.min(WAITS.halfClosed, this.#options.idleMs) : this.#options.idleMs;
    const idleAt = this.touched + silence;
    const why = now >= idleAt ? 'idle' : now >= this.#lifetimeAt ? 'max_lifetime' : null;
    if (why !== null) {
      this.close(1001, why, WAITS.close);
      return NEVER;
    }
    const pings = Math.min(this.client.pinger?.due(now) ?? NEVER, this.backend.pinger?.due(now) ?? NEVER);
    return Math.min(idleAt, this.#lifetimeAt, pings);
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.wheel.remove(this);
    this.#onEnd({
      fromClient: traffic(this.client.flow),
      toClient: traffic(this.backend.flow),
      discarded: this.client.flow.discarded + this.backend.flow.discarded,
      code: this.#code,
      initiator: this.#initiator ?? 'gateway',
      reason: this.#reason,
      cut: this.wasCut,
    });
  }
}

function traffic(flow: Flow): Traffic {
  return { bytes: flow.bytes, messages: flow.cursor === null ? null : flow.messages };
}
