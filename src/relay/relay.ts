// The seam of the relay: bytes both ways between two sockets, after the 101. An engine knows no HTTP and no config; what
// it is told stands here. Directions are named from the client: fromClient goes to the backend, toClient comes from it.
import type { Socket } from 'node:net';
import type { Sampler, SessionEnd } from '../events.ts';

/** Two sockets, and the first bytes owed to each; the engine sends those before anything else. */
export interface TunnelEnds {
  readonly client: Socket;
  readonly backend: Socket;
  /** The 101 and what the backend sent behind it. */
  readonly toClient: Buffer;
  /** How many bytes of `toClient` are the 101's head: those are not counted as traffic. */
  readonly headLength: number;
  /** What the client sent behind its handshake. */
  readonly toBackend: Buffer;
}

export interface TunnelOptions {
  /** The route's name; traffic is counted under it. */
  readonly route: string;
  /** Milliseconds without a byte in either direction that end the tunnel. */
  readonly idleMs: number;
}

/** How a tunnel ended. Its reason is `closed` (FIN), `reset`, `idle`, or what was given to close() or cut(). */
export type TunnelEnd = SessionEnd;

export interface Tunnel {
  /** Ends the tunnel in order where the engine can, within `deadlineMs`; then it is cut. */
  close(code: number, reason: string, deadlineMs: number): void;
  /** Ends the tunnel at once. */
  cut(reason: string): void;
}

/**
 * One way of carrying tunnels. It samples `websocket_bytes_total` and, where it follows frames,
 * `websocket_messages_total`, for live and ended tunnels alike.
 */
export interface RelayEngine extends Sampler {
  readonly name: 'js' | 'native';
  /** Takes both sockets over; the caller must not touch them again. `onEnd` is called once, never from inside open(). */
  open(ends: TunnelEnds, options: TunnelOptions, onEnd: (end: TunnelEnd) => void): Tunnel;
}
