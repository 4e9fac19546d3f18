// Terminating a WebSocket here: from an allowed handshake to a running session. Which handshakes are allowed is decided
// in routing/, and then by the route's handler where it has a HandshakeHook.

import { ignore } from '../../base/guard.ts';
import { TimerWheel } from '../../base/timer-wheel.ts';
import type { TerminateConfig } from '../../config/schema/schema.ts';
import type { Emit, Sample, Sampler, SessionActivity, SessionEnd } from '../../events.ts';
import { MAX_HEADER } from '../../relay/js/cursor.ts';
import type { Connections } from '../connections.ts';
import type { ConnectionHandlerFactory, Handler, HandshakeResult, Opening } from '../handler.ts';
import { MemoryBudgets } from '../memory-budgets.ts';
import { Compression } from './compression.ts';
import type { Timing } from './keepalive.ts';
import { Meter } from './meter.ts';
import { WriteBatcher } from './send-queue.ts';
import { TerminatedSession } from './session.ts';
import type { SessionContext } from './session-context.ts';
import { SessionMemory } from './session-memory.ts';
import { type AcceptedHandshake, createWsSocketFactory, maxFragments, type WsSocketLimits } from './ws-socket.ts';

export type { AcceptedHandshake } from './ws-socket.ts';

/** Bytes of pings, pongs and other messages' ends that may come with one message's fragments. */
const MAX_BETWEEN = 1024 * 1024;

/** A live session as its owner sees it. */
export interface Accepted {
  /** Sends a Close and waits for the client's, at most `deadlineMs`; then the connection is cut. */
  close(code: number, reason: string, deadlineMs: number): void;
  /** Ends it at once, without a Close. */
  cut(reason: string): void;
  /** What it has carried so far. */
  activity(): SessionActivity;
}

/** Terminates the handshakes of one route. */
export interface WebSocketAcceptor {
  /**
   * Decides with the route's handler whether a handshake may open; rejects with a GatewayError where the handler can't
   * decide.
   */
  admit(opening: Opening): HandshakeResult | Promise<HandshakeResult>;
  /**
   * Answers 101 and gives the connection to the handler that admit() gave. Null: the client has closed, its socket is
   * destroyed, and `onEnd` is not called. Else `onEnd` is called once, never from inside accept().
   */
  accept(
    upgrade: AcceptedHandshake,
    factory: ConnectionHandlerFactory,
    onEnd: (end: SessionEnd) => void,
  ): Accepted | null;
}

export interface AcceptorOptions {
  /** The route's name; traffic and pings are counted under it. */
  readonly route: string;
  readonly config: Pick<TerminateConfig, 'limits' | 'timeouts' | 'ping' | 'compression' | 'send_queue'>;
  readonly handler: Handler;
}

/**
 * All terminated sessions of the process: one timer and one set of counters, which outlive every reload. It samples
 * `websocket_bytes_total` and `websocket_messages_total`, for live and ended sessions alike.
 */
export class Terminator implements Sampler {
  readonly #wheel = new TimerWheel('websocket');
  readonly #meter = new Meter();
  readonly #batcher = new WriteBatcher();
  readonly #emit: Emit;
  readonly #connections: Connections;
  /** What messages may take of memory, here and in rooms. */
  readonly budgets = new MemoryBudgets();
  readonly #memory = new SessionMemory(this.budgets.queues);

  /** `emit` gets a `ping` event for each ping, pong and timeout. Live sessions are listed in `connections`. */
  constructor(emit: Emit, connections: Connections) {
    this.#emit = emit;
    this.#connections = connections;
  }

  acceptor({ route, config, handler }: AcceptorOptions): WebSocketAcceptor {
    const context: SessionContext = {
      route,
      wheel: this.#wheel,
      meter: this.#meter.route(route),
      emit: this.#emit,
      connections: this.#connections,
      sendQueue: { policy: config.send_queue, batcher: this.#batcher, memory: this.#memory },
      limits: { ...config.limits, most_held: maxHeld(config.limits) },
    };
    const compression = config.compression ? new Compression(config.compression) : null;
    const openSocket = createWsSocketFactory(config.limits, compression);
    return {
      admit: (opening) => ('admit' in handler ? handler.admit(opening) : handler),
      accept(upgrade, factory, onEnd) {
        const { id, socket, client, user, protocol: subprotocol } = upgrade;
        // Until ws has its listeners, the socket may have no others.
        if (socket.listenerCount('error') === 0) socket.on('error', ignore);
        const ws = openSocket(upgrade);
        if (!ws) return null;
        // ws has put the rest back into the socket; both it and what the socket read meanwhile are the session's.
        const before = { read: socket.bytesRead - socket.readableLength, written: socket.bytesWritten };
        const session = new TerminatedSession(
          { id, ws, socket, client, user, subprotocol, before },
          timingOf(config),
          context,
        );
        session.start(factory, onEnd);
        // The gateway may have paused it while it decided.
        socket.resume();
        return session;
      },
    };
  }

  *sample(): Iterable<Sample> {
    yield* this.#meter.sample();
    yield* this.budgets.sample();
  }
}

function maxHeld(limits: WsSocketLimits): number {
  return limits.max_message + maxFragments(limits) * MAX_HEADER + MAX_BETWEEN;
}

function timingOf({ timeouts, ping }: AcceptorOptions['config']): Timing {
  // Sessions opened in one burst must not end in one.
  const lifetimeMs = (timeouts.max_lifetime ?? Number.POSITIVE_INFINITY) * (1 - Math.random() * 0.1);
  return { idleMs: timeouts.idle, lifetimeMs, ping: ping ?? null };
}
