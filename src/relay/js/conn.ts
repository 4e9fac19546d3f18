// One end of a tunnel: its socket, whether it is read, and the state of its close. It reads and writes bytes and
// reports events to the tunnel; it knows no frames. All sockets share one set of listeners; a socket has a reference to its Conn.

import { guarded, reportDefect } from '../../base/guard.ts';
import type { StreamConnection } from '../../net/fd-connection.ts';
import { WAITS } from '../relay.ts';
import type { Flow } from './flow.ts';
import type { Pinger } from './ping.ts';
import type { JsTunnel } from './tunnel.ts';

const CONN = Symbol('conn');
type TunnelSocket = StreamConnection & { [CONN]: Conn };

/** Bytes that may wait in a socket before the other side is paused; node's high-water mark is not larger. */
const HIGH_WATER = 64 * 1024;

/** Reasons why a side is paused: bits of `blocks`. */
export const BLOCK = { peerFull: 1, rate: 2 } as const;

/** Whether a Close went toward a side: none, one the other end sent, or the gateway's own. */
export type CloseOut = 'none' | 'passed' | 'injected';

export class Conn {
  readonly socket: StreamConnection;
  readonly role: 'client' | 'backend';
  readonly tunnel: JsTunnel;
  /** What is read from this side. Set once, right after construction, as is `peer`. */
  declare flow: Flow;
  declare peer: Conn;
  pinger: Pinger | null = null;

  /** Chunks read. */
  reads = 0;
  blocks = 0;
  /** When the side is within its rate and reading resumes; Infinity: no wait. */
  rateUntil = Number.POSITIVE_INFINITY;

  closeOut: CloseOut = 'none';
  /** The side has sent its Close. */
  closeIn = false;
  finOut = false;
  finIn = false;
  closed = false;
  failed = false;
  /** As the backend's client we wait for its FIN until then (RFC 6455 §7.1.1). */
  finBy = Number.POSITIVE_INFINITY;
  /** When this side of an ending tunnel is destroyed. */
  lingerBy = Number.POSITIVE_INFINITY;
  #pending = 0;
  /** Whether the last write filled the socket's buffer. */
  #overLimit = false;

  constructor(socket: StreamConnection, role: 'client' | 'backend', tunnel: JsTunnel) {
    this.socket = socket;
    this.role = role;
    this.tunnel = tunnel;
    (socket as TunnelSocket)[CONN] = this;
    socket.on('error', onError);
  }

  /** Listens and reads. Events that the socket has emitted already are reported later, as if they happened now. */
  start(): void {
    const { socket } = this;
    socket.setTimeout(0);
    socket.allowHalfOpen = true;
    socket.on('close', onClose).on('end', onEnd).on('drain', onDrain).on('finish', onFinish);
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) this.read(chunk);
    if (!this.tunnel.buffers.read(socket)) socket.on('data', onData);
    if (socket.closed) process.nextTick(onClose.bind(socket));
    else if (socket.readableEnded) process.nextTick(onEnd.bind(socket));
    else if (this.blocks === 0) socket.resume();
  }

  /** Nothing more can be sent to it. */
  get writeClosed(): boolean {
    return this.finOut || this.closed || !this.socket.writable;
  }

  write(bytes: Buffer): void {
    if (!this.writeClosed) this.#overLimit = !this.socket.write(bytes);
  }

  /** As write(), for bytes as they were read. */
  pass(bytes: Buffer): void {
    if (!this.writeClosed) this.#overLimit = !this.tunnel.buffers.write(this.socket, bytes);
  }

  /** Whether more bytes wait than allowed. */
  get full(): boolean {
    return this.#overLimit && this.socket.writableLength > HIGH_WATER && !this.writeClosed;
  }

  block(why: number): void {
    if (this.blocks === 0) this.socket.pause();
    this.blocks |= why;
  }

  unblock(why: number): void {
    if ((this.blocks & why) === 0) return;
    this.blocks &= ~why;
    if ((why & BLOCK.rate) !== 0) this.rateUntil = Number.POSITIVE_INFINITY;
    if (this.blocks === 0) this.socket.resume();
  }

  /** Sends FIN after the pending bytes. */
  end(): void {
    if (this.finOut || this.closed) return;
    this.finOut = true;
    this.finBy = Number.POSITIVE_INFINITY;
    this.socket.end();
  }

  /** From now on it is destroyed after a wait: 5 s after our FIN, or when it takes nothing of what is to be sent for as long. */
  linger(): void {
    if (this.closed || this.lingerBy !== Number.POSITIVE_INFINITY) return;
    this.#pending = this.socket.writableLength;
    this.lingerBy = this.tunnel.wheel.now() + WAITS.linger;
    this.tunnel.wake(this.lingerBy);
  }

  /** Checks this side's timeouts; returns when to check again. */
  due(now: number): number {
    if (this.closed) return Number.POSITIVE_INFINITY;
    if (now >= this.rateUntil) this.unblock(BLOCK.rate);
    if (now >= this.finBy) {
      this.end();
      this.linger();
    }
    if (now >= this.lingerBy) this.#lingered(now);
    return Math.min(this.rateUntil, this.finBy, this.lingerBy);
  }

  #lingered(now: number): void {
    const pending = this.socket.writableLength;
    if (!this.socket.writableFinished && pending < this.#pending) {
      this.#pending = pending;
      this.lingerBy = now + WAITS.linger;
      return;
    }
    if (!this.socket.writableFinished && this.finOut) this.tunnel.wasCut = true;
    this.lingerBy = Number.POSITIVE_INFINITY;
    this.socket.destroy();
  }

  read(chunk: Buffer): void {
    this.reads++;
    const { flow, tunnel } = this;
    const swallowed = flow.swallowed;
    flow.carry(chunk, 0);
    if (flow.swallowed - swallowed < chunk.length) tunnel.touched = tunnel.wheel.now();
    if (tunnel.ending !== null) tunnel.ending.settle();
  }
}

function connOf(socket: StreamConnection): Conn {
  return (socket as TunnelSocket)[CONN];
}

/** A listener for sockets with a Conn; an exception in it ends only that socket's tunnel. */
function entered(step: (conn: Conn) => void): (this: StreamConnection) => void {
  const enter = guarded('relay', step, cutTunnel);
  return function enterConn(this: StreamConnection): void {
    enter(connOf(this));
  };
}

function cutTunnel(conn: Conn): void {
  conn.tunnel.cut('internal');
}

/** Handles the bytes that a socket with a Conn has read. No helper here: it runs for every chunk. */
export function onData(this: StreamConnection, chunk: Buffer): void {
  const conn = connOf(this);
  try {
    conn.read(chunk);
  } catch (thrown) {
    reportDefect('relay', thrown);
    cutTunnel(conn);
  }
}

const onDrain = entered((conn) => conn.peer.unblock(BLOCK.peerFull));

function onError(this: StreamConnection): void {
  connOf(this).failed = true;
}

const onFinish = entered((conn) => {
  if (conn.lingerBy === Number.POSITIVE_INFINITY) return;
  conn.lingerBy = conn.tunnel.wheel.now() + WAITS.linger;
});

const onEnd = entered(ended);
const onClose = entered(gone);

function ended(conn: Conn): void {
  if (conn.finIn || conn.closed) return;
  conn.finIn = true;
  conn.tunnel.streamEnded(conn);
}

function gone(conn: Conn): void {
  if (conn.closed) return;
  conn.closed = true;
  conn.tunnel.connClosed(conn);
}
