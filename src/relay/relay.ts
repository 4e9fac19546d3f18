// The interface of the relay: it carries bytes both ways between two sockets, after the 101. An engine knows no HTTP and no
// config; this file has all its inputs. Directions are named from the client: fromClient goes to the backend, toClient comes from it.
import type { Sampler, SessionActivity, SessionEnd } from '../events.ts';
import type { Acceptor } from '../net/acceptor.ts';
import type { Dialler } from '../net/dialler.ts';
import type { Connection } from '../net/fd-connection.ts';

/** Two connections, and the first bytes for each, which the engine sends before anything else. */
export interface TunnelEnds {
  readonly client: Connection;
  readonly backend: Connection;
  /** The 101 and the bytes that the backend sent after it. */
  readonly toClient: Buffer;
  /** The length of the 101's head in `toClient`: it does not count as traffic, and frames start after it. */
  readonly headLength: number;
  /** The bytes that the client sent after its handshake. */
  readonly toBackend: Buffer;
}

/** The limits of one direction; null is unlimited, and a rate is above 0. If a limited direction can't be followed, the tunnel ends. */
export interface DirectionLimits {
  /** Payload bytes of one message on the wire, over all its fragments. More: 1009 to the sender, 1001 to the other side. */
  readonly maxMessage: number | null;
  /**
   * Messages per second, with a burst of one second's worth; a message is counted at its start. Pings, pongs that answer no
   * ping of the engine's own, and empty fragments that are not the last count as one each.
   */
  readonly messagesPerSecond: number | null;
  /** Bytes per second, with a burst of one second's worth; everything read counts, including frame headers. */
  readonly bytesPerSecond: number | null;
  /** Above a rate: `close` with 1008 (1001 to the other side), or `pause` reading until the side is within the rate. */
  readonly onLimit: 'close' | 'pause';
}

export interface PingOptions {
  /** Milliseconds between two pings to one side. */
  readonly everyMs: number;
  /** Milliseconds without a byte from a side after a ping until it counts as gone. */
  readonly timeoutMs: number;
}

/** Fixed for a tunnel's life. One value may serve all tunnels of a route: no engine changes or keeps state in it. */
export interface TunnelOptions {
  /** The route's name, for the traffic counters. */
  readonly route: string;
  /** Milliseconds without a byte in either direction until the tunnel ends with 1001; the engine's pings don't count. */
  readonly idleMs: number;
  /** Milliseconds until the tunnel ends with 1001, minus up to a tenth; null: never. */
  readonly maxLifetimeMs: number | null;
  /** Follow the frames. Off: bytes only, no Close, no ping, no limit, and `messages` is null. */
  readonly inspect: boolean;
  /** Pings to both sides; null: none. */
  readonly ping: PingOptions | null;
  /** Limits for the client's and for the backend's bytes; null: none. */
  readonly limits: { readonly fromClient: DirectionLimits | null; readonly toClient: DirectionLimits | null };
}

/**
 * How a tunnel ended. Its traffic is what was relayed: the 101's head, our own frames, and what was discarded are not in
 * it. Its code is that of the first Close frame that passed or that the gateway sent. Its reason is `closed` (Close or FIN
 * of an end), `reset`, `idle`, `max_lifetime`, `max_message`, `messages_per_second`, `bytes_per_second`, `lost` (a limited
 * direction could not be followed), `ping_timeout`, or what was given to close() or cut().
 */
export type TunnelEnd = SessionEnd;

/** The traffic of a live tunnel, counted as in its TunnelEnd. */
export type TunnelActivity = SessionActivity;

export interface Tunnel {
  /**
   * Ends the tunnel in order where the engine can, within `deadlineMs`; then it is cut. Both receivers get a Close frame
   * with `code` and `reason` between two frames; `reason` is ASCII, at most 123 bytes. The first call counts; a later one
   * may only shorten the deadline.
   */
  close(code: number, reason: string, deadlineMs: number): void;
  /** Ends the tunnel at once. */
  cut(reason: string): void;
  /** The traffic so far. Cheap, and never blocks. */
  activity(): TunnelActivity;
}

/**
 * One way of carrying tunnels. It samples `websocket_bytes_total{route,direction}` and, where it follows frames,
 * `websocket_messages_total{route,direction,type}`, `websocket_lost_directions_total{route,direction}` and
 * `websocket_pings_total{route,result}`, for live and ended tunnels alike; `direction` is `from_client` or `to_client`, `type` is `text` or `binary` (all that is not text).
 */
export interface RelayEngine extends Sampler {
  readonly name: 'js' | 'native';
  /** Dials the backend of this client's tunnel without a socket of node's; null if that has no benefit. */
  diallerFor(client: Connection): Dialler | null;
  /** Accepts clients without sockets of node's; null: node must accept. */
  readonly acceptor: Acceptor | null;
  /** Takes both connections over; the caller must not touch them again. `onEnd` is called once, never from inside open(). */
  open(ends: TunnelEnds, options: TunnelOptions, onEnd: (end: TunnelEnd) => void): Tunnel;
  /** Ends the engine's threads and tunnels, without calling onEnd. Nothing can be opened afterwards. */
  stop(): void;
}

/** The reason text of a Close frame, for ends whose `TunnelEnd.reason` is another. */
export const BACKEND_LOST = 'backend_lost';

/** Timeouts of every engine, in milliseconds. */
export const WAITS = {
  /** The deadline of the relay's own closes: idle, max_lifetime, limits, ping_timeout. */
  close: 5_000,
  /** The gateway, as the backend's client, waits this long for its FIN (RFC 6455 §7.1.1). */
  fin: 5_000,
  /** After our FIN a side is read and discarded for this long; before it, what is owed to a side may wait for it so long without progress. */
  linger: 5_000,
  /** A Close waits this long for the end of a message, or half the deadline if that is sooner; then any frame's end will do. */
  message: 2_000,
  /** After the client's FIN without a Close the other direction ends with this much silence. */
  halfClosed: 30_000,
} as const;
