// The interface of the relay: bytes both ways between two sockets, after the 101. An engine knows no HTTP and no config; what
// it is told stands here. Directions are named from the client: fromClient goes to the backend, toClient comes from it.
import type { Sampler, SessionActivity, SessionEnd } from '../events.ts';
import type { Acceptor } from '../net/acceptor.ts';
import type { Dialler } from '../net/dialler.ts';
import type { Connection } from '../net/fd-connection.ts';

/** Two connections, and the first bytes owed to each; the engine sends those before anything else. */
export interface TunnelEnds {
  readonly client: Connection;
  readonly backend: Connection;
  /** The 101 and what the backend sent behind it. */
  readonly toClient: Buffer;
  /** How many bytes of `toClient` are the 101's head: those are not counted as traffic, and frames start behind them. */
  readonly headLength: number;
  /** What the client sent behind its handshake. */
  readonly toBackend: Buffer;
}

/** What one direction may carry; null is unlimited, and a rate is above 0. A direction with any of them ends the tunnel when it gets lost. */
export interface DirectionLimits {
  /** Payload bytes of one message on the wire, over all its fragments. More: 1009 to the sender, 1001 to the other side. */
  readonly maxMessage: number | null;
  /**
   * Messages a second, of which a second's worth may come at once; counted where a message starts. Pings, pongs that answer no
   * ping of the engine's own, and empty fragments that end nothing count as one each.
   */
  readonly messagesPerSecond: number | null;
  /** Bytes a second, of which a second's worth may come at once; everything read counts, frame headers too. */
  readonly bytesPerSecond: number | null;
  /** Past a rate: `close` with 1008 (1001 to the other side), or `pause` reading until the rate is kept again. */
  readonly onLimit: 'close' | 'pause';
}

export interface PingOptions {
  /** Milliseconds between two pings to one side. */
  readonly everyMs: number;
  /** Milliseconds without any byte from a side after a ping that tell it is gone. */
  readonly timeoutMs: number;
}

/** Fixed for a tunnel's life. One value may serve all tunnels of a route: no engine changes or keeps state in it. */
export interface TunnelOptions {
  /** The route's name; traffic is counted under it. */
  readonly route: string;
  /** Milliseconds without a byte in either direction that end the tunnel, with 1001; our pings don't count. */
  readonly idleMs: number;
  /** Milliseconds after which the tunnel ends with 1001, less up to a tenth; null: never. */
  readonly maxLifetimeMs: number | null;
  /** Follow the frames. Off: bytes only, no Close, no ping, no limit, and `messages` is null. */
  readonly inspect: boolean;
  /** Pings to both sides; null: none. */
  readonly ping: PingOptions | null;
  /** Limits of what the client sends and of what the backend sends; null: none. */
  readonly limits: { readonly fromClient: DirectionLimits | null; readonly toClient: DirectionLimits | null };
}

/**
 * How a tunnel ended. Its traffic is what was relayed: the 101's head, our own frames, and what was discarded are not in
 * it. Its code is that of the first Close frame that passed or that the gateway sent. Its reason is `closed` (Close or FIN
 * of an end), `reset`, `idle`, `max_lifetime`, `max_message`, `messages_per_second`, `bytes_per_second`, `lost` (a limited
 * direction could not be followed), `ping_timeout`, or what was given to close() or cut().
 */
export type TunnelEnd = SessionEnd;

/** What a live tunnel has carried: what was relayed, as in its TunnelEnd. */
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
  /** What it has carried so far. Cheap, and nothing waits for it. */
  activity(): TunnelActivity;
}

/**
 * One way of carrying tunnels. It samples `websocket_bytes_total{route,direction}` and, where it follows frames,
 * `websocket_messages_total{route,direction,type}`, `websocket_lost_directions_total{route,direction}` and
 * `websocket_pings_total{route,result}`, for live and ended tunnels alike; `direction` is `from_client` or `to_client`, `type` is `text` or `binary` (all that is not text).
 */
export interface RelayEngine extends Sampler {
  readonly name: 'js' | 'native';
  /** What dials the backend of this client's tunnel without a socket of node's; null where that would gain nothing. */
  diallerFor(client: Connection): Dialler | null;
  /** What accepts clients without sockets of node's; null where node has to. */
  readonly acceptor: Acceptor | null;
  /** Takes both connections over; the caller must not touch them again. `onEnd` is called once, never from inside open(). */
  open(ends: TunnelEnds, options: TunnelOptions, onEnd: (end: TunnelEnd) => void): Tunnel;
  /** Ends its threads, where it has any, and what they carry; no onEnd is called for that. Nothing can be opened after. */
  stop(): void;
}

/** What a Close of the gateway's own says behind its code, where `TunnelEnd.reason` says something else. */
export const BACKEND_LOST = 'backend_lost';

/** Waits that every engine keeps, in milliseconds. */
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
