// A connection that nobody reads or watches at the moment, known by its descriptor alone: cheaper than a socket of node's,
// and made into one where it must be.

import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ignore } from '../base/guard.ts';
import { DirectSocket } from './direct-socket.ts';
import { descriptorOf } from './node-internals.ts';

/** Owns an open descriptor. It must be taken, made a socket, or destroyed. */
export class FdConnection {
  /** The relay's thread that had it last and knows it, by its number. */
  readonly thread: number;
  #fd: number;
  #socket: Socket | null = null;

  constructor(fd: number, thread: number) {
    this.#fd = fd;
    this.thread = thread;
  }

  /** The descriptor, or -1 once it has been given away, made a socket or closed. */
  get fd(): number {
    return this.#fd;
  }

  /** Gives the descriptor away: the taker closes it. */
  take(): number {
    const fd = this.#fd;
    this.#fd = -1;
    return fd;
  }

  /** The connection as a socket of node's, paused, the same one at each call; a destroyed one where it was given away. */
  socket(): Socket {
    if (this.#socket !== null) return this.#socket;
    const socket = this.#fd < 0 ? new Socket().destroy() : this.openSocket(null);
    // The reader of the socket sees an error by its `close` at the latest; one without a listener would end the process.
    this.#socket = socket.on('error', ignore).pause();
    return socket;
  }

  /** The connection as a new socket of node's, which is all that is left of it; with `buffer` one that reads into that. */
  toSocket(buffer: Buffer | null = null): Socket {
    return this.openSocket(buffer);
  }

  /** Closes the connection, if it is still here. */
  destroy(): void {
    this.#socket?.destroy();
    if (this.#fd >= 0) this.close();
  }

  protected openSocket(buffer: Buffer | null): Socket {
    return socketOf(this.take(), buffer);
  }

  protected close(): void {
    closeSync(this.take());
  }
}

/** A socket of a descriptor: its client may end its side and still be answered. With `buffer` it reads into that. */
export function socketOf(fd: number, buffer: Buffer | null): Socket {
  const options = { allowHalfOpen: true, readable: true, writable: true, fd };
  return buffer === null ? new Socket(options) : new DirectSocket(buffer, options);
}

/** A connection as a stream of node's: a socket, or a stream of HTTP/2 that carries a WebSocket. */
export interface StreamConnection extends Duplex {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  setTimeout(ms: number, onTimeout?: () => void): this;
}

/** A connection, whether it is a stream of node's or has not been one yet. */
export type Connection = StreamConnection | FdConnection;

/** A connection as a stream of node's, whichever way it came about. */
export function asStream<T extends StreamConnection>(connection: T | FdConnection): T | Socket {
  return connection instanceof FdConnection ? connection.socket() : connection;
}

/** The descriptor of a connection, or -1 where it has none any more. */
export function fdOf(connection: Connection): number {
  return connection instanceof FdConnection ? connection.fd : descriptorOf(connection);
}

/** What a connection is now: the socket, where an FdConnection has become one. */
export function current(connection: Connection): Connection {
  return connection instanceof FdConnection && connection.fd < 0 ? connection.socket() : connection;
}
